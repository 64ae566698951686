"""Jobs as they stand: what there is, what waits, how many are ahead, and for which the broker wants a hint."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from coverslip.archive import events, rows, turns
from coverslip.archive.attempts import artefact_name
from coverslip.archive.kinds import JobKind
from coverslip.archive.lines import LAPSED, WAITING
from coverslip.archive.models import JobRow, SlideRow
from coverslip.archive.records import Job
from coverslip.archive.states import JobState, State
from coverslip.archive.turns import Priority
from coverslip.errors import NotFound, StateConflict

UNENDED = frozenset({State.QUEUED, State.PROCESSING, State.QUARANTINED, State.FAILED})
"""States in which a draft that was verified is of use to the next attempt."""


def get(session: Session, job_id: str) -> Job:
    """One job; raises `NotFound`."""
    row = rows.get(session, JobRow, job_id)
    if row is None:
        raise NotFound
    return record(row)


def of_slide(session: Session, sid: str) -> tuple[Job, ...]:
    """All jobs of a slide, oldest first."""
    rows = session.scalars(select(JobRow).where(JobRow.sid == sid).order_by(JobRow.created, JobRow.id))
    return tuple(record(row) for row in rows)


def open_of(session: Session, sid: str) -> str | None:
    """What waits or runs for a slide, if anything does; the newest of several."""
    unended = select(JobRow.id).where(JobRow.sid == sid, JobRow.state.in_((JobState.QUEUED, JobState.RUNNING)))
    return session.scalar(unended.order_by(JobRow.created.desc(), JobRow.id.desc()).limit(1))


def is_running(session: Session, sid: str, artefact: str) -> bool:
    """Whether an attempt of that name holds a claim."""
    running = select(JobRow.id, JobRow.token).where(JobRow.sid == sid, JobRow.state == JobState.RUNNING)
    return any(artefact_name(job, token) == artefact for job, token in session.execute(running))


def kept_draft(session: Session, sid: str) -> str | None:
    """The attempt whose verified draft a slide that came to no end may still want, by its artefact's name."""
    slide = rows.get(session, SlideRow, sid)
    if slide is None or slide.state not in UNENDED:
        return None
    last = select(JobRow.verified).where(JobRow.sid == sid, JobRow.kind == JobKind.DEIDENTIFY)
    return session.scalar(last.order_by(JobRow.created.desc(), JobRow.id.desc()).limit(1))


def ahead(session: Session, now: datetime, job_id: str) -> int | None:
    """About how many jobs begin before this one; None when it does not wait. Raises `NotFound`."""
    row = rows.get(session, JobRow, job_id)
    if row is None:
        raise NotFound
    return turns.ahead(session, now, row) if row.state == JobState.QUEUED else None


def prefer(session: Session, now: datetime, job_id: str, priority: Priority, *, actor: str) -> None:
    """Give a waiting job another priority; raises `NotFound`, and `StateConflict` when it waits no more."""
    row = rows.held(session, JobRow, job_id)
    if row is None:
        raise NotFound
    if row.state != JobState.QUEUED:
        raise StateConflict("The job does not wait any more.")
    row.priority = priority
    events.append(session, now, actor=actor, action="priority-changed", sid=row.sid, reason=priority.name.lower())


def hints_due(session: Session, now: datetime, kind: str, held: int, limit: int) -> tuple[str, ...]:
    """Jobs to tell the broker about, when it holds `held` hints of this kind and should hold no more than `limit`.

    A hint says that there is work, not which: whoever takes one asks whose turn it is. So they are only counted.
    """
    asked = {"now": now, "kinds": (kind,)}
    due = [each for state in (LAPSED, WAITING) for each in session.scalars(_some(state, limit), asked)]
    return tuple(due[held:limit])


def _some(state: ColumnElement[bool], limit: int) -> Select[str]:
    """Whichever come first: to sort them, all would have to be looked at."""
    return select(JobRow.id).where(state).limit(limit)


def record(row: JobRow) -> Job:
    """The row as frozen facts."""
    return Job(
        id=row.id,
        sid=row.sid,
        kind=row.kind,
        state=JobState(row.state),
        priority=row.priority,
        owner=row.owner,
        token=row.token,
        attempts=row.attempts,
        worker=row.worker,
        code=row.code,
        where=row.where,
        created=row.created,
        finished=row.finished,
    )
