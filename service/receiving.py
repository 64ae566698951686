"""Bytes of an upload on their way in: written where the acknowledged ones end, kept for good before promised.

The offset in the catalogue is a promise that those bytes survive a power cut; `coverslip.archive.arrivals` keeps it.
Bytes beyond it are written again by whoever comes next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.requests import ClientDisconnect, Request

from coverslip.archive.arrivals import Writer
from coverslip.archive.records import Load
from coverslip.archive.storage import ROOM_FACTOR, Storage
from coverslip.errors import StorageFailed, StorageFull
from service.crews import UPLOADING
from service.errors import Superseded, TooLarge, UploadExpired, UploadStalled

WRITE_BYTES = 1 << 20
"""One hop to a thread per this many bytes; uvicorn hands out 64 KiB at a time."""
SYNC_BYTES = 4 << 20
"""A promise per this many bytes, kept while the next as many come in. With what `express` lets lie in the kernel a
fault costs the client at most 16 MiB."""
STEP_BYTES = 64 << 10
"""What has to come within a line's patience: with 30 seconds 2 kB/s, which the slowest modem brings."""


class _Keeper:
    """Gathers small pieces, writes in big ones, promises every `SYNC_BYTES`: one promise is kept while more comes."""

    def __init__(self, target: Writer) -> None:
        self._target = target
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
        await self._kept()
        if self.end > self._asked:
            self._asked = self.end
            self._keeping = asyncio.create_task(UPLOADING.run(self._write_and_keep, self._taken()))
            await self._kept()

    async def rest(self) -> None:
        """Return when nothing of ours uses the writer any more, however that ended."""
        if self._keeping is not None:
            await asyncio.wait({self._keeping})

    def _taken(self) -> bytes:
        data, self._held, self._held_bytes = b"".join(self._held), [], 0
        return data

    async def _write(self) -> None:
        await UPLOADING.run(self._target.write, self._taken())

    def _write_and_keep(self, data: bytes) -> None:
        self._target.write(data)
        self._target.keep(self._target.mark())

    async def _promise(self) -> None:
        await self._kept()
        self._asked = self._target.offset
        self._keeping = asyncio.create_task(UPLOADING.run(self._target.keep, self._target.mark()))

    async def _kept(self) -> None:
        """The promise before; a failed one ends the request here, and nobody syncs again."""
        if self._keeping is not None:
            await asyncio.shield(self._keeping)


async def receive(pieces: AsyncIterator[bytes], target: Writer, length: int) -> None:
    """Take a request body down; what arrived is kept and promised also when the body breaks off.

    Raises `TooLarge` when more comes than was announced, `LeaseLost` when a newer request has taken over,
    `StorageFailed`, and what `pieces` raises.
    """
    keeper = _Keeper(target)
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
        """`patience`: seconds we wait for each `STEP_BYTES` until `UploadStalled`; our own work does not count."""
        self._stream = aiter(request.stream())
        self._patience = self._left = patience
        self._came = 0
        self._waiting: asyncio.Timeout | None = None
        self._stopped = False
        self.done = asyncio.Event()

    def stop(self) -> None:
        """End the body where it is; `pieces` raises `Superseded`. Again is allowed, also while it is ending."""
        self._stopped = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(0)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises `UploadStalled`, `Superseded` or starlette's `ClientDisconnect`."""
        while not self._stopped:
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._left) as self._waiting:
                    piece = await anext(self._stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise (Superseded() if self._stopped else UploadStalled()) from None
            finally:
                self._waiting = None
            self._count(len(piece), time.monotonic() - began)
            yield piece
        raise Superseded

    def _count(self, came: int, waited: float) -> None:
        """A byte now and then is no progress: only a whole step gives new patience."""
        self._left -= waited
        self._came += came
        if self._came >= STEP_BYTES:
            self._came, self._left = 0, self._patience


class Floor:
    """Who writes which upload in this process: the newest request stops an older one and waits until it has settled."""

    def __init__(self) -> None:
        """Nobody writes yet."""
        self._lines: dict[str, Line] = {}

    def is_taken(self, uid: str) -> bool:
        """Whether somebody writes `uid` here at this moment."""
        return uid in self._lines

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


def require_room(storage: Storage, length: int, load: Load, reserve: float, *, on_disk: bool) -> None:
    """Raise `StorageFull` unless `length` more, all that was announced and what comes of it would fit.

    `reserve` is the share of the file system that stays free; `on_disk` says whether uploads take room themselves.
    """
    needed = (length + load.announced) * (ROOM_FACTOR + on_disk) - (load.arrived if on_disk else 0)
    if storage.free_bytes() < needed + storage.total_bytes() * reserve:
        raise StorageFull
