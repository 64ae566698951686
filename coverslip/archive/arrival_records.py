"""The records of uploads that arrive in a bucket: one transaction each, and none for a writer that was overtaken."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from coverslip.archive import pieces, rows, uploads
from coverslip.archive.database import Database
from coverslip.archive.models import ArrivalRow, PieceRow, UploadRow
from coverslip.archive.pieces import Arrival, KeptPart, KeptPiece, Known
from coverslip.errors import NotFound


class ArrivalRecords:
    """The records of uploads in a bucket; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        """Use `Catalog.arrivals`."""
        self._db = database

    def get(self, uid: str) -> Arrival | None:
        """What is there of an upload; None for one that arrives on the disk, or not yet."""
        with self._db.read() as session:
            row = rows.get(session, ArrivalRow, uid)
            return None if row is None else pieces.record(session, row)

    def begin(self, uid: str, generation: int, name: str, wrapped: bytes) -> Arrival:
        """Write down where an upload goes, unless that is known; raises `LeaseLost` or `StateConflict`."""
        with self._db.write() as session:
            uploads.held(session, uid, generation)
            row = rows.get(session, ArrivalRow, uid)
            if row is None:
                row = ArrivalRow(uid=uid, name=name, wrapped=wrapped)
                session.add(row)
            return pieces.record(session, row)

    def note(self, uid: str, generation: int, token: str) -> None:
        """Write down what was begun in the store; raises `LeaseLost` or `StateConflict`."""
        with self._db.write() as session:
            uploads.held(session, uid, generation)
            row = rows.get(session, ArrivalRow, uid)
            if row is None:
                raise NotFound
            row.token = token

    def advance(self, uid: str, generation: int, offset: int, kept: Collection[KeptPart | KeptPiece]) -> list[str]:
        """Promise that everything before `offset` is kept; returns the names of pieces that are of no use any more.

        Raises `LeaseLost` when a newer request writes, `StateConflict` when the upload is over.
        """
        with self._db.write() as session:
            uploads.advance(session, uid, generation, offset)
            gone = [name for each in kept for name in pieces.supersede(session, uid, each)]
            session.add_all(pieces.as_row(uid, each) for each in kept)
        return gone

    def ended(self) -> tuple[str, ...]:
        """Uploads that are over and of which something may still lie in the bucket."""
        over = select(ArrivalRow.uid).join(UploadRow, UploadRow.uid == ArrivalRow.uid)
        with self._db.read() as session:
            return tuple(session.scalars(over.where(UploadRow.state != uploads.OPEN)))

    def forget(self, uid: str) -> None:
        """Nothing lies there any more."""
        with self._db.write() as session:
            pieces.forget(session, uid)

    def known(self) -> Known:
        """What must not be collected."""
        with self._db.read() as session:
            rows = session.execute(select(ArrivalRow.name, ArrivalRow.token)).all()
            small = session.scalars(select(PieceRow.name).where(PieceRow.name.is_not(None)))
            return Known(
                frozenset(name for name, _ in rows),
                frozenset(token for _, token in rows if token is not None),
                frozenset(name for name in small if name is not None),
            )
