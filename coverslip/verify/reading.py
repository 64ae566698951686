"""Bounded reads from one open file: positions are checked, nothing is mapped, so memory stays flat."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from coverslip.errors import DamagedSlide, StorageFailed


class Bytes:
    """A file as numbered bytes. Raises `StorageFailed` when the machine fails, `DamagedSlide` when the file ends."""

    def __init__(self, path: Path) -> None:
        """Open for reading; the descriptor is closed by `close` or the `with` block."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise StorageFailed("the file could not be opened") from error

    def __enter__(self) -> Bytes:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def check(self, offset: int, count: int, where: str) -> None:
        """Raise `DamagedSlide` unless `count` bytes stand at `offset`."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise DamagedSlide("points outside the file", where=where)

    def read(self, offset: int, count: int, where: str) -> bytes:
        """Exactly `count` bytes at `offset`; the caller bounds `count`."""
        self.check(offset, count, where)
        try:
            data = os.pread(self._descriptor, count, offset)
        except OSError as error:
            raise StorageFailed("the file could not be read") from error
        if len(data) != count:
            raise DamagedSlide("ends early", where=where)
        return data

    def into(self, buffer: memoryview, offset: int, where: str) -> None:
        """Fill `buffer` from `offset`."""
        self.check(offset, len(buffer), where)
        try:
            done = os.preadv(self._descriptor, [buffer], offset)
            while done < len(buffer):
                more = os.preadv(self._descriptor, [buffer[done:]], offset + done)
                if not more:
                    raise DamagedSlide("ends early", where=where)
                done += more
        except OSError as error:
            raise StorageFailed("the file could not be read") from error
