"""A mark in shared memory that changes when a key is revoked: what a process believed before, it believes no more.

Who serves tiles cannot ask the catalogue for each of them, and a revoked key must not open the next one. So a process
remembers who a credential stands for together with the mark it saw before it asked; looking at the mark costs a tenth
of a microsecond. The mark reaches every process of one machine at once. Another machine that shares the folder sees it
when its file system does; whoever believes for seconds only is bounded by those.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

from coverslip.durable import our_errors

BYTES: Final = 8


class Revocations:
    """The mark."""

    def __init__(self, path: Path) -> None:
        """Share the mark at `path` with everybody who opens it; raises `StorageFailed`."""
        with our_errors("revocations"):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(handle, BYTES)
                self._mark = mmap.mmap(handle, BYTES)
            finally:
                os.close(handle)

    def mark(self) -> bytes:
        """What stands there now."""
        return self._mark[:BYTES]

    def change(self) -> None:
        """Let nobody believe any more what was so before; to be called when a revocation is written down."""
        self._mark[:BYTES] = os.urandom(BYTES)
