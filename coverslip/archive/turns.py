"""Whose turn it is: urgent work first, then owners in turn, so that nobody's thousand slides hold up another's one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from enum import IntEnum

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coverslip.archive import pauses
from coverslip.archive.models import EPOCH, JobRow, TurnRow
from coverslip.archive.states import JobState


class Priority(IntEnum):
    """What comes before what; owners share each of the three among themselves."""

    LATER = 0
    """When there is nothing else to do: complete pyramids, tiling again."""
    USUAL = 1
    FIRST = 2
    """Somebody waits for it: a slide a curator brought or queued again."""


FIRST_AT_ONCE = 3
"""Urgent jobs of one owner that wait; more of them are a batch."""


def is_due(now: datetime) -> ColumnElement[bool]:
    """The condition that a job waits for its turn, or that whoever had it fell silent."""
    waiting = and_(JobRow.state == JobState.QUEUED, JobRow.run_after <= now)
    return or_(waiting, and_(JobRow.state == JobState.RUNNING, JobRow.lease < now))


def due(session: Session, now: datetime, kinds: Collection[str]) -> ColumnElement[bool]:
    """The condition that a job of these kinds may begin now: its turn may come, and nobody paused it."""
    return and_(JobRow.kind.in_(tuple(kinds)), is_due(now), pauses.goes_on(session))


def in_order(session: Session, now: datetime, kinds: Collection[str]) -> Iterator[JobRow]:
    """Jobs that may begin, the one whose turn it is first, each held until the transaction ends.

    Jobs another worker is about to take are passed over; take one and stop, or end it and go on.
    """
    may_begin = due(session, now, kinds)
    priorities = select(JobRow.priority).where(may_begin).distinct().order_by(JobRow.priority.desc())
    for priority in session.scalars(priorities).all():
        wanted = and_(may_begin, JobRow.priority == priority)
        for owner in _owners(session, now, wanted):
            oldest = select(JobRow).where(wanted, JobRow.owner == owner).order_by(JobRow.created, JobRow.id).limit(1)
            while (row := session.scalar(oldest.with_for_update(skip_locked=True))) is not None:
                yield row
                session.flush()  # ended meanwhile: it must not be found again


def served(session: Session, now: datetime, owner: str) -> None:
    """Remember that an owner had a turn."""
    if session.execute(update(TurnRow).where(TurnRow.owner == owner).values(served=now)).rowcount:  # type: ignore[attr-defined]
        return
    with suppress(IntegrityError), session.begin_nested():  # another worker began this owner's first job just now
        session.add(TurnRow(owner=owner, served=now))


def fitting(session: Session, wanted: Priority, owner: str) -> Priority:
    """The priority an owner's next job gets: urgent work in numbers is a batch like any other."""
    urgent = (JobRow.owner == owner, JobRow.state == JobState.QUEUED, JobRow.priority == Priority.FIRST)
    if wanted is Priority.FIRST and (session.scalar(select(func.count()).where(*urgent)) or 0) >= FIRST_AT_ONCE:
        return Priority.USUAL
    return wanted


def _owners(session: Session, now: datetime, wanted: ColumnElement[bool]) -> list[str]:
    """Owners of such jobs: who holds the fewest workers first, then who waited longest since the last turn."""
    waiting = session.execute(select(JobRow.owner, func.min(JobRow.created)).where(wanted).group_by(JobRow.owner))
    since = dict(waiting.all())
    running = and_(JobRow.state == JobState.RUNNING, JobRow.lease >= now)
    held = dict(session.execute(select(JobRow.owner, func.count()).where(running).group_by(JobRow.owner)).all())
    turns = select(TurnRow.owner, TurnRow.served).where(TurnRow.owner.in_(since))
    last = dict(session.execute(turns).all())
    return sorted(since, key=lambda owner: (held.get(owner, 0), last.get(owner, EPOCH), since[owner], owner))
