"""Derived pictures: a few made at a time, a short queue behind them, the latest kept within a byte budget."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from service.errors import Overloaded


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
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="derived")
        self._workers, self._long = workers, 0
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

    @contextmanager
    def long(self) -> Iterator[None]:
        """Held by a download made while it is sent; raises `Overloaded` when as many are as pictures at a time."""
        if self._long >= self._workers:
            raise Overloaded
        self._long += 1
        try:
            yield
        finally:
            self._long -= 1

    def kept(self, key: str) -> bytes | None:
        """The picture `key` names if it is in memory."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, key: str, work: Callable[[], bytes]) -> bytes:
        try:
            body = await asyncio.get_running_loop().run_in_executor(self._pool, work)
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


def _seen(task: asyncio.Task[bytes]) -> None:
    """Look at the outcome, so that a failure nobody waits for any more is no complaint of the event loop."""
    if not task.cancelled():
        task.exception()
