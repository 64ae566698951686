"""Which original is kept, under which wrapped key, how much that is, and the act that ends it: the key is destroyed."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import Session

from coverslip.archive import events, rows, slides
from coverslip.archive.database import changed, was_first
from coverslip.archive.models import HoldingRow, OriginalRow, SlideRow, UploadRow, VaultRow
from coverslip.archive.originals import Sealed
from coverslip.archive.states import AT_WORK, State
from coverslip.errors import OriginalPurged, StateConflict

OVER: Final = frozenset({State.REJECTED, State.WITHDRAWN})
"""States in which nobody is shown the clean slide again."""
SETTLED: Final = frozenset({State.RELEASED, State.REJECTED, State.WITHDRAWN})
"""States in which nobody will need it again; from here on its retention runs."""
_HOLDINGS = rows.table(HoldingRow)
_WEIGHED = (
    _HOLDINGS.update()
    .where(_HOLDINGS.c.owner == bindparam("of"))
    .values(length=_HOLDINGS.c.length + bindparam("more", type_=_HOLDINGS.c.length.type))
)


def sealed(session: Session, uid: str) -> Sealed | None:
    """Where an original lies encrypted; None when it came before originals were. Raises `OriginalPurged`."""
    row = rows.get(session, OriginalRow, uid)
    if row is not None and row.purged is not None:
        raise OriginalPurged
    return None if row is None or row.name is None or row.wrapped is None else Sealed(row.name, row.wrapped)


def require(session: Session, uid: str) -> None:
    """Raise `OriginalPurged` when an original is gone for good."""
    sealed(session, uid)


def keep(session: Session, uid: str, original: Sealed) -> None:
    """Record that an original lies encrypted from now on; raises `StateConflict` when one does already."""
    if rows.get(session, OriginalRow, uid) is not None:
        raise StateConflict
    session.add(OriginalRow(uid=uid, name=original.name, wrapped=original.wrapped))


def purge(
    session: Session, now: datetime, sid: str, *, actor: str, reason: str, expected: int | None = None
) -> tuple[str, str | None]:
    """Destroy the key of a slide's original and what was said about it; of a slide that is over its clean files go.

    Returns the upload's id, and the artefact that nothing points to from now on. Raises `NotFound`, `StateConflict`
    while somebody works on the slide, `Outdated` when its version is not the `expected` one, `OriginalPurged` when
    there is nothing left.
    """
    slide = slides.locked(session, sid, expected)
    if slide.state in AT_WORK:
        raise StateConflict("Somebody works on this slide.")
    artefact = slide.artefact if slide.state in OVER else None
    row = rows.get(session, OriginalRow, slide.uid) or OriginalRow(uid=slide.uid)
    kept = row.purged is None
    if not kept and artefact is None:
        raise OriginalPurged
    if artefact is not None:
        slide.artefact = None
    events.append(session, now, actor=actor, action="original-purged", sid=sid, reason=reason)
    if kept:
        row.name, row.wrapped, row.purged = None, None, now
        session.add(row)
        if (said := rows.get(session, VaultRow, slide.uid)) is not None:
            session.delete(said)
        upload = session.get_one(UploadRow, slide.uid)
        weigh(session, upload.owner, -upload.length)
    return slide.uid, artefact


def weight(session: Session, owner: str) -> int:
    """Bytes of an owner's originals that are kept, of those too that came before originals were encrypted."""
    return session.scalar(select(HoldingRow.length).where(HoldingRow.owner == owner)) or 0


def weigh(session: Session, owner: str, length: int) -> None:
    """Add so many bytes, or take them away; last in its transaction, for another of that owner waits from here on."""
    more = {"of": owner, "more": length}
    if not changed(session, _WEIGHED, more) and not was_first(session, HoldingRow(owner=owner, length=length)):
        session.execute(_WEIGHED, more)


def overdue(session: Session, before: datetime, limit: int) -> tuple[str, ...]:
    """Slides that have been settled since before that moment and of which a purge leaves less, oldest first."""
    over = and_(SlideRow.state.in_(OVER), SlideRow.artefact.is_not(None))
    query = (
        select(SlideRow.sid)
        .outerjoin(OriginalRow, OriginalRow.uid == SlideRow.uid)
        .where(SlideRow.state.in_(SETTLED), SlideRow.updated < before, or_(OriginalRow.purged.is_(None), over))
        .order_by(SlideRow.updated)
        .limit(limit)
    )
    return tuple(session.scalars(query))


def names(session: Session) -> frozenset[str]:
    """The names of all encrypted originals somebody can still open."""
    return frozenset(name for name in session.scalars(select(OriginalRow.name)) if name is not None)


def purged(session: Session, uid: str) -> datetime | None:
    """When an original was ended for good; None while it is kept."""
    row = rows.get(session, OriginalRow, uid)
    return None if row is None else row.purged
