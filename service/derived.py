"""Derived pictures: a few made at a time, a short queue behind them, the latest kept within a byte budget."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from service.crews import Crew
from service.errors import Overloaded

PATIENCE = 15.0
"""Seconds a picture may wait until somebody begins it."""


class Made(NamedTuple):
    """A finished picture and how it came about."""

    body: bytes
    hit: bool
    """Whether it was in memory."""
    seconds: float = 0.0
    """Waiting and making."""


class Workshop:
    """Makes each picture once, however many ask for it at the same time."""

    def __init__(self, workers: int, waiting: int, budget: int) -> None:
        """`waiting` more than `workers` may be under way; `budget` is in bytes."""
        self._crew = Crew("derived", workers, patience=PATIENCE)
        self._most = workers + waiting
        self._budget = budget
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[str, asyncio.Task[bytes]] = {}

    async def make(self, key: str, work: Callable[[], bytes]) -> Made:
        """The picture `key` names; raises `Overloaded` when too many wait, and what `work` raises."""
        kept = self.kept(key)
        if kept is not None:
            return Made(kept, hit=True)
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= self._most:
                raise Overloaded
            task = self._under_way[key] = asyncio.create_task(self._run(key, work))
            task.add_done_callback(_seen)
        began = time.perf_counter()
        # the others who wait for it must not lose it because one of them left
        body = await asyncio.shield(task)
        return Made(body, hit=False, seconds=time.perf_counter() - began)

    def kept(self, key: str) -> bytes | None:
        """The picture `key` names if it is in memory."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def peek(self, key: str) -> bytes | None:
        """The same from any thread; the picture grows no younger by it."""
        return self._kept.get(key)

    def close(self) -> None:
        """Take no more work."""
        self._crew.close()

    async def _run(self, key: str, work: Callable[[], bytes]) -> bytes:
        try:
            body = await self._crew.run(work)
            self._keep(key, body)
            return body
        finally:
            del self._under_way[key]

    def _keep(self, key: str, body: bytes) -> None:
        if len(body) > self._budget:
            return
        self._kept[key] = body
        self._bytes += len(body)
        while self._bytes > self._budget:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def cache_status(made: Made) -> list[tuple[bytes, bytes]]:
    """The headers that say whether a picture was in memory and how long it took (RFC 9211, Server-Timing)."""
    status = b"coverslip; hit" if made.hit else b"coverslip; fwd=miss; stored"
    return [(b"cache-status", status), (b"server-timing", b"derive;dur=%.1f" % (1000 * made.seconds))]


AT_HAND: list[tuple[bytes, bytes]] = [
    (b"cache-status", b"coverslip; hit; detail=stored"),
    (b"server-timing", b"stored"),
]
"""The same for bytes that were stored and in memory: nothing was made, and no time worth a number went by."""


def read_status(seconds: float) -> list[tuple[bytes, bytes]]:
    """The same for bytes that were stored and had to be fetched."""
    return [
        (b"cache-status", b"coverslip; fwd=miss; detail=stored"),
        (b"server-timing", b"read;dur=%.1f" % (1000 * seconds)),
    ]


def _seen(task: asyncio.Task[bytes]) -> None:
    """Look at the outcome, so that a failure nobody waits for any more is no complaint of the event loop."""
    if not task.cancelled():
        task.exception()
