"""The keys an archive is sealed with, each known to its catalogue by a mark, so that no other key is taken for it.

A front end with a key of its own, on a new machine or over a disk that is not mounted, would seal what nobody else
opens.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from coverslip.archive import rows
from coverslip.archive.database import Database, was_first
from coverslip.archive.models import KeyMarkRow
from coverslip.archive.vault import load_or_create_key
from coverslip.errors import SettingsInvalid


class Keyring:
    """Keys by name; which of them there are, the database says."""

    def __init__(self, database: Database) -> None:
        """Use a database whose tables are up to date."""
        self._db = database

    def key(self, name: str, path: Path) -> bytes:
        """The key in a file, which is made when the catalogue never had one of that name.

        Raises `SettingsInvalid` when it is not the one the catalogue knows, or is not there, `StorageFailed`.
        """
        mark = self._mark(name)
        if mark is not None and not path.exists():
            raise SettingsInvalid(
                "The key this catalogue is sealed with is missing. Is its disk mounted?", where=f"{name}.key"
            )
        key = load_or_create_key(path)
        if not hmac.compare_digest(mark or self._remember(name, _mark_of(name, key)), _mark_of(name, key)):
            raise SettingsInvalid("This is not the key the catalogue is sealed with.", where=f"{name}.key")
        return key

    def _mark(self, name: str) -> bytes | None:
        with self._db.read() as session:
            row = rows.get(session, KeyMarkRow, name)
            return None if row is None else row.mark

    def _remember(self, name: str, mark: bytes) -> bytes:
        """Write a mark down unless there is one; returns the one that is there."""
        with self._db.write() as session:
            row = rows.get(session, KeyMarkRow, name)
            if row is not None:
                return row.mark
            if not was_first(session, KeyMarkRow(name=name, mark=mark)):  # another front end starts at the same time
                return session.get_one(KeyMarkRow, name).mark
        return mark


def _mark_of(name: str, key: bytes) -> bytes:
    """What tells keys apart and does not lead back to one: HMAC-SHA256 of the name."""
    return hmac.digest(key, b"coverslip key mark: " + name.encode(), "sha256")
