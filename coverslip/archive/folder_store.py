"""A store in a local folder: written beside, synced, then linked to its name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from coverslip.archive.store import Kept, Spared, can_be_ours, checked, nothing_spared
from coverslip.durable import begin_flush, flush, our_errors, sync, typed
from coverslip.errors import NotFound, OutputExists

PART: Final = ".part"
"""Ends the names of files that are not whole yet; they begin with a dot, which no name of ours does."""
EARLY: Final = 32 << 20
"""Bytes after which the disk is asked to begin: what is written while more is made need not be waited for."""


class FolderStore:
    """Files below one folder, readable by us alone."""

    def __init__(self, root: Path) -> None:
        """Make the folder if it is missing; raises `StorageFailed`."""
        self._root = root
        with our_errors():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """See `Store.put`."""
        final = self._root / checked(name)
        if final.exists():
            raise OutputExists(where="store")
        part = self._root / f".{secrets.token_hex(8)}{PART}"
        try:
            _write(part, chunks)
            self._make_parents(final)
            _link(part, final)
        finally:
            with our_errors():
                part.unlink(missing_ok=True)
        sync(final.parent)

    def stat(self, name: str) -> Kept:
        """See `Store.stat`."""
        path = self._root / checked(name)
        with _found():
            return Kept(name, path.stat().st_size, _since(path))

    def read(self, name: str, length: int, offset: int) -> bytes:
        """See `Store.read`."""
        with _found(), (self._root / checked(name)).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)

    def names(self, prefix: str = "") -> Iterator[Kept]:
        """See `Store.names`."""
        with our_errors():
            found = [path for path in self._root.rglob("*") if not path.name.startswith(".") and path.is_file()]
        for path in found:
            name = path.relative_to(self._root).as_posix()
            with suppress(FileNotFoundError):  # removed a moment ago
                if name.startswith(prefix) and can_be_ours(name):
                    yield Kept(name, path.stat().st_size, _since(path))

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        path = self._root / checked(name)
        with our_errors():
            path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync(path.parent)

    def abandon(self, before: datetime, but: Spared = nothing_spared) -> int:
        """See `Store.abandon`."""
        with our_errors():
            begun = [path for path in self._root.glob(f".*{PART}") if not but("", path.name)]
            dead = [path for path in begun if _since(path) < before]
            for path in dead:
                path.unlink(missing_ok=True)
        return len(dead)

    def _make_parents(self, final: Path) -> None:
        for parent in reversed(final.relative_to(self._root).parents[:-1]):
            with our_errors():
                (self._root / parent).mkdir(mode=0o700, exist_ok=True)
            sync((self._root / parent).parent)


def _write(part: Path, chunks: Iterable[bytes]) -> None:
    with our_errors():
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    written = begun = 0
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            with our_errors():
                while view:
                    done = os.write(handle, view)
                    view, written = view[done:], written + done
            if written - begun >= EARLY:
                begin_flush(handle, begun, written - begun)
                begun = written
        flush(handle)
    finally:
        os.close(handle)


def _link(part: Path, final: Path) -> None:
    # A link, because a rename would replace what another process has just given the same name.
    try:
        os.link(part, final)
    except FileExistsError as error:
        raise OutputExists(where="store") from error
    except OSError as error:
        raise typed(error) from error


@contextmanager
def _found() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound from error
    except OSError as error:
        raise typed(error) from error


def _since(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
