"""Bytes of an upload on their way to the disk: written where the acknowledged ones end, synced before promised.

The offset in the catalogue is a promise that those bytes survive a power cut. So: `pwrite` at the offset, `fsync`,
and only then commit the new offset. Bytes beyond the committed offset are overwritten by whoever comes next.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from coverslip.archive.storage import Storage
from coverslip.durable import flush, our_errors
from coverslip.errors import StorageFailed, StorageFull
from service.errors import Superseded, TooLarge, UploadExpired, UploadStalled

WRITE_BYTES = 1 << 20
"""One hop to a thread per this many bytes; uvicorn hands out 64 KiB at a time."""
SYNC_BYTES = 4 << 20
"""A promise per this many bytes, kept while the next as many come in. With what `express` lets lie in the kernel a
fault costs the client at most 16 MiB."""
ROOM_FACTOR = 3.5
"""The opened original, the clean slide and its derived tiles need room beside the encrypted original."""

Acknowledge = Callable[[int], Awaitable[None]]
"""Commits a new offset; raises `LeaseLost` when a newer request has taken over."""


class Target:
    """One upload's file in the PHI zone, open for writing at an offset."""

    def __init__(self, path: Path, offset: int) -> None:
        """Open, never truncating what another request was promised, never making anew what was deleted.

        Raises `UploadExpired` when the upload was ended a moment ago, `StorageFailed`.
        """
        self.offset = offset
        with unless_ended(), our_errors():
            self._file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, data: bytes) -> None:
        """Put `data` where the last write ended."""
        view = memoryview(data)
        with our_errors():
            while view:
                done = os.pwrite(self._file, view, self.offset)
                self.offset += done
                view = view[done:]

    def sync(self) -> None:
        """Return when the bytes would survive a power cut; a failed fsync is never retried."""
        flush(self._file)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._file)


class _Keeper:
    """Gathers small pieces, writes in big ones, promises every `SYNC_BYTES`: one promise is kept while more comes."""

    def __init__(self, target: Target, acknowledge: Acknowledge) -> None:
        self._target = target
        self._acknowledge = acknowledge
        self._asked = target.offset
        self._keeping: asyncio.Task[None] | None = None
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
        if self._target.offset - self._asked >= SYNC_BYTES:
            await self._promise()

    async def settle(self) -> None:
        """Write what is held and promise everything; the last promise is kept when this returns."""
        await self._write()
        if self._target.offset > self._asked:
            await self._promise()
        await self._kept()

    async def rest(self) -> None:
        """Return when nothing of ours uses the file any more, however that ended."""
        if self._keeping is not None:
            await asyncio.wait({self._keeping})

    async def _write(self) -> None:
        data, self._held, self._held_bytes = b"".join(self._held), [], 0
        await asyncio.to_thread(self._target.write, data)

    async def _promise(self) -> None:
        await self._kept()
        self._asked = self._target.offset
        self._keeping = asyncio.create_task(self._keep(self._asked))

    async def _kept(self) -> None:
        """The promise before; a failed one ends the request here, and nobody syncs again."""
        if self._keeping is not None:
            await asyncio.shield(self._keeping)

    async def _keep(self, offset: int) -> None:
        await asyncio.to_thread(self._target.sync)
        await self._acknowledge(offset)


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
    except (ClientDisconnect, Superseded, TooLarge, UploadStalled):
        await asyncio.shield(keeper.settle())
        raise
    else:
        await keeper.settle()
    finally:
        await keeper.rest()


class Line:
    """One request body while it comes in; somebody else may ask it to stop."""

    def __init__(self, request: Request, patience: float) -> None:
        """`patience`: seconds without a byte until `UploadStalled`."""
        self._stream = aiter(request.stream())
        self._patience = patience
        self._waiting: asyncio.Timeout | None = None
        self._stopped = False
        self.done = asyncio.Event()

    def stop(self) -> None:
        """End the body where it is; `pieces` raises `Superseded`."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.reschedule(0)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises `UploadStalled`, `Superseded` or starlette's `ClientDisconnect`."""
        while not self._stopped:
            try:
                async with asyncio.timeout(self._patience) as self._waiting:
                    piece = await anext(self._stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise (Superseded() if self._stopped else UploadStalled()) from None
            finally:
                self._waiting = None
            yield piece
        raise Superseded


class Floor:
    """Who writes which upload in this process: the newest request stops an older one and waits until it has settled."""

    def __init__(self) -> None:
        """Nobody writes yet."""
        self._lines: dict[str, Line] = {}

    async def clear(self, uid: str) -> None:
        """Return when nobody writes `uid` here any more and what came is promised."""
        while line := self._lines.get(uid):
            line.stop()
            await line.done.wait()

    @asynccontextmanager
    async def taken(self, uid: str, line: Line) -> AsyncIterator[Line]:
        """Be the one who writes `uid`."""
        await self.clear(uid)
        self._lines[uid] = line
        try:
            yield line
        finally:
            del self._lines[uid]
            line.done.set()


@contextmanager
def unless_ended() -> Iterator[None]:
    """A file that is missing was deleted with its upload."""
    try:
        yield
    except StorageFailed as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UploadExpired from error
        raise


def require_room(storage: Storage, length: int, promised: int, reserve: float) -> None:
    """Raise `StorageFull` unless `length` more, what comes of it and what is `promised` to others would fit.

    `reserve` is the share of the file system that stays free.
    """
    if storage.free_bytes() < length * ROOM_FACTOR + promised + storage.total_bytes() * reserve:
        raise StorageFull
