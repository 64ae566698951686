"""Whoever was stopped while it held a lock that everybody else waits for, and how it is woken.

A process that is killed loses its locks. One that is stopped (SIGSTOP, Ctrl-Z) keeps them until somebody wakes it, and
SQLite has one lock for all who write: then nobody takes, finishes or receives anything. Waking does no harm, for what
it still believes to hold is asked of the catalogue first: a lease that ran out meanwhile is refused.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

LOCKS: Final = Path("/proc/locks")
_EXCLUSIVE: Final = re.compile(r"^\d+: (?:POSIX|FLOCK) +\w+ +WRITE (\d+) [0-9a-f]+:[0-9a-f]+:(\d+) ", re.MULTILINE)
"""Process and inode of a lock (proc(5))."""


def wake_holders(*paths: Path) -> int:
    """Wake each stopped process that holds one of these files for itself alone; returns how many there were.

    Sees what this machine runs, in a container what the container does, and wakes what we may send signals to.
    """
    return sum(_has_open(pid, path) and wake(pid) for path in paths for pid in _holders(path))


def wake(pid: int) -> bool:
    """Let a process go on that a signal stopped; False for every other one. One a debugger holds is the debugger's."""
    with suppress(OSError):  # it ended meanwhile, or is somebody else's
        process = os.pidfd_open(pid)  # by its handle: its number may be another's a moment later
        try:
            if is_stopped(Path(f"/proc/{pid}/stat").read_bytes()):
                signal.pidfd_send_signal(process, signal.SIGCONT)
                return True
        finally:
            os.close(process)
    return False


def is_stopped(stat: bytes) -> bool:
    """What `/proc/<pid>/stat` says of it (proc(5))."""
    return stat.rpartition(b")")[2].split()[:1] == [b"T"]


def _holders(path: Path) -> Iterator[int]:
    try:
        inode, locks = path.stat().st_ino, LOCKS.read_text(encoding="ascii")
    except OSError:  # no such file, or a system that does not tell
        return
    yield from {int(pid) for pid, of in _EXCLUSIVE.findall(locks) if int(of) == inode}


def _has_open(pid: int, path: Path) -> bool:
    """Inodes are numbered anew on each file system, and the list's name for that one may differ from `stat`'s.

    Workers and services keep to themselves, so that only root may look: then the number alone has to do.
    """
    try:
        wanted, entries = path.stat(), list(Path(f"/proc/{pid}/fd").iterdir())
    except PermissionError:
        return True
    except OSError:
        return False
    return any(_is(entry, wanted) for entry in entries)


def _is(entry: Path, wanted: os.stat_result) -> bool:
    with suppress(OSError):  # it was closed meanwhile
        return os.path.samestat(entry.stat(), wanted)
    return False
