"""Local copies of clean slides that lie in a bucket, for the few answers that need a whole file; tiles never do."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from coverslip.archive.store import Stored
from coverslip.durable import our_errors
from coverslip.errors import StorageFailed
from service.forgetting import Artefact

PIECE: Final = 8 << 20
"""Bytes asked of the bucket at once."""
ABANDONED: Final = 24 * 3600.0
"""Seconds after which nobody fetches a file any more."""


class Copies:
    """A folder of copies, the longest unused deleted when it grows too large; whatever is in it may be deleted."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit`: bytes, beyond which only the copy just asked for is kept."""
        self._folder = folder
        self._limit = limit
        self._locks: defaultdict[Artefact, threading.Lock] = defaultdict(threading.Lock)
        with our_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, artefact: Artefact, stored: Stored) -> Path:
        """The file as it lies on this machine, fetched if need be; open it at once, it may be deleted later.

        Raises `NotFound`, `StorageFull` or `StorageFailed`.
        """
        if stored.path is not None:
            return stored.path
        final = self._folder / _name(artefact)
        with self._locks[artefact]:
            try:
                os.utime(final)
            except FileNotFoundError:
                self._fetch(stored, final)
        self._make_room(final)
        return final

    def held(self) -> set[Artefact]:
        """See `Holder.held`."""
        return {_artefact(path) for _, _, path in self._deletable() if not path.name.startswith(".")}

    def forget(self, gone: Collection[Artefact]) -> None:
        """See `Holder.forget`."""
        for artefact in gone:
            self._delete(self._folder / _name(artefact))

    def _fetch(self, stored: Stored, final: Path) -> None:
        part = final.with_name(f".{secrets.token_hex(8)}")
        try:
            with our_errors(), part.open("xb") as file:
                for offset in range(0, stored.size, PIECE):
                    piece = stored.read(min(PIECE, stored.size - offset), offset)
                    if len(piece) != min(PIECE, stored.size - offset):
                        raise StorageFailed("A file in the bucket ends early.", where="s3")
                    file.write(piece)
            with our_errors():
                part.replace(final)
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, kept: Path) -> None:
        found = sorted(self._deletable())
        self._forget_locks({_artefact(path) for _, _, path in found})
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self._limit:
                return
            if path != kept:
                self._delete(path)
                total -= size

    def _delete(self, path: Path) -> None:
        """And what was kept for it: whoever fetches it at this moment beside another does so twice, and whole."""
        with our_errors():
            path.unlink(missing_ok=True)
        self._locks.pop(_artefact(path), None)

    def _forget_locks(self, here: Collection[Artefact]) -> None:
        """Of copies that another process deleted, or that could not be fetched: nothing grows with what was asked."""
        for artefact, lock in tuple(self._locks.items()):
            if artefact not in here and not lock.locked():
                self._locks.pop(artefact, None)

    def _deletable(self) -> Iterator[tuple[float, int, Path]]:
        """(last used, bytes, path) of every copy, and of what a dead process fetched half."""
        with our_errors():
            for entry in os.scandir(self._folder):
                with suppress(FileNotFoundError):  # another process makes room, too
                    found = entry.stat()
                    if not entry.name.startswith(".") or found.st_mtime < time.time() - ABANDONED:
                        yield found.st_mtime, found.st_size, Path(entry.path)


def _name(artefact: Artefact) -> str:
    return ".".join(artefact)


def _artefact(path: Path) -> Artefact:
    sid, _, artefact = path.name.partition(".")
    return sid, artefact
