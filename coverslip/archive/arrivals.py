"""The contract of where an upload's bytes lie while they arrive: a file on this disk, or parts in a bucket.

An offset in the catalogue is a promise that the bytes before it survive the death of this process and of this machine.
Only the newest writer of an upload may move it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from coverslip.archive.catalog import Catalog
from coverslip.archive.originals import Check, Originals, Sealed
from coverslip.archive.records import Upload
from coverslip.archive.storage import Storage
from coverslip.archive.uploads import TERMINATED
from coverslip.durable import flush, our_errors
from coverslip.errors import NotFound, OriginalPurged, StorageFailed


class Writer(Protocol):
    """Takes an upload's bytes from its offset on. One thread writes; one at a time keeps what was written before."""

    offset: int
    """Behind the last byte written."""

    def write(self, data: bytes) -> None:
        """Put `data` where the last write ended; raises `StorageFull` or `StorageFailed`."""

    def mark(self) -> object:
        """What was written up to now, for `keep`. Not while something is written."""

    def keep(self, mark: object) -> None:
        """Return when that is kept for good and the catalogue says so; others may be writing meanwhile.

        A failure is the end of this writer. Raises `LeaseLost` when a newer request writes, `StateConflict` or
        `NotFound` when the upload is over, `StorageFull` or `StorageFailed`.
        """

    def close(self) -> None:
        """Give everything back; what was not kept is gone."""


class Arrivals(Protocol):
    """Uploads while they arrive. Every method blocks and raises `StorageFailed`."""

    largest: int
    """Bytes of the largest file that can be taken."""
    on_disk: bool
    """Whether they need room on this disk until they are opened again."""

    def begin(self, uid: str) -> int:
        """Make the caller the only writer and return its generation; raises `NotFound` or `StateConflict`."""

    def writer(self, upload: Upload, generation: int) -> Writer:
        """Go on at the upload's offset; raises `LeaseLost`, `StateConflict`, `NotFound` or `StorageFull`."""

    def seal(self, upload: Upload, check: Check) -> Sealed:
        """Make a complete upload an encrypted original; `check` is given the digest of what lies there.

        Nothing changes for the catalogue. Again is allowed, also after `check` raised. Raises what it raises,
        `StorageFull`.
        """

    def discard(self, sealed: Sealed) -> None:
        """The catalogue did not take what `seal` made."""

    def drop(self, uid: str) -> None:
        """Delete what arrived of an upload that is over, but for the original it became."""

    def ended(self) -> tuple[str, ...]:
        """Uploads that are over and of which something may still lie here."""

    def lying(self) -> frozenset[str]:
        """Ids of all uploads of which something lies here, whoever knows them."""

    def collect(self, before: datetime) -> int:
        """Delete what came before that moment and is of no use to its upload; returns how much of that there was."""


class FolderArrivals:
    """One file for each upload in the PHI zone, in plain text; encrypted when it is complete."""

    largest = 1 << 62
    on_disk = True

    def __init__(self, catalog: Catalog, storage: Storage, originals: Originals) -> None:
        """Share what the archive has."""
        self._catalog, self._storage, self._originals = catalog, storage, originals

    def begin(self, uid: str) -> int:
        """See `Arrivals.begin`.

        The file is made inside the record's transaction and nowhere else: a writer that comes after the end of the
        upload finds no file, and makes none.
        """
        return self._catalog.begin_patch(uid, follow=self._storage.make_incoming)

    def writer(self, upload: Upload, generation: int) -> Writer:
        """See `Arrivals.writer`."""
        return FileWriter(self._catalog, self._storage.incoming(upload.uid), upload, generation)

    def seal(self, upload: Upload, check: Check) -> Sealed:
        """See `Arrivals.seal`; the original gets its name when its digest was found right."""
        return self._originals.seal(upload.uid, self._storage.incoming(upload.uid), check)

    def discard(self, sealed: Sealed) -> None:
        """See `Arrivals.discard`: each attempt makes one of its own."""
        self._originals.store.remove(sealed.name)

    def drop(self, uid: str) -> None:
        """See `Arrivals.drop`."""
        self._storage.drop_incoming(uid)

    def ended(self) -> tuple[str, ...]:
        """See `Arrivals.ended`.

        Safe beside writers: a file is made only while its record is open (`begin`), and no record opens again.
        """
        return tuple(uid for uid in self._storage.incoming_uploads() if is_over(self._catalog, uid))

    def lying(self) -> frozenset[str]:
        """See `Arrivals.lying`."""
        return frozenset(self._storage.incoming_uploads())

    def collect(self, before: datetime) -> int:
        """See `Arrivals.collect`: an upload has one file."""
        return 0


class FileWriter:
    """One upload's file, open for writing at an offset: `pwrite`, `fsync`, and only then the offset."""

    def __init__(self, catalog: Catalog, path: Path, upload: Upload, generation: int) -> None:
        """Open, never truncating what another request was promised, never making anew what was deleted.

        Raises `StorageFailed`, caused by `FileNotFoundError` when the upload was ended a moment ago.
        """
        self.offset = upload.offset
        self._catalog, self._uid, self._generation = catalog, upload.uid, generation
        self._lock, self._users, self._closed = threading.Lock(), 0, False
        with our_errors():
            self._file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, data: bytes) -> None:
        """See `Writer.write`."""
        view = memoryview(data)
        with self._used() as file, our_errors():
            while view:
                done = os.pwrite(file, view, self.offset)
                self.offset += done
                view = view[done:]

    def mark(self) -> object:
        """See `Writer.mark`."""
        return self.offset

    def keep(self, mark: object) -> None:
        """See `Writer.keep`; a failed fsync is never retried."""
        assert isinstance(mark, int)
        with self._used() as file:
            flush(file)
        self._catalog.advance(self._uid, self._generation, mark)

    def close(self) -> None:
        """See `Writer.close`; a thread that is still at it, for a request that was given up, closes it when it ends."""
        with self._lock:
            self._closed, was_closed = True, self._closed
            if not self._users and not was_closed:
                os.close(self._file)

    @contextmanager
    def _used(self) -> Iterator[int]:
        """The file's number, which becomes nobody else's meanwhile; raises `StorageFailed` once it is closed."""
        with self._lock:
            if self._closed:
                raise StorageFailed("Somebody writes who is no longer asked to.")
            self._users += 1
        try:
            yield self._file
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._closed:
                    os.close(self._file)


def is_over(catalog: Catalog, uid: str) -> bool:
    """Whether nobody needs the plain text of an upload: it ended, or lies encrypted by now."""
    try:
        ended = catalog.upload(uid).state == TERMINATED
        return ended or catalog.is_purged(uid) or catalog.sealed(uid) is not None
    except OriginalPurged:
        return True
    except NotFound:
        return False  # see `strangers`
