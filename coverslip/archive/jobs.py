"""Jobs: the row is outbox, lease and fencing token; a queue message is only a hint that a row exists."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import assert_never

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from coverslip.archive import events, queueing, slides, turns
from coverslip.archive.kinds import JobKind
from coverslip.archive.lines import LAPSED, WAITING
from coverslip.archive.models import JobRow, SlideRow
from coverslip.archive.records import Claim, Job, Produced, Refused, SetAside, Verdict, artefact_name
from coverslip.archive.states import AT_WORK, JobState, State
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

SYSTEM = "system"
UNENDED = frozenset({State.QUEUED, State.PROCESSING, State.QUARANTINED, State.FAILED})
"""States in which a draft that was verified is of use to the next attempt."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a claim holds and how often work is tried."""

    lease: timedelta = timedelta(seconds=60)
    retry_delay: timedelta = timedelta(seconds=5)
    """Wait before the second attempt; twice that before the third."""
    max_attempts: int = 3
    patience: int = 50
    """Times a job is put off because of the machine; after that it counts as an attempt."""
    longest_delay: timedelta = timedelta(minutes=5)
    """Wait before a job that was put off again and again; 50 times are about four hours."""
    complete_pyramids: bool = False
    """Whether a slide that came to review gets a job for its complete pyramid."""


def claim_next(session: Session, now: datetime, terms: Terms, kinds: Collection[str], worker: str) -> Claim | None:
    """Take the job whose turn it is, or None when nothing of these kinds may begin."""
    for row in turns.in_order(session, now, kinds):
        if (claimed := _take(session, now, terms, row, worker)) is not None:
            turns.served(session, now, row)
            return claimed
    return None


def claim(session: Session, now: datetime, terms: Terms, job_id: str, worker: str) -> Claim | None:
    """Take this very job, or None: done, held by somebody, not due, or used up."""
    row = session.get(JobRow, job_id, with_for_update=True)
    return None if row is None or not _is_due(row, now) else _take(session, now, terms, row, worker)


def _take(session: Session, now: datetime, terms: Terms, row: JobRow, worker: str) -> Claim | None:
    slide = slides.locked(session, row.sid)
    if _is_decided(row, slide):
        _end(row, now, JobState.CANCELLED, StateConflict.code)
        return None
    if row.attempts >= terms.max_attempts:
        _settle(session, now, row, SYSTEM, code=WorkerLost.code)
        return None
    again = row.state == JobState.RUNNING
    row.state, row.worker, row.lease = JobState.RUNNING, worker, now + terms.lease
    row.token += 1
    row.attempts += 1  # counted before the work, so that a crash counts too
    if again:
        events.append(session, now, actor=worker, action="taken-over", sid=row.sid)
    else:
        _move(session, now, row, State.PROCESSING, actor=worker)
    return _claimed(row, slide)


def _is_decided(row: JobRow, slide: SlideRow) -> bool:
    """Whether somebody decided about the slide meanwhile: what there is of it stays what it is.

    Nobody should while it is at work, but one such job must not end every claim there is.
    """
    return slide.state != State.IN_REVIEW if row.kind == JobKind.PYRAMID else slide.state not in AT_WORK


def _claimed(row: JobRow, slide: SlideRow) -> Claim:
    return Claim(
        job=row.id,
        kind=row.kind,
        sid=row.sid,
        uid=slide.uid,
        policy=slide.policy,
        collection=slide.collection,
        worker=row.worker or "",
        token=row.token,
        attempt=row.attempts,
        verified=row.verified,
        facts=_facts(row),
        target=slide.artefact if row.kind == JobKind.PYRAMID else None,
    )


def _facts(row: JobRow) -> Produced | None:
    """What an earlier attempt's draft holds; None also for facts of another version: then the slide is cleaned anew."""
    try:
        return Produced(**json.loads(row.facts)) if row.facts else None
    except (TypeError, ValueError):
        return None


def require_held(session: Session, held: Claim) -> None:
    """Look, without writing, whether a claim still holds; raises `LeaseLost` or `Cancelled`."""
    row = session.get(JobRow, held.job)
    if row is None or row.token != held.token or row.state != JobState.RUNNING:
        raise LeaseLost
    if row.cancel:
        raise Cancelled


def verified(session: Session, held: Claim, made: Produced) -> None:
    """Remember that this attempt's draft holds a verified clean slide, for whoever goes on; raises `LeaseLost`."""
    row = _held(session, held)
    row.verified, row.facts = held.artefact, json.dumps(asdict(made))


def heartbeat(session: Session, now: datetime, terms: Terms, held: Claim, stage: str | None, done: float) -> None:
    """Renew the lease and say how far the work is; raises `LeaseLost` or `Cancelled`."""
    row = _held(session, held)
    if row.cancel:
        raise Cancelled
    row.lease = now + terms.lease
    slide = slides.locked(session, row.sid)
    if stage is not None and row.kind == JobKind.DEIDENTIFY:
        slide.stage, slide.done, slide.updated = stage, min(max(done, 0.0), 1.0), now


def finish(session: Session, now: datetime, terms: Terms, held: Claim, verdict: Verdict) -> None:
    """Record the verdict, the pointer to what was made and the event, all or none; raises `LeaseLost`."""
    row = _held(session, held)
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
    _end(row, now, JobState.DONE, None if isinstance(verdict, Produced) else verdict.code)


def finish_pyramid(session: Session, now: datetime, held: Claim, index_name: str | None = None) -> SlideRow:
    """Record that a slide in review has its complete pyramid, in a file of that name, and return the slide, held.

    Raises `LeaseLost`, and `StateConflict` when somebody decided about the slide meanwhile.
    """
    row = _held(session, held)
    slide = slides.locked(session, row.sid)
    if slide.state != State.IN_REVIEW or slide.artefact != held.target:
        raise StateConflict
    slide.index_name = index_name
    slide.version += 1  # whoever has the old index open takes the new one
    slide.updated = now
    events.append(session, now, actor=held.worker, action="pyramid-complete", sid=row.sid)
    _end(row, now, JobState.DONE, None)
    return slide


def fail(session: Session, now: datetime, terms: Terms, held: Claim, code: str, where: str) -> None:
    """Record that an attempt ended badly: again later, or, when attempts are used up, never; raises `LeaseLost`."""
    row = _held(session, held)
    if code == Cancelled.code or row.attempts >= terms.max_attempts:
        _settle(session, now, row, held.worker, code=code, where=where)
        return
    _move(session, now, row, State.QUEUED, actor=held.worker, code=code, where=where)
    _requeue(row, run_after=now + terms.retry_delay * row.attempts)


def put_off(session: Session, now: datetime, terms: Terms, held: Claim, code: str, where: str) -> None:
    """Give back a job that the machine could not do: no attempt, it waits, longer each time, and needs nobody.

    When patience is at an end it counts as any failure. Raises `LeaseLost`.
    """
    row = _held(session, held)
    uncounted = row.token - row.attempts
    if uncounted >= terms.patience:
        fail(session, now, terms, held, code, where)
        return
    row.attempts -= 1
    _move(session, now, row, State.QUEUED, actor=held.worker, code=code, where=where)
    _requeue(row, run_after=now + min(terms.retry_delay * 2 ** min(uncounted, 20), terms.longest_delay))


def release(session: Session, now: datetime, held: Claim) -> None:
    """Give a job back untouched, as a worker does that is told to stop; it does not count as an attempt."""
    row = _held(session, held)
    row.attempts -= 1
    _move(session, now, row, State.QUEUED, actor=held.worker)
    _requeue(row, run_after=now)


def cancel(session: Session, now: datetime, job_id: str, *, actor: str) -> None:
    """Stop a job: at once while it waits, at the next heartbeat while it runs.

    Raises `NotFound`, and `StateConflict` when it is over.
    """
    row = session.get(JobRow, job_id, with_for_update=True)
    if row is None:
        raise NotFound
    match JobState(row.state):
        case JobState.QUEUED:
            _settle(session, now, row, actor, code=Cancelled.code)
        case JobState.RUNNING:
            row.cancel = True
            events.append(session, now, actor=actor, action="cancel-asked", sid=row.sid)
        case _:
            raise StateConflict("The job is over.")


def prefer(session: Session, now: datetime, job_id: str, priority: Priority, *, actor: str) -> None:
    """Give a waiting job another priority; raises `NotFound`, and `StateConflict` when it waits no more."""
    row = session.get(JobRow, job_id, with_for_update=True)
    if row is None:
        raise NotFound
    if row.state != JobState.QUEUED:
        raise StateConflict("The job does not wait any more.")
    row.priority = priority
    events.append(session, now, actor=actor, action="priority-changed", sid=row.sid, reason=priority.name.lower())


def bury(session: Session, now: datetime, terms: Terms) -> int:
    """Settle jobs whose worker died at every attempt; returns how many."""
    spent = select(JobRow).where(
        JobRow.state == JobState.RUNNING, JobRow.lease < now, JobRow.attempts >= terms.max_attempts
    )
    rows = session.scalars(spent.with_for_update(skip_locked=True)).all()
    for row in rows:
        _settle(session, now, row, SYSTEM, code=WorkerLost.code)
    return len(rows)


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


def of_slide(session: Session, sid: str) -> tuple[Job, ...]:
    """All jobs of a slide, oldest first."""
    rows = session.scalars(select(JobRow).where(JobRow.sid == sid).order_by(JobRow.created, JobRow.id))
    return tuple(record(row) for row in rows)


def open_of(session: Session, sid: str) -> str | None:
    """What waits or runs for a slide, if anything does; the newest of several."""
    unended = select(JobRow.id).where(JobRow.sid == sid, JobRow.state.in_((JobState.QUEUED, JobState.RUNNING)))
    return session.scalar(unended.order_by(JobRow.created.desc(), JobRow.id.desc()).limit(1))


def cancel_slide(session: Session, now: datetime, sid: str, *, actor: str) -> None:
    """Stop whatever waits or runs for a slide; raises `StateConflict` when nothing does."""
    open_ones = select(JobRow.id).where(JobRow.sid == sid, JobRow.state.in_((JobState.QUEUED, JobState.RUNNING)))
    found = session.scalars(open_ones).all()
    if not found:
        raise StateConflict("No job works on this slide.")
    for job_id in found:
        cancel(session, now, job_id, actor=actor)


def get(session: Session, job_id: str) -> Job:
    """One job; raises `NotFound`."""
    row = session.get(JobRow, job_id)
    if row is None:
        raise NotFound
    return record(row)


def ahead(session: Session, now: datetime, job_id: str) -> int | None:
    """About how many jobs begin before this one; None when it does not wait. Raises `NotFound`."""
    row = session.get(JobRow, job_id)
    if row is None:
        raise NotFound
    return turns.ahead(session, now, row) if row.state == JobState.QUEUED else None


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


def kept_draft(session: Session, sid: str) -> str | None:
    """The attempt whose verified draft a slide that came to no end may still want, by its artefact's name."""
    slide = session.get(SlideRow, sid)
    if slide is None or slide.state not in UNENDED:
        return None
    last = select(JobRow.verified).where(JobRow.sid == sid, JobRow.kind == JobKind.DEIDENTIFY)
    return session.scalar(last.order_by(JobRow.created.desc(), JobRow.id.desc()).limit(1))


def is_running(session: Session, sid: str, artefact: str) -> bool:
    """Whether an attempt of that name holds a claim."""
    running = select(JobRow.id, JobRow.token).where(JobRow.sid == sid, JobRow.state == JobState.RUNNING)
    return any(artefact_name(job, token) == artefact for job, token in session.execute(running))


def _is_due(row: JobRow, now: datetime) -> bool:
    if row.state == JobState.RUNNING:
        return row.lease is not None and row.lease < now
    return row.state == JobState.QUEUED and row.run_after <= now


def _held(session: Session, held: Claim) -> JobRow:
    row = session.get(JobRow, held.job, with_for_update=True)
    if row is None or row.token != held.token or row.state != JobState.RUNNING:
        raise LeaseLost
    return row


def _settle(session: Session, now: datetime, row: JobRow, actor: str, *, code: str, where: str = "") -> None:
    """End a job without a verdict: its slide is quarantined when the file may be to blame, failed when we are."""
    if _is_decided(row, slides.locked(session, row.sid)):
        _end(row, now, JobState.CANCELLED, StateConflict.code)
        return
    kind = by_code(code)
    ours = not issubclass(kind, (InputError, ConfinementFailed)) or issubclass(kind, ChildNotStarted)
    _move(session, now, row, State.FAILED if ours else State.QUARANTINED, actor=actor, code=code, where=where)
    _end(row, now, JobState.CANCELLED if code == Cancelled.code else JobState.FAILED, code, where)


def _move(
    session: Session, now: datetime, row: JobRow, to: State, *, actor: str, code: str | None = None, where: str = ""
) -> None:
    """Move a job's slide with it; a pyramid is made beside a slide that stays where it is."""
    if row.kind == JobKind.DEIDENTIFY:
        slides.move(session, now, slides.locked(session, row.sid), to, actor=actor, code=code, where=where)


def _end(row: JobRow, now: datetime, state: JobState, code: str | None, where: str = "") -> None:
    row.state, row.finished, row.lease = state, now, None
    row.code, row.where = code, events.plain(where, events.MAX_WHERE)


def _requeue(row: JobRow, *, run_after: datetime) -> None:
    row.state, row.run_after = JobState.QUEUED, run_after
    row.worker = row.lease = None
