"""How a claim ends, well or not: verdict, failure, put off, given back, cancelled, buried; and the slide with it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import assert_never

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from coverslip.archive import events, queueing, rows, slides
from coverslip.archive.kinds import JobKind
from coverslip.archive.models import JobRow, SlideRow
from coverslip.archive.records import Claim, Produced, Refused, SetAside, Verdict
from coverslip.archive.states import AT_WORK, JobState, State
from coverslip.archive.terms import Terms
from coverslip.archive.turns import Priority
from coverslip.errors import (
    Cancelled,
    ChildNotStarted,
    ConfinementFailed,
    InputError,
    LeaseLost,
    NotFound,
    StateConflict,
    WorkerLost,
    by_code,
)


def finish(session: Session, now: datetime, terms: Terms, held: Claim, verdict: Verdict) -> None:
    """Record the verdict, the pointer to what was made and the event, all or none; raises `LeaseLost`."""
    row = locked(session, held)
    slide = slides.locked(session, row.sid)
    match verdict:
        case Produced():
            slides.move(session, now, slide, State.IN_REVIEW, actor=held.worker)
            slide.artefact = held.artefact
            for name, value in asdict(verdict).items():
                setattr(slide, name, value)
            if terms.complete_pyramids:
                queueing.add(session, now, slide, JobKind.PYRAMID, Priority.LATER)
        case SetAside(code, where):
            slides.move(session, now, slide, State.QUARANTINED, actor=held.worker, code=code, where=where)
        case Refused(code, where):
            slides.move(session, now, slide, State.REJECTED, actor=held.worker, code=code, where=where)
        case _:
            assert_never(verdict)
    end(row, now, JobState.DONE, None if isinstance(verdict, Produced) else verdict.code)


def finish_pyramid(session: Session, now: datetime, held: Claim, index_name: str | None = None) -> SlideRow:
    """Record that a slide in review has its complete pyramid, in a file of that name, and return the slide, held.

    Raises `LeaseLost`, and `StateConflict` when somebody decided about the slide meanwhile.
    """
    row = locked(session, held)
    slide = slides.locked(session, row.sid)
    if slide.state != State.IN_REVIEW or slide.artefact != held.target:
        raise StateConflict
    slide.index_name = index_name
    slide.version += 1  # whoever has the old index open takes the new one
    slide.updated = now
    events.append(session, now, actor=held.worker, action="pyramid-complete", sid=row.sid)
    end(row, now, JobState.DONE, None)
    return slide


def fail(session: Session, now: datetime, terms: Terms, held: Claim, code: str, where: str) -> None:
    """Record that an attempt ended badly: again later, or, when attempts are used up, never; raises `LeaseLost`."""
    row = locked(session, held)
    if code == Cancelled.code or row.attempts >= terms.max_attempts:
        settle(session, now, row, held.worker, code=code, where=where)
        return
    _again(session, now, row, now + terms.retry_delay * row.attempts, actor=held.worker, code=code, where=where)


def put_off(session: Session, now: datetime, terms: Terms, held: Claim, code: str, where: str) -> None:
    """Give back a job that the machine could not do: no attempt, it waits, longer each time, and needs nobody.

    When patience is at an end it counts as any failure. Raises `LeaseLost`.
    """
    row = locked(session, held)
    uncounted = row.token - row.attempts
    if uncounted >= terms.patience:
        fail(session, now, terms, held, code, where)
        return
    row.attempts -= 1
    delay = min(terms.retry_delay * 2 ** min(uncounted, 20), terms.longest_delay)
    _again(session, now, row, now + delay, actor=held.worker, code=code, where=where)


def release(session: Session, now: datetime, held: Claim) -> None:
    """Give a job back untouched, as a worker does that is told to stop; it does not count as an attempt."""
    row = locked(session, held)
    row.attempts -= 1
    _again(session, now, row, now, actor=held.worker)


def cancel(session: Session, now: datetime, job_id: str, *, actor: str) -> None:
    """Stop a job: at once while it waits, at the next heartbeat while it runs.

    Raises `NotFound`, and `StateConflict` when it is over.
    """
    row = rows.held(session, JobRow, job_id)
    if row is None:
        raise NotFound
    match JobState(row.state):
        case JobState.QUEUED:
            settle(session, now, row, actor, code=Cancelled.code)
        case JobState.RUNNING:
            row.cancel = True
            events.append(session, now, actor=actor, action="cancel-asked", sid=row.sid)
        case _:
            raise StateConflict("The job is over.")


def cancel_slide(session: Session, now: datetime, sid: str, *, actor: str) -> None:
    """Stop whatever waits or runs for a slide; raises `StateConflict` when nothing does."""
    open_ones = select(JobRow.id).where(JobRow.sid == sid, JobRow.state.in_((JobState.QUEUED, JobState.RUNNING)))
    found = session.scalars(open_ones).all()
    if not found:
        raise StateConflict("No job works on this slide.")
    for job_id in found:
        cancel(session, now, job_id, actor=actor)


def bury(session: Session, now: datetime, terms: Terms) -> int:
    """Settle jobs whose worker died at every attempt, or after somebody asked to stop them; returns how many."""
    over = or_(JobRow.attempts >= terms.max_attempts, JobRow.cancel)
    lapsed = select(JobRow).where(JobRow.state == JobState.RUNNING, JobRow.lease < now, over)
    rows = session.scalars(lapsed.with_for_update(skip_locked=True)).all()
    for row in rows:
        settle_lapsed(session, now, row)
    return len(rows)


def settle_lapsed(session: Session, now: datetime, row: JobRow) -> None:
    """End a job that nobody takes over from the worker that fell silent."""
    settle(session, now, row, events.SYSTEM, code=Cancelled.code if row.cancel else WorkerLost.code)


def locked(session: Session, held: Claim) -> JobRow:
    """The job of a claim, held until the transaction ends; raises `LeaseLost`."""
    row = rows.held(session, JobRow, held.job)
    if row is None or row.token != held.token or row.state != JobState.RUNNING:
        raise LeaseLost
    return row


def is_decided(row: JobRow, slide: SlideRow) -> bool:
    """Whether somebody decided about the slide meanwhile: what there is of it stays what it is.

    Nobody should while it is at work, but one such job must not end every claim there is.
    """
    return slide.state != State.IN_REVIEW if row.kind == JobKind.PYRAMID else slide.state not in AT_WORK


def settle(session: Session, now: datetime, row: JobRow, actor: str, *, code: str, where: str = "") -> None:
    """End a job without a verdict: its slide is quarantined when the file may be to blame, failed when we are."""
    if is_decided(row, slides.locked(session, row.sid)):
        end(row, now, JobState.CANCELLED, StateConflict.code)
        return
    kind = by_code(code)
    ours = not issubclass(kind, (InputError, ConfinementFailed)) or issubclass(kind, ChildNotStarted)
    move(session, now, row, State.FAILED if ours else State.QUARANTINED, actor=actor, code=code, where=where)
    end(row, now, JobState.CANCELLED if code == Cancelled.code else JobState.FAILED, code, where)


def move(
    session: Session, now: datetime, row: JobRow, to: State, *, actor: str, code: str | None = None, where: str = ""
) -> None:
    """Move a job's slide with it; a pyramid is made beside a slide that stays where it is."""
    if row.kind == JobKind.DEIDENTIFY:
        slides.move(session, now, slides.locked(session, row.sid), to, actor=actor, code=code, where=where)


def end(row: JobRow, now: datetime, state: JobState, code: str | None, where: str = "") -> None:
    """Nothing more is done for this job."""
    row.state, row.finished, row.lease = state, now, None
    row.code, row.where = code, events.plain(where, events.MAX_WHERE)


def _again(
    session: Session,
    now: datetime,
    row: JobRow,
    run_after: datetime,
    *,
    actor: str,
    code: str | None = None,
    where: str = "",
) -> None:
    """Let a job wait for its next claim; one that somebody asked to stop has stopped."""
    if row.cancel:
        settle(session, now, row, actor, code=Cancelled.code)
        return
    move(session, now, row, State.QUEUED, actor=actor, code=code, where=where)
    row.state, row.run_after = JobState.QUEUED, run_after
    row.worker = row.lease = None
