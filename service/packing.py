"""Archives that are made while they are sent: one thread for all of them, so that tiles and pictures go before.

A piece is made when the one before it was taken. Archives take turns piece by piece, and a slow receiver holds up none
but itself; what an archive costs in memory is its directory, so their number is bounded.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from coverslip.pyramid import Pyramid
from coverslip.pyramid.thumbnail import TileSource
from service.derived import Workshop
from service.errors import Overloaded
from service.quick import key_of

ARCHIVES: Final = 16
"""Archives under way in one process; their directories have a hundred bytes per tile."""
REMEMBERED: Final = 1024
"""Archives whose digest is known."""


class Packing:
    """Who makes archives."""

    def __init__(self, workshop: Workshop) -> None:
        """`workshop` may have a tile already; what is made here is not kept, or it would leave room for nothing."""
        self._workshop = workshop
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="archives")
        self._free = threading.BoundedSemaphore(ARCHIVES)
        self._digests: OrderedDict[str, str] = OrderedDict()

    def tiles_of(self, pyramid: Pyramid) -> TileSource:
        """A pyramid's tiles, from memory where they were made a moment ago."""

        def tile(dz_level: int, column: int, row: int) -> bytes:
            place = (dz_level, column, row)
            kept = self._workshop.peek(key_of(pyramid, place)) if pyramid.on_request(*place) else None
            return pyramid.tile(*place) if kept is None else kept

        return tile

    def sent(
        self, chunks: Iterator[bytes], headers: Mapping[str, str], status: int = 200, name: str | None = None
    ) -> Packed:
        """The answer that sends them; raises `Overloaded` when too many archives are under way.

        `name` stands for these bytes: once they were all sent, `digest` knows them.
        """
        if not self._free.acquire(blocking=False):
            raise Overloaded
        known = chunks if name is None or name in self._digests else self._digested(chunks, name)
        return Packed(self._pieces(known), headers, status, self._free)

    def digest(self, name: str) -> str | None:
        """The Repr-Digest (RFC 9530) of an archive this process has made to its end before."""
        return self._digests.get(name)

    def _digested(self, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in chunks:
            digest.update(piece)
            yield piece
        self._digests[name] = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        while len(self._digests) > REMEMBERED:
            self._digests.popitem(last=False)

    async def _pieces(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while (piece := await loop.run_in_executor(self._pool, next, chunks, None)) is not None:
            yield piece


class Packed(StreamingResponse):
    """An archive on its way; its place is free again when it is sent, or when nobody wants it any more."""

    def __init__(
        self, pieces: AsyncIterator[bytes], headers: Mapping[str, str], status: int, place: threading.BoundedSemaphore
    ) -> None:
        """`place` is held already."""
        super().__init__(pieces, status, headers)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._place.release()
