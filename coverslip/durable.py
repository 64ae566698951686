"""What makes bytes last: fsync, and the operating system's complaints as errors of our tree.

A failed fsync is never tried again, because the kernel forgets what it could not write; the process is in doubt for a
while instead (operations.md, decision 18).
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from coverslip.clearing import clear
from coverslip.errors import StorageFailed, StorageFull

DOUBT: Final = timedelta(seconds=60)
"""How long a process is not ready after a failed fsync; by itself it comes back, each failure begins anew."""
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT))
_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE: begin, and wait for nothing (sync_file_range(2))."""
_sync_file_range: Final = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def sync(path: Path) -> None:
    """Make a file, or a folder's entries, last through a power cut; raises `StorageFull` or `StorageFailed`."""
    with our_errors():
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flush(handle)
    finally:
        os.close(handle)


def flush(handle: int) -> None:
    """Make what was written through `handle` last.

    Raises `StorageFull` or `StorageFailed`, and puts all storage in doubt then.
    """
    try:
        with our_errors():
            os.fsync(handle)
    except StorageFailed:
        _doubt.since = time.monotonic()
        raise


def begin_flush(handle: int, start: int, length: int) -> None:
    """Wish that the disk begins with these bytes of a file now, so that `flush` has less to wait for.

    Nothing comes of it where the kernel has no such call; what goes wrong with the bytes, `flush` says.
    """
    if _sync_file_range is not None:
        _sync_file_range(handle, start, length, _WRITE)


def remove(folder: Path) -> None:
    """Delete a folder, if it is there; raises `OSError`.

    Renamed first, so that a crash in mid-delete never leaves half a folder under a name that means something.
    """
    doomed = folder.with_name(f".{folder.name[:48]}.{secrets.token_hex(4)}")
    with suppress(FileNotFoundError):  # it is not there, or another process is faster
        folder.rename(doomed)
        clear(doomed)


def is_in_doubt() -> bool:
    """Whether an fsync of this process failed within `DOUBT`: until then we ask to be left out."""
    return _doubt.since is not None and time.monotonic() - _doubt.since < DOUBT.total_seconds()


@dataclass(slots=True)
class _Doubt:
    since: float | None = None


_doubt = _Doubt()
"""One for the process: the kernel tells of a failed write-back once, to whoever syncs first."""


@contextmanager
def our_errors(where: str = "") -> Iterator[None]:
    """Turn the operating system's complaints into `StorageFull` or `StorageFailed`, without a path in the text."""
    try:
        yield
    except OSError as error:
        raise typed(error, where) from error


def typed(error: OSError, where: str = "") -> StorageFailed:
    """One complaint of the operating system as an error of our tree."""
    if error.errno in _FULL:
        return StorageFull(where=where)
    return StorageFailed(f"The file system said {errno.errorcode.get(error.errno or 0, 'no')}.", where=where)
