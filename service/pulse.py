"""A heartbeat for live pages: one look at the catalogue a second for all of them, and only while somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable

from starlette.concurrency import run_in_threadpool

from coverslip.errors import CoverslipError
from coverslip.scarcity import is_scarcity

INTERVAL = 1.0
"""Seconds between looks."""
KEEPALIVE = 15.0
"""Seconds of silence after which a comment keeps proxies from closing the stream."""
WATCHERS = 500


class Pulse:
    """Ticks whenever `look` sees something else than before."""

    def __init__(self, look: Callable[[], Hashable]) -> None:
        """`look` blocks and returns something that compares equal while nothing has changed."""
        self._look = look
        self._beat = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.watchers = 0
        self.number = 0

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events: `changed` with a counter, and comments in between."""
        self.watchers += 1
        try:
            self._task = self._task or asyncio.create_task(self._run())
            yield b"retry: 2000\nevent: hello\ndata: 0\n\n"
            while True:
                yield await self._next()
        finally:
            self.watchers -= 1

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(KEEPALIVE):
                await self._beat.wait()
        except TimeoutError:
            return b": still here\n\n"
        return b"event: changed\ndata: %d\n\n" % self.number

    async def _run(self) -> None:
        """Look until nobody watches; the last state seen is not carried over to the next watcher."""
        try:
            seen = await self._seen(None)
            while self.watchers:
                await asyncio.sleep(INTERVAL)
                now = await self._seen(seen)
                if now != seen:
                    seen = now
                    self._tick()
        finally:
            self._task = None

    async def _seen(self, before: Hashable) -> Hashable:
        """A look; while there is none to be had it looks as before: whoever has a page open hears of the rest then."""
        try:
            return await run_in_threadpool(self._look)
        except CoverslipError:  # the catalogue is away
            return before
        except RuntimeError as error:  # there is no thread
            if not is_scarcity(error):
                raise
            return before

    def _tick(self) -> None:
        self.number += 1
        beat, self._beat = self._beat, asyncio.Event()
        beat.set()
