"""Where what arrives waits until it goes to a bucket: a file without a name, gone with the process that made it."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Final

from coverslip.durable import our_errors

PIECE: Final = 1 << 20


class Spool:
    """Bytes that are added at the end and read anywhere. One thread adds, others may read what was there before."""

    def __init__(self, folder: Path) -> None:
        """Raises `StorageFull` or `StorageFailed`."""
        with our_errors():
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  open as long as we are
        self.size = 0

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Put `data` behind what is there; raises `StorageFull` or `StorageFailed`."""
        view = memoryview(data)
        with our_errors():
            while view:
                done = os.pwrite(self._file.fileno(), view, self.size)
                self.size += done
                view = view[done:]

    def append(self, other: Window) -> None:
        """Put the bytes of a window behind what is there."""
        while piece := other.read(PIECE):
            self.add(piece)

    def window(self, start: int, stop: int, behind: bytes = b"") -> Window:
        """Bytes `start` to `stop`, and some more behind them."""
        return Window(self._file.fileno(), start, stop, behind)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()


class Window(io.RawIOBase):
    """Part of a file as a file of its own, with a position of its own."""

    def __init__(self, file: int, start: int, stop: int, behind: bytes) -> None:
        """Use `Spool.window`."""
        self._file, self._start, self._room, self._behind = file, start, stop - start, behind
        self._at = 0

    def __len__(self) -> int:
        """Bytes in all."""
        return self._room + len(self._behind)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Bytes from the position on, fewer at the seam and at the end; raises `StorageFailed`."""
        if size is None or size < 0:
            return self.readall()
        if self._at >= self._room:
            found = self._behind[self._at - self._room :][:size]
        else:
            with our_errors():
                found = os.pread(self._file, min(size, self._room - self._at), self._start + self._at)
        self._at += len(found)
        return found
