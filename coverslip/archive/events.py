"""The audit trail: written in the transaction of the act, read by slide."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from coverslip.archive import rows
from coverslip.archive.models import EventRow
from coverslip.archive.records import Event

SYSTEM = "system"
"""Who acts where nobody asked for it."""
_APPENDED = rows.table(EventRow).insert()
MAX_REASON = 500
MAX_WHERE = 200


def append(
    session: Session,
    now: datetime,
    *,
    actor: str,
    action: str,
    sid: str | None = None,
    before: str | None = None,
    after: str | None = None,
    code: str | None = None,
    where: str | None = None,
    reason: str | None = None,
) -> None:
    """Record one act; it stands or falls with the transaction it is part of."""
    said = {
        "at": now,
        "sid": sid,
        "actor": actor,
        "action": action,
        "before": before,
        "after": after,
        "code": code,
        "place": plain(where, MAX_WHERE),
        "reason": plain(reason, MAX_REASON),
    }
    session.execute(_APPENDED, said)  # nobody reads it back in here: an object to look after would cost as much again


def plain(text: str | None, limit: int) -> str | None:
    """Text without control characters, cut to `limit`; None when nothing is left."""
    return "".join(letter for letter in text if letter.isprintable())[:limit] or None if text else None


def of_slide(session: Session, sid: str) -> tuple[Event, ...]:
    """All events of one slide, oldest first."""
    found = session.scalars(select(EventRow).where(EventRow.sid == sid).order_by(EventRow.seq))
    return tuple(_record(row) for row in found)


def _record(row: EventRow) -> Event:
    return Event(
        seq=row.seq,
        at=row.at,
        sid=row.sid,
        actor=row.actor,
        action=row.action,
        before=row.before,
        after=row.after,
        code=row.code,
        where=row.where,
        reason=row.reason,
    )
