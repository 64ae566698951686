"""Which bytes of an upload lie where in a bucket: the rows alone say what counts there, and only the newest writer's.

Parts of the file, side by side from the front; then pieces of the part that is not full yet. Together they are exactly
the bytes before the upload's offset.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from coverslip.archive import rows
from coverslip.archive.models import ArrivalRow, PieceRow
from coverslip.archive.store import Part


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes `start` to `stop` of an upload's plain text."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class KeptPart(Kept):
    """As a part of the file."""

    part: Part


@dataclass(frozen=True, slots=True)
class KeptPiece(Kept):
    """As a small file of their own; `start` is the beginning of a frame."""

    name: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload in a bucket."""

    uid: str
    name: str
    """The file it becomes."""
    wrapped: bytes | None
    """Its key; None once the upload has ended."""
    token: str | None
    """For its parts; None while there is none."""
    parts: tuple[KeptPart, ...]
    pieces: tuple[KeptPiece, ...]

    @property
    def stop(self) -> int:
        """Where the parts end."""
        return self.parts[-1].stop if self.parts else 0


@dataclass(frozen=True, slots=True)
class Known:
    """Everything in the bucket that belongs to an upload under way."""

    files: frozenset[str]
    tokens: frozenset[str]
    pieces: frozenset[str]


def forget(session: Session, uid: str) -> None:
    """Delete what is known of an upload in a bucket: it became an original, or nothing."""
    if (row := rows.get(session, ArrivalRow, uid)) is not None:
        session.execute(delete(PieceRow).where(PieceRow.uid == uid))
        session.delete(row)


def shred(session: Session, uid: str) -> None:
    """Destroy the key of an upload that ends: from now on nobody reads what lies there."""
    row = rows.get(session, ArrivalRow, uid)
    if row is not None:
        row.wrapped = None


def record(session: Session, row: ArrivalRow) -> Arrival:
    """The rows as frozen facts."""
    found = session.scalars(select(PieceRow).where(PieceRow.uid == row.uid).order_by(PieceRow.start, PieceRow.stop))
    parts, pieces = [], []
    for each in found:
        if each.name is not None:
            pieces.append(KeptPiece(each.start, each.stop, each.name))
        else:
            parts.append(KeptPart(each.start, each.stop, Part(each.etag or "", each.digest or b"", each.size)))
    return Arrival(row.uid, row.name, row.wrapped, row.token, tuple(parts), tuple(pieces))


def supersede(session: Session, uid: str, kept: KeptPart | KeptPiece) -> list[str]:
    """Delete the pieces whose bytes these are too, and return their names."""
    covered = (PieceRow.uid == uid, PieceRow.name.is_not(None), PieceRow.start >= kept.start)
    names = [name for name in session.scalars(select(PieceRow.name).where(*covered)) if name is not None]
    session.execute(delete(PieceRow).where(*covered))
    return names


def as_row(uid: str, kept: KeptPart | KeptPiece) -> PieceRow:
    """A new row."""
    match kept:
        case KeptPart(start, stop, part):
            return PieceRow(uid=uid, start=start, stop=stop, etag=part.etag, digest=part.digest, size=part.size)
        case KeptPiece(start, stop, name):
            return PieceRow(uid=uid, start=start, stop=stop, name=name, size=stop - start)
