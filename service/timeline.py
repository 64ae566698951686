"""A slide's events as the steps a person reads: what, when, and how long until the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.schemas import EventOut


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline."""

    what: str
    """A state's value, or the word for what happened."""
    state: bool
    """Whether `what` is a state."""
    at: datetime
    lasted: float | None
    """Seconds until the next step; None for the last."""
    actor: str
    code: str | None
    where: str | None
    reason: str | None


def timeline(events: list[EventOut]) -> list[Step]:
    """Oldest first, with durations."""
    ends = [event.at for event in events[1:]]
    gaps = [(end - event.at).total_seconds() for event, end in zip(events, ends, strict=False)]
    return [_step(event, lasted) for event, lasted in zip(events, [*gaps, None], strict=False)]


def _step(event: EventOut, lasted: float | None) -> Step:
    return Step(
        what=event.after or event.action.replace("-", " "),
        state=event.after is not None,
        at=event.at,
        lasted=lasted,
        actor=event.actor,
        code=event.code,
        where=event.where,
        reason=event.reason,
    )
