"""Bytes of an upload on their way to the disk: written where the acknowledged ones end, synced before they are promised.

The offset in the catalogue is a promise that those bytes survive a power cut. So: `pwrite` at the offset, `fsync`, and only
then commit the new offset. Bytes beyond the committed offset are overwritten by whoever comes next.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from coverslip.errors import StorageFailed, StorageFull
from service.errors import TooLarge, UploadStalled

WRITE_BYTES = 1 << 20
"""One hop to a thread per this many bytes; uvicorn hands out 64 KiB at a time."""
SYNC_BYTES = 16 << 20
"""At most this much is sent again after a fault."""
ROOM_FACTOR = 2.5
"""The clean slide and its derived tiles need room beside the original."""
ROOM_SHARE = 0.05
"""Share of the file system that stays free."""
_NO_ROOM = (28, 122)  # ENOSPC, EDQUOT

Acknowledge = Callable[[int], Awaitable[None]]
"""Commits a new offset; raises `LeaseLost` when a newer request has taken over."""


class Target:
    """One upload's file in the PHI zone, open for writing at an offset."""

    def __init__(self, path: Path, offset: int) -> None:
        """Open without ever truncating what another request may just have been promised."""
        self.offset = offset
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _storage(error) from None

    def write(self, data: bytes) -> None:
        """Put `data` where the last write ended."""
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self._file, view, self.offset)
                self.offset += done
                view = view[done:]
        except OSError as error:
            raise _storage(error) from None

    def sync(self) -> None:
        """Return when the bytes would survive a power cut; a failed fsync is never retried."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise _storage(error) from None

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._file)


class _Keeper:
    """Gathers small pieces, writes in big ones, promises every `SYNC_BYTES`."""

    def __init__(self, target: Target, acknowledge: Acknowledge) -> None:
        self._target = target
        self._acknowledge = acknowledge
        self._promised = target.offset
        self._held: list[bytes] = []
        self._held_bytes = 0

    @property
    def end(self) -> int:
        """Offset behind everything taken so far."""
        return self._target.offset + self._held_bytes

    async def take(self, piece: bytes) -> None:
        """Hold one piece; write and promise when enough has come together."""
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= WRITE_BYTES:
            await self._write()
        if self._target.offset - self._promised >= SYNC_BYTES:
            await self._promise()

    async def settle(self) -> None:
        """Write what is held and promise everything."""
        await self._write()
        if self._target.offset > self._promised:
            await self._promise()

    async def _write(self) -> None:
        data, self._held, self._held_bytes = b"".join(self._held), [], 0
        await asyncio.to_thread(self._target.write, data)

    async def _promise(self) -> None:
        await asyncio.to_thread(self._target.sync)
        await self._acknowledge(self._target.offset)
        self._promised = self._target.offset


async def receive(pieces: AsyncIterator[bytes], target: Target, length: int, acknowledge: Acknowledge) -> None:
    """Take a request body down to the disk; what arrived is kept and promised also when the body breaks off.

    Raises `TooLarge` when more comes than was announced, `LeaseLost` when a newer request has taken over,
    `StorageFailed`, and what `pieces` raises.
    """
    keeper = _Keeper(target, acknowledge)
    try:
        async for piece in pieces:
            if keeper.end + len(piece) > length:
                raise TooLarge("More bytes than Upload-Length announced.")
            await keeper.take(piece)
    except (ClientDisconnect, UploadStalled, TooLarge):
        await asyncio.shield(keeper.settle())
        raise
    await keeper.settle()


async def pieces_of(request: Request, patience: float) -> AsyncIterator[bytes]:
    """The body as it comes; raises `UploadStalled` when nothing comes for `patience` seconds."""
    stream = aiter(request.stream())
    try:
        while True:
            async with asyncio.timeout(patience):
                piece = await anext(stream)
            yield piece
    except StopAsyncIteration:
        return
    except TimeoutError:
        raise UploadStalled from None


def digest(path: Path) -> str:
    """Hex SHA-256 of what is on the disk now: a bit that flipped after it was written must show."""
    try:
        with path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _storage(error) from None


def require_room(folder: Path, length: int, promised: int = 0) -> None:
    """Raise `StorageFull` unless an upload of `length`, what comes of it and what is `promised` to others would fit."""
    try:
        stat = os.statvfs(folder)
    except OSError as error:
        raise _storage(error) from None
    free, size = stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize
    if free < length * ROOM_FACTOR + promised + size * ROOM_SHARE:
        raise StorageFull


def _storage(error: OSError) -> StorageFailed:
    """Only the kind of failure; the system's text names a path."""
    return StorageFull() if error.errno in _NO_ROOM else StorageFailed()
