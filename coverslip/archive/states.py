"""The states of a slide and the one table of legal moves."""

from __future__ import annotations

from enum import StrEnum

from coverslip.errors import StateConflict


class State(StrEnum):
    """Where a slide stands on its way from upload to release."""

    RECEIVED = "received"
    QUEUED = "queued"
    PROCESSING = "processing"
    IN_REVIEW = "in_review"
    RELEASED = "released"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class JobState(StrEnum):
    """Where a piece of work stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """The work came to a verdict, whatever the verdict was."""
    FAILED = "failed"
    """No verdict: every attempt ended badly."""
    CANCELLED = "cancelled"


MOVES: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.QUEUED}),
    State.QUEUED: frozenset({State.PROCESSING, State.FAILED}),
    State.PROCESSING: frozenset({State.IN_REVIEW, State.QUARANTINED, State.REJECTED, State.FAILED, State.QUEUED}),
    State.IN_REVIEW: frozenset({State.RELEASED, State.QUARANTINED, State.REJECTED}),
    State.RELEASED: frozenset({State.WITHDRAWN}),
    State.QUARANTINED: frozenset({State.QUEUED, State.REJECTED}),
    State.FAILED: frozenset({State.QUEUED, State.REJECTED}),
    State.REJECTED: frozenset(),
    State.WITHDRAWN: frozenset(),
}
"""THE transition table: from → where a slide may go next. Nothing else decides whether a move is legal."""

BY_PEOPLE = frozenset({State.RELEASED, State.QUARANTINED, State.REJECTED, State.WITHDRAWN})
"""Moves a person may ask for; the others belong to the queue and its workers."""

AT_WORK = frozenset({State.RECEIVED, State.QUEUED, State.PROCESSING})
"""States that end without anybody's help: who wants to decide about the slide cancels its job first."""

READABLE = frozenset({State.RELEASED, State.IN_REVIEW})
"""States in which anybody at all reads a slide's files."""


def check(now: State, to: State) -> None:
    """Raise `StateConflict` unless the table allows the move."""
    if to not in MOVES[now]:
        raise StateConflict(f"A slide that is {now} cannot become {to}.")
