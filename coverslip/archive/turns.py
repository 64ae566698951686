"""Whose turn it is: urgent work first, then owners in turn, and within an owner what was submitted together.

So nobody's thousand slides hold up another's one, and somebody's thousand of yesterday not their own one of today.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from coverslip.archive import rows
from coverslip.archive.database import changed, was_first
from coverslip.archive.lines import ANY_LAPSED, OF_LAPSED, OF_WAITING
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
_TURNS = rows.table(TurnRow)
_SERVED = _TURNS.update().where(_TURNS.c.owner == bindparam("line")).values(served=bindparam("now"))
Asked = dict[str, Any]
"""Values of a question's parameters."""


def in_order(session: Session, now: datetime, kinds: Collection[str]) -> Iterator[JobRow]:
    """Jobs that may begin, the one whose turn it is first, each held until the transaction ends.

    Jobs another worker is about to take are passed over; take one and stop, or end it and go on.
    """
    asked = {"now": now, "kinds": tuple(kinds)}
    has_lapsed = session.scalar(ANY_LAPSED, asked) is not None
    about = (OF_WAITING, OF_LAPSED) if has_lapsed else (OF_WAITING,)
    for priority in sorted(Priority, reverse=True):
        alike = asked | {"priority": priority}
        owners = _since(session, [each.owners for each in about], alike)
        for owner in _in_turn(session, now, owners, Lines(JobRow.owner, true(), _owner)):
            his = alike | {"owner": owner}
            submissions = _since(session, [each.submissions for each in about], his)
            lines = Lines(JobRow.submission, JobRow.owner == owner, partial(_submission, owner))
            for submission in _in_turn(session, now, submissions, lines):
                line = his | {"submission": submission}
                while (row := _first(session, [each.first for each in about], line)) is not None:
                    yield row
                    session.flush()  # ended meanwhile: it must not be found again


def _first(session: Session, questions: Iterable[Select[JobRow]], asked: Asked) -> JobRow | None:
    found = [row for question in questions if (row := session.scalar(question, asked)) is not None]
    return min(found, key=lambda row: (row.created, row.id), default=None)


def served(session: Session, now: datetime, row: JobRow) -> None:
    """Remember that an owner, and a submission of its, had a turn."""
    for name in (_owner(row.owner), _submission(row.owner, row.submission)):
        if not changed(session, _SERVED, {"line": name, "now": now}):
            was_first(session, TurnRow(owner=name, served=now))


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


def _in_turn(session: Session, now: datetime, since: dict[str, datetime], lines: Lines) -> list[str]:
    """Who holds the fewest workers first, then who waited longest since the last turn."""
    if len(since) < 2:
        return list(since)
    column, named = lines.column, lines.named
    running = and_(JobRow.state == JobState.RUNNING, JobRow.lease >= now, lines.among)
    held = dict(session.execute(select(column, func.count()).where(running).group_by(column)).all())
    turns = select(TurnRow.owner, TurnRow.served).where(TurnRow.owner.in_([named(name) for name in since]))
    last = dict(session.execute(turns).all())
    return sorted(since, key=lambda name: (held.get(name, 0), last.get(named(name), EPOCH), since[name], name))


def _since(session: Session, questions: Iterable[Select[str, datetime]], asked: Asked) -> dict[str, datetime]:
    """Each line with such jobs, and when its oldest came."""
    found: dict[str, datetime] = {}
    for question in questions:
        for name, oldest in session.execute(question, asked):
            found[name] = min(oldest, found.get(name, oldest))
    return found


def _owner(owner: str) -> str:
    """What an owner's turn is remembered under."""
    return owner


def _submission(owner: str, submission: str) -> str:
    """What a submission's turn is remembered under: two owners may call theirs the same."""
    return f"submission {hashlib.blake2b(f'{owner} {submission}'.encode(), digest_size=16).hexdigest()}"
