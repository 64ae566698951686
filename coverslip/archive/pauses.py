"""Pauses: work of all, of one owner or of one collection that nobody begins for now; what runs goes on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from coverslip.archive import events
from coverslip.archive.database import was_first
from coverslip.archive.models import JobRow, PauseRow
from coverslip.archive.records import Pause


class Scope(StrEnum):
    """What a pause is about."""

    EVERYTHING = "everything"
    OWNER = "owner"
    COLLECTION = "collection"


def pause(session: Session, now: datetime, scope: Scope, name: str, *, actor: str) -> None:
    """Begin no more of this work; does nothing when it is paused already. `name` is empty for everything."""
    if session.get(PauseRow, (scope, name), with_for_update=True) is not None:
        return
    if was_first(session, PauseRow(scope=scope, name=name, since=now, actor=actor)):
        events.append(session, now, actor=actor, action="paused", reason=f"{scope} {name}")


def resume(session: Session, now: datetime, scope: Scope, name: str, *, actor: str) -> None:
    """Begin this work again; does nothing when it is not paused."""
    row = session.get(PauseRow, (scope, name), with_for_update=True)
    if row is not None:
        session.delete(row)
        events.append(session, now, actor=actor, action="resumed", reason=f"{scope} {name}")


def every(session: Session) -> tuple[Pause, ...]:
    """All pauses, longest first."""
    rows = session.scalars(select(PauseRow).order_by(PauseRow.since, PauseRow.scope, PauseRow.name))
    return tuple(Pause(row.scope, row.name, row.since, row.actor) for row in rows)


def goes_on() -> ColumnElement[bool]:
    """The condition on a job that no pause holds it back."""
    his = and_(PauseRow.scope == Scope.OWNER, PauseRow.name == JobRow.owner)
    its = and_(PauseRow.scope == Scope.COLLECTION, PauseRow.name == JobRow.collection)
    return ~exists().where(or_(PauseRow.scope == Scope.EVERYTHING, his, its))
