"""What becomes a job: a slide that comes in, one that somebody queues again, a dead letter that is replayed."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from coverslip.archive import events, keeping, rows, slides, turns
from coverslip.archive.kinds import JobKind
from coverslip.archive.models import JobRow, OriginalRow, SlideRow
from coverslip.archive.records import DeadLetter
from coverslip.archive.states import JobState, State
from coverslip.archive.turns import Priority
from coverslip.errors import NotFound, OriginalPurged, StateConflict

IDLE = frozenset({State.RECEIVED, State.QUARANTINED, State.FAILED})
"""States in which no job works on a slide and one may start."""
REPLAYS = 500
"""Dead letters replayed at once at most."""


def enqueue(session: Session, now: datetime, slide: SlideRow, *, actor: str, priority: Priority) -> None:
    """Queue a slide: the job row is the outbox, so a lost message loses nothing.

    After a job that failed behind the verifier the next one starts there. Raises `StateConflict` while another job has
    the slide, `OriginalPurged` when there is nothing left to work on.
    """
    if slide.state not in IDLE:
        raise StateConflict(f"A slide that is {slide.state} cannot be queued again.")
    keeping.require(session, slide.uid)
    last = None if slide.state == State.RECEIVED else _last(session, slide.sid)  # a new one has had no job
    slides.move(session, now, slide, State.QUEUED, actor=actor)
    row = add(session, now, slide, JobKind.DEIDENTIFY, turns.fitting(session, priority, slide.owner))
    if last is not None and last.state in (JobState.FAILED, JobState.CANCELLED):
        row.verified, row.facts = last.verified, last.facts


def add(session: Session, now: datetime, slide: SlideRow, kind: JobKind, priority: Priority) -> JobRow:
    """Write a job down and return its row."""
    row = JobRow(
        id=str(uuid.uuid4()),
        sid=slide.sid,
        kind=kind,
        state=JobState.QUEUED,
        priority=priority,
        owner=slide.owner,
        submission=slide.submission,
        collection=slide.collection,
        token=0,
        attempts=0,
        run_after=now,
        cancel=False,
        created=now,
    )
    session.add(row)
    return row


def dead_letters(session: Session, code: str | None, limit: int) -> tuple[DeadLetter, ...]:
    """Jobs that came to no verdict and nobody queued again, newest first; of one reason, or of all."""
    query = select(JobRow).join(SlideRow, SlideRow.sid == JobRow.sid).where(_is_dead())
    if code is not None:
        query = query.where(JobRow.code == code)
    rows = session.scalars(query.order_by(JobRow.finished.desc(), JobRow.id).limit(limit))
    return tuple(_letter(row) for row in rows)


def dead_reasons(session: Session) -> dict[str, int]:
    """How many dead letters there are, by reason."""
    query = select(JobRow.code, func.count()).join(SlideRow, SlideRow.sid == JobRow.sid).where(_is_dead())
    return {code or "": count for code, count in session.execute(query.group_by(JobRow.code).order_by(JobRow.code))}


def replay(session: Session, now: datetime, job_id: str, *, actor: str, priority: Priority) -> None:
    """Do a dead letter's work again, from its last finished stage; raises `NotFound` or `StateConflict`."""
    row = rows.get(session, JobRow, job_id)
    if row is None:
        raise NotFound
    slide = slides.locked(session, row.sid)
    dead = select(JobRow.id).join(SlideRow, SlideRow.sid == JobRow.sid).where(_is_dead(), JobRow.id == job_id)
    if session.scalar(dead) is None:
        raise StateConflict("That job is no dead letter.")
    if row.kind == JobKind.PYRAMID:
        add(session, now, slide, JobKind.PYRAMID, Priority.LATER)
        events.append(session, now, actor=actor, action="pyramid-queued", sid=slide.sid)
    else:
        enqueue(session, now, slide, actor=actor, priority=priority)


def replay_all(session: Session, now: datetime, code: str, *, actor: str) -> int:
    """Replay the dead letters of one reason, at most `REPLAYS`; returns how many."""
    count = 0
    for letter in dead_letters(session, code, REPLAYS):
        with suppress(StateConflict, OriginalPurged):  # somebody was faster with this one
            replay(session, now, letter.job, actor=actor, priority=Priority.USUAL)
            session.flush()
            count += 1
    return count


def _is_dead() -> ColumnElement[bool]:
    """The condition on a job and its slide: no verdict, a slide that waits for one, no newer job, and an original."""
    newer = aliased(JobRow)
    replaced = exists().where(newer.sid == JobRow.sid, newer.kind == JobRow.kind, newer.created > JobRow.created)
    waits = or_(
        and_(JobRow.kind == JobKind.DEIDENTIFY, SlideRow.state.in_((State.QUARANTINED, State.FAILED))),
        and_(JobRow.kind == JobKind.PYRAMID, SlideRow.state == State.IN_REVIEW),
    )
    purged = exists().where(OriginalRow.uid == SlideRow.uid, OriginalRow.purged.is_not(None))
    return and_(JobRow.state.in_((JobState.FAILED, JobState.CANCELLED)), waits, ~replaced, ~purged)


def _last(session: Session, sid: str) -> JobRow | None:
    query = select(JobRow).where(JobRow.sid == sid, JobRow.kind == JobKind.DEIDENTIFY)
    return session.scalar(query.order_by(JobRow.created.desc(), JobRow.id.desc()).limit(1))


def _letter(row: JobRow) -> DeadLetter:
    return DeadLetter(
        job=row.id,
        sid=row.sid,
        kind=row.kind,
        code=row.code or "",
        where=row.where,
        attempts=row.attempts,
        finished=row.finished or row.created,
        verified=row.verified is not None,
    )
