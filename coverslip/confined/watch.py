"""What a supervisor sees of a child from outside: how many threads it has, and all it has written, named or not.

The kernel bounds one file, one address space, one thread's CPU time. What it leaves open is looked at here:
many files, files that were deleted while they are open or mapped, room taken past a file's end, folders without end.
"""

from __future__ import annotations

import os
import select
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coverslip import stopped
from coverslip.confined.layers import Limits, most_threads
from coverslip.errors import LimitExceeded

BLOCK: Final = 4096
"""Bytes that even an empty file or folder costs."""
DEEPEST: Final = 32
"""Folders in each other; ours are no deeper than four."""
EVERY: Final = 1.0
"""Seconds between two looks at what was written, or more where looking takes long."""
SHARE: Final = 20
"""One part in so many of the time is spent on looking."""


@dataclass
class Watch:
    """Watches one child, and its twin once it has one, which ends with it."""

    pids: list[int]
    handle: int
    """The child's pidfd: readable when it has ended, and its number may be somebody else's."""
    out_dir: Path
    limits: Limits
    _next: float = field(default_factory=lambda: time.monotonic() + EVERY)

    def look(self) -> None:
        """Raise `LimitExceeded` when the child has more than it may; costs microseconds most of the time."""
        for pid in self.pids:
            status = _told(pid, "stat")
            if _threads(status) > most_threads():
                self._stop("The child started more threads than it may.")
            if stopped.is_stopped(status):  # whoever stopped it, and be it itself, stops the slide's only work
                stopped.wake(pid)
        begin = time.monotonic()
        if begin < self._next:
            return
        if named(self.out_dir) + sum(map(_unnamed, self.pids)) > self.limits.output:
            self._stop("The child wrote more than its slide allows.")
        if self._hides():
            self._stop("The child hides what it writes.")
        now = time.monotonic()
        self._next = now + max(EVERY, SHARE * (now - begin))

    def _stop(self, why: str) -> None:
        if not select.select([self.handle], [], [], 0)[0]:
            raise LimitExceeded(why)

    def _hides(self) -> bool:
        """Whether a file of its folder is mapped that has no name any more: nobody can say how large it is."""
        ours = os.fsencode(self.out_dir.resolve()) + b"/"
        maps = (line for pid in self.pids for line in _told(pid, "maps").splitlines())
        return any(ours in line and line.endswith(b" (deleted)") for line in maps)


def _threads(status: bytes) -> int:
    fields = status.rpartition(b")")[2].split()
    return int(fields[17]) if len(fields) > 17 else 0


def _unnamed(pid: int) -> int:
    """Bytes of files that are open and have no name any more, where we may look."""
    total = 0
    with suppress(OSError):
        for handle in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found = handle.stat()
                if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                    total += _cost(found)
    return total


def _told(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it is gone, or not ours to look at
        return b""


def named(folder: Path) -> int:
    """Bytes of all there is below a folder, every entry at least a block. Raises LimitExceeded for a bottomless one."""
    total, waiting = 0, [(os.fspath(folder), 0)]
    while waiting:
        path, depth = waiting.pop()
        if depth > DEEPEST:
            raise LimitExceeded("The child made folders without end.")
        with suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                with suppress(OSError):
                    total += _cost(entry.stat(follow_symlinks=False))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
    return total


def _cost(found: os.stat_result) -> int:
    return max(found.st_size, found.st_blocks * 512, BLOCK)
