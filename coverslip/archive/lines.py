"""What is asked of the queue at every claim: which lines wait, since when, and who is first in one.

Thousands may wait, and a claim holds the only write lock that SQLite has. So nothing here looks at all of them, and
the questions are built once: putting them together took longer than answering them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute

from coverslip.archive import pauses
from coverslip.archive.models import JobRow
from coverslip.archive.states import JobState

MAY_BEGIN: Final = and_(JobRow.kind.in_(bindparam("kinds", expanding=True)), pauses.goes_on())
WAITING: Final = and_(JobRow.state == JobState.QUEUED, JobRow.run_after <= bindparam("now"), MAY_BEGIN)
"""A job of these kinds whose turn may come."""
LAPSED: Final = and_(JobRow.state == JobState.RUNNING, JobRow.lease < bindparam("now"), MAY_BEGIN)
"""One whose worker fell silent. Never asked with an `or` beside the other: no index answers both."""


@dataclass(frozen=True, slots=True)
class Questions:
    """About the jobs that fulfil one of the two, of one `priority`."""

    owners: Select[str, datetime]
    """Each owner, and when the oldest of its jobs came."""
    submissions: Select[str, datetime]
    """The same of the submissions of an `owner`."""
    first: Select[JobRow]
    """The oldest of an `owner`'s `submission`, held; one that another worker is about to take is passed over."""


Ask = Callable[[ColumnElement[bool], InstrumentedAttribute[str]], Select[str, datetime]]


def _questions(state: ColumnElement[bool], since: Ask) -> Questions:
    alike = and_(state, JobRow.priority == bindparam("priority"))
    his = and_(alike, JobRow.owner == bindparam("owner"))
    first = select(JobRow).where(his, JobRow.submission == bindparam("submission"))
    first = first.order_by(JobRow.created, JobRow.id).limit(1).with_for_update(skip_locked=True)
    return Questions(since(alike, JobRow.owner), since(his, JobRow.submission), first)


def _of_many(wanted: ColumnElement[bool], column: InstrumentedAttribute[str]) -> Select[str, datetime]:
    """From line to line along an index, past all that is between."""
    first = select(column.label("name")).where(wanted).order_by(column).limit(1).subquery()
    line = select(first.c.name).cte("line", recursive=True)
    after = select(column).where(wanted, column > line.c.name).order_by(column).limit(1)
    line = line.union_all(select(after.scalar_subquery()).where(line.c.name.is_not(None)))
    oldest = select(JobRow.created).where(wanted, column == line.c.name).order_by(JobRow.created).limit(1)
    return select(line.c.name, oldest.scalar_subquery()).where(line.c.name.is_not(None))


def _of_few(wanted: ColumnElement[bool], column: InstrumentedAttribute[str]) -> Select[str, datetime]:
    return select(column, func.min(JobRow.created)).where(wanted).group_by(column)


OF_WAITING: Final = _questions(WAITING, _of_many)
OF_LAPSED: Final = _questions(LAPSED, _of_few)
ANY_LAPSED: Final = select(JobRow.id).where(LAPSED).limit(1)
