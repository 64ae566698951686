"""Who is at work: workers last heard of, duties one process at a time performs, and the figures ops reads."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from coverslip.archive import pauses, rows
from coverslip.archive.database import changed, was_first
from coverslip.archive.kinds import JobKind
from coverslip.archive.models import JobRow, LockRow, SlideRow, WorkerRow
from coverslip.archive.records import KindStats, QueueStats, WorkerSeen
from coverslip.archive.states import JobState, State

RECENT = timedelta(minutes=5)
FORGET_WORKERS = timedelta(hours=1)
_WORKERS = rows.table(WorkerRow)
_BEGAN = _WORKERS.update().where(_WORKERS.c.name == bindparam("worker")).values(began=bindparam("now"))


def worker_seen(session: Session, now: datetime, name: str) -> None:
    """Note that a worker lives."""
    if not changed(session, update(WorkerRow).where(WorkerRow.name == name).values(seen=now)):
        was_first(session, WorkerRow(name=name, started=now, seen=now))


def worker_gone(session: Session, name: str) -> None:
    """Forget a worker that said goodbye."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))


def take(session: Session, now: datetime, name: str, holder: str, hold: timedelta) -> bool:
    """Take or keep a duty for `hold`; False while somebody else has it."""
    row = rows.held(session, LockRow, name)
    if row is None:
        return was_first(session, LockRow(name=name, holder=holder, until=now + hold))
    if row.holder != holder and now < row.until <= now + hold:  # later: a clock was wrong
        return False
    row.holder, row.until = holder, now + hold
    return True


def is_stalled(session: Session, now: datetime, worker: str, room: int, patience: timedelta) -> bool:
    """Whether work has waited for `patience` and `worker`, with room for it, began nothing in that time."""
    waits = (JobRow.state == JobState.QUEUED, JobRow.run_after < now - patience)
    overdue = select(func.count()).where(*waits, pauses.goes_on())
    busy = select(func.count()).where(JobRow.state == JobState.RUNNING, JobRow.worker == worker, JobRow.lease > now)
    began = session.scalar(select(WorkerRow.began).where(WorkerRow.name == worker))
    idle = began is None or began < now - patience
    return idle and bool(session.scalar(overdue)) and (session.scalar(busy) or 0) < room


def began(session: Session, now: datetime, worker: str) -> None:
    """Note that a worker took a job; one nobody has heard of yet is noted when it is."""
    session.execute(_BEGAN, {"worker": worker, "now": now})


def queue_stats(session: Session, now: datetime) -> QueueStats:
    """Depth, age, running work, workers, failures by code and throughput."""
    waiting = select(func.count(), func.min(JobRow.created)).where(JobRow.state == JobState.QUEUED)
    depth, oldest = session.execute(waiting).one()
    running = session.scalar(select(func.count()).where(JobRow.state == JobState.RUNNING)) or 0
    recent = session.scalar(select(func.count()).where(JobRow.finished > now - RECENT)) or 0
    return QueueStats(
        depth=depth,
        oldest_age=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
        running=running,
        workers=_workers(session, now),
        failures=_by_code(session, State.QUARANTINED, State.REJECTED, State.FAILED),
        held_up=_by_code(session, State.QUEUED),
        finished_per_minute=recent / (RECENT / timedelta(minutes=1)),
        kinds=_kinds(session, now),
    )


def _kinds(session: Session, now: datetime) -> tuple[KindStats, ...]:
    open_ones = select(JobRow.kind, JobRow.state, func.count(), func.min(JobRow.created)).where(
        JobRow.state.in_((JobState.QUEUED, JobState.RUNNING))
    )
    found = {
        (kind, state): (count, (now - oldest).total_seconds())
        for kind, state, count, oldest in session.execute(open_ones.group_by(JobRow.kind, JobRow.state))
    }
    none = (0, 0.0)
    return tuple(
        KindStats(kind, *found.get((kind, JobState.QUEUED), none), found.get((kind, JobState.RUNNING), none)[0])
        for kind in JobKind
    )


def _workers(session: Session, now: datetime) -> tuple[WorkerSeen, ...]:
    held = select(JobRow.worker, JobRow.id).where(JobRow.state == JobState.RUNNING).order_by(JobRow.created.desc())
    jobs = dict(session.execute(held).all())
    query = select(WorkerRow).where(WorkerRow.seen > now - FORGET_WORKERS).order_by(WorkerRow.name)
    return tuple(WorkerSeen(row.name, row.started, row.seen, jobs.get(row.name)) for row in session.scalars(query))


def _by_code(session: Session, *states: State) -> dict[str, int]:
    such = (SlideRow.state.in_(states), SlideRow.code.is_not(None))
    query = select(SlideRow.code, func.count()).where(*such).group_by(SlideRow.code)
    return {code: count for code, count in session.execute(query) if code is not None}
