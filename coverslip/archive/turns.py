"""Whose turn it is: urgent work first, then owners in turn, and within an owner what was submitted together.

So nobody's thousand slides hold up another's one, and somebody's thousand of yesterday not their own one of today.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

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
REMEMBERED = timedelta(days=30)
"""How long a turn is."""


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
        for owner in _in_turn(session, now, wanted, Lines(JobRow.owner, true(), _owner)):
            his = JobRow.owner == owner
            lines = Lines(JobRow.submission, his, partial(_submission, owner))
            for submission in _in_turn(session, now, and_(wanted, his), lines):
                oldest = select(JobRow).where(wanted, his, JobRow.submission == submission)
                oldest = oldest.order_by(JobRow.created, JobRow.id).limit(1)
                while (row := session.scalar(oldest.with_for_update(skip_locked=True))) is not None:
                    yield row
                    session.flush()  # ended meanwhile: it must not be found again


def served(session: Session, now: datetime, row: JobRow) -> None:
    """Remember that an owner, and a submission of its, had a turn."""
    for name in (_owner(row.owner), _submission(row.owner, row.submission)):
        if session.execute(update(TurnRow).where(TurnRow.owner == name).values(served=now)).rowcount:  # type: ignore[attr-defined]
            continue
        with suppress(IntegrityError), session.begin_nested():  # another worker began the first job of theirs just now
            session.add(TurnRow(owner=name, served=now))


def forget(session: Session, now: datetime) -> None:
    """Turns that long ago decide nothing any more; submissions come and go."""
    session.execute(delete(TurnRow).where(TurnRow.served < now - REMEMBERED))


def fitting(session: Session, wanted: Priority, owner: str) -> Priority:
    """The priority an owner's next job gets: urgent work in numbers is a batch like any other."""
    urgent = (JobRow.owner == owner, JobRow.state == JobState.QUEUED, JobRow.priority == Priority.FIRST)
    if wanted is Priority.FIRST and (session.scalar(select(func.count()).where(*urgent)) or 0) >= FIRST_AT_ONCE:
        return Priority.USUAL
    return wanted


def ahead(session: Session, now: datetime, row: JobRow) -> int:
    """About how many jobs begin before this one: the urgent ones, and of each other line as many as of its own.

    As if nothing else came, nothing were paused, and every line had its last turn equally long ago.
    """
    waiting = and_(JobRow.kind == row.kind, JobRow.state == JobState.QUEUED)
    urgent = session.scalar(select(func.count()).where(waiting, JobRow.priority > row.priority)) or 0
    alike = and_(waiting, JobRow.priority == row.priority)
    his = and_(alike, JobRow.owner == row.owner)
    before = or_(JobRow.created < row.created, and_(JobRow.created == row.created, JobRow.id < row.id))
    own = select(func.count()).where(his, JobRow.submission == row.submission, before)
    rank = _among(session, his, JobRow.submission, row.submission, (session.scalar(own) or 0) + 1)
    return urgent + _among(session, alike, JobRow.owner, row.owner, rank) - 1


def _among(session: Session, wanted: ColumnElement[bool], line: InstrumentedAttribute[str], own: str, rank: int) -> int:
    """The rank of a job that is `rank`th of its own line when lines take turns, the one that waits longest first."""
    found = session.execute(select(line, func.count(), func.min(JobRow.created)).where(wanted).group_by(line)).all()
    since = {name: (oldest, name) for name, _, oldest in found}
    rounds = sum(min(count, rank - 1) for name, count, _ in found if name != own)
    return rank + rounds + sum(count >= rank and since[name] < since[own] for name, count, _ in found)


@dataclass(frozen=True, slots=True)
class Lines:
    """What takes turns: the values of a column, among jobs of one kind."""

    column: InstrumentedAttribute[str]
    among: ColumnElement[bool]
    named: Callable[[str], str]
    """What a line's turn is remembered under."""


def _in_turn(session: Session, now: datetime, wanted: ColumnElement[bool], lines: Lines) -> list[str]:
    """Lines with such jobs: who holds the fewest workers first, then who waited longest since the last turn."""
    column, named = lines.column, lines.named
    waiting = session.execute(select(column, func.min(JobRow.created)).where(wanted).group_by(column))
    since = dict(waiting.all())
    running = and_(JobRow.state == JobState.RUNNING, JobRow.lease >= now, lines.among)
    held = dict(session.execute(select(column, func.count()).where(running).group_by(column)).all())
    turns = select(TurnRow.owner, TurnRow.served).where(TurnRow.owner.in_([named(name) for name in since]))
    last = dict(session.execute(turns).all())
    return sorted(since, key=lambda name: (held.get(name, 0), last.get(named(name), EPOCH), since[name], name))


def _owner(owner: str) -> str:
    """What an owner's turn is remembered under."""
    return owner


def _submission(owner: str, submission: str) -> str:
    """What a submission's turn is remembered under: two owners may call theirs the same."""
    return f"submission {hashlib.blake2b(f'{owner} {submission}'.encode(), digest_size=16).hexdigest()}"
