"""Slides: finding them, and the one function that moves a slide to another state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from itertools import islice

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from coverslip.archive import events, rows, states
from coverslip.archive.models import EPOCH, MICROSECOND, SlideRow
from coverslip.archive.records import Page, SlideRecord, Standing
from coverslip.archive.states import State
from coverslip.errors import NotFound, Outdated

MAX_PAGE = 500
AT_ONCE = 500
"""Slides that are asked for by their ids in one query."""


def locked(session: Session, sid: str, expected: int | None = None) -> SlideRow:
    """The row, held until the transaction ends; raises `NotFound`, or `Outdated` when it has another version."""
    row = rows.held(session, SlideRow, sid)
    if row is None:
        raise NotFound
    if expected not in (None, row.version):
        raise Outdated
    return row


def move(
    session: Session,
    now: datetime,
    row: SlideRow,
    to: State,
    *,
    actor: str,
    code: str | None = None,
    where: str | None = None,
    reason: str | None = None,
) -> None:
    """Change the state and record it; raises `StateConflict` when the table does not allow the move."""
    states.check(State(row.state), to)
    before, row.state = row.state, to
    row.version += 1
    row.updated = now
    row.code, row.where = code, events.plain(where, events.MAX_WHERE)
    row.stage = row.done = None
    events.append(
        session,
        now,
        actor=actor,
        action="moved",
        sid=row.sid,
        before=before,
        after=to,
        code=code,
        where=where,
        reason=reason,
    )


def standing(session: Session, sids: Collection[str]) -> dict[str, Standing]:
    """How many slides stand, those that there are: who looks at all of an archive asks for no slide by itself."""
    columns = select(SlideRow.sid, SlideRow.state, SlideRow.artefact)
    asked = iter(sids)
    found: dict[str, Standing] = {}
    while batch := list(islice(asked, AT_ONCE)):
        rows = session.execute(columns.where(SlideRow.sid.in_(batch)))
        found |= {sid: Standing(State(state), artefact) for sid, state, artefact in rows}
    return found


def get(session: Session, sid: str) -> SlideRecord:
    """One slide; raises `NotFound`."""
    row = rows.get(session, SlideRow, sid)
    if row is None:
        raise NotFound
    return record(row)


def page(session: Session, states: Collection[State] | None, cursor: str | None, limit: int, words: str = "") -> Page:
    """Slides newest first, after `cursor`, that every one of `words` fits; raises `NotFound` for a foreign cursor."""
    size = max(1, min(limit, MAX_PAGE))
    query = select(SlideRow).order_by(SlideRow.created.desc(), SlideRow.sid.desc()).limit(size + 1)
    if states is not None:
        query = query.where(SlideRow.state.in_(tuple(states)))
    query = query.where(*(_fits(word) for word in words.split()))
    if cursor is not None:
        created, sid = _parse_cursor(cursor)
        query = query.where(or_(SlideRow.created < created, and_(SlideRow.created == created, SlideRow.sid < sid)))
    rows = session.scalars(query).all()
    more = len(rows) > size
    return Page(tuple(record(row) for row in rows[:size]), _cursor(rows[size - 1]) if more else None)


def _fits(word: str) -> ColumnElement[bool]:
    """The condition that an id, collection, format, policy or reason begins with a word, in capitals or not."""
    columns = (SlideRow.sid, SlideRow.collection, SlideRow.vendor, SlideRow.policy, SlideRow.code)
    return or_(*(column.istartswith(word, autoescape=True) for column in columns))


def counts(session: Session) -> dict[State, int]:
    """How many slides are in each state; every state is there."""
    found = session.execute(select(SlideRow.state, func.count()).group_by(SlideRow.state))
    return dict.fromkeys(State, 0) | {State(state): count for state, count in found}


def record(row: SlideRow) -> SlideRecord:
    """The row as frozen facts."""
    values = {field.name: getattr(row, field.name) for field in fields(SlideRecord)}
    return SlideRecord(**values | {"state": State(row.state)})


def _cursor(row: SlideRow) -> str:
    return f"{(row.created - EPOCH) // MICROSECOND}.{row.sid}"


def _parse_cursor(cursor: str) -> tuple[datetime, str]:
    number, _, sid = cursor.partition(".")
    if not (number.isascii() and number.isdigit() and len(number) < 18):
        raise NotFound("That is not a cursor we handed out.", where="cursor")
    return EPOCH + int(number) * MICROSECOND, sid
