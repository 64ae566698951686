"""Bytes to a new file: rebuilt pieces gathered in a buffer, copied runs moved by the kernel."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, ParamSpec, TypeVar

from coverslip.durable import typed
from coverslip.errors import StorageFailed

BUFFER: Final = 4 << 20
DIRECT: Final = 256 << 10
"""Runs from this length on go through `copy_file_range`; shorter ones are cheaper in the buffer."""

P = ParamSpec("P")
R = TypeVar("R")

_NO_KERNEL_COPY = frozenset((errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM))


class Emitter:
    """Writes a new file front to back. Raises StorageFull or StorageFailed."""

    def __init__(self, target: Path) -> None:
        """Create `target`; it must not exist."""
        self._out = _guarded(os.open, target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._pending = bytearray()
        self._kernel_copy = True

    def add(self, data: bytes) -> None:
        """Append rebuilt bytes."""
        self._pending += data
        if len(self._pending) >= BUFFER:
            self._flush()

    def copy(self, source: int, start: int, stop: int) -> None:
        """Append bytes [start, stop) of the file behind the descriptor `source`."""
        if stop - start < DIRECT:
            self.add(_exactly(source, stop - start, start))
            return
        self._flush()
        while start < stop and self._kernel_copy:
            start += self._copy_range(source, start, stop - start)
        while start < stop:
            data = _exactly(source, min(BUFFER, stop - start), start)
            self._write(data)
            start += len(data)

    def _copy_range(self, source: int, start: int, count: int) -> int:
        try:
            copied = os.copy_file_range(source, self._out, min(count, 1 << 30), start)
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise typed(error) from error
            copied = 0
        self._kernel_copy = copied > 0
        return copied

    def _flush(self) -> None:
        if self._pending:
            self._write(self._pending)
            self._pending = bytearray()

    def _write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            view = view[_guarded(os.write, self._out, view) :]

    def finish(self) -> None:
        """Hand everything to the kernel; `durable.sync` makes it last."""
        self._flush()

    def __enter__(self) -> Emitter:
        """The emitter itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        """Finish unless something failed; close either way."""
        try:
            if kind is None:
                self.finish()
        finally:
            os.close(self._out)


def _exactly(source: int, count: int, start: int) -> bytes:
    data = _guarded(os.pread, source, count, start)
    if len(data) != count:
        raise StorageFailed("the source became shorter while it was copied")
    return data


def _guarded(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    try:
        return function(*arguments, **named)
    except OSError as error:
        raise typed(error) from error
