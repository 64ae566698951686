"""Threads of their own for work that may stand still: a bucket or a disk that gives no answer holds these, not others.

The catalogue, pages and everything else have starlette's threads. Who waits too long for a thread is sent away with
503 and `Retry-After`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from coverslip.scarcity import is_scarcity
from service.errors import Overloaded

T = TypeVar("T")


class Crew:
    """A few threads and a bound on who may wait for one."""

    def __init__(self, name: str, threads: int, *, waiting: int | None = None, patience: float | None = None) -> None:
        """`waiting`: calls that may wait for a thread; `patience`: seconds each waits. None: as many, as long."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = None if waiting is None else threads + waiting
        self._patience = patience
        self._lock = threading.Lock()
        self._has_threads = False
        self.under_way = 0
        """Calls that run or wait."""

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """What `call` returns or raises; raises `Overloaded` when it did not even begin."""
        with self._lock:
            if self._most is not None and self.under_way >= self._most:
                raise Overloaded
            self.under_way += 1
        begun: Future[T] = Future()
        begun.add_done_callback(self._ended)
        self._submit(begun, call, args)
        answer = asyncio.wrap_future(begun)
        try:
            await asyncio.wait({answer}, timeout=self._patience)
        except asyncio.CancelledError:
            begun.cancel()  # whoever asked is gone
            raise
        if not answer.done() and begun.cancel():
            raise Overloaded
        return await answer

    def _submit(self, begun: Future[T], call: Callable[..., T], args: tuple[object, ...]) -> None:
        """Have the call made by whichever thread is free first; raises `Overloaded` where there is none at all.

        A pool that gets no new thread raises, and keeps the call all the same: some thread would make it when whoever
        asked is gone, and write into whatever file has the number of the old one by then. So calls have futures of
        their own, which can be cancelled.
        """
        try:
            made = self._pool.submit(_make, begun, call, args)
        except RuntimeError as error:
            if not (self._has_threads and is_scarcity(error)) and begun.cancel():
                raise Overloaded from error
        else:
            self._has_threads = True
            made.add_done_callback(lambda done: done.cancelled() and begun.cancel())  # the crew was sent home

    def _ended(self, _: Future[Any]) -> None:
        with self._lock:
            self.under_way -= 1

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _make(begun: Future[T], call: Callable[..., T], args: tuple[object, ...]) -> None:
    """Make a call unless nobody waits for it any more."""
    if not begun.set_running_or_notify_cancel():
        return
    try:
        answer = call(*args)
    except BaseException as error:  # noqa: BLE001  raised again where it is waited for
        begun.set_exception(error)
        del begun, call, args  # which its traceback would hold, and with them whatever they hold open
    else:
        begun.set_result(answer)


PATIENCE: Final = 5.0
"""Seconds somebody who looks at a slide waits for a thread."""
UPLOADING: Final = Crew("upload", 64)
"""Bytes that come in; each upload uses two at most."""
FINISHING: Final = Crew("finish", 4)
"""Complete uploads that are hashed and encrypted, or read back: each takes some memory."""
LOOKING: Final = Crew("look", 32, waiting=256, patience=PATIENCE)
"""What is read of clean slides for one answer: an index, a tile, a certificate."""
WATCHING: Final = Crew("watch", 2, waiting=32, patience=PATIENCE)
"""Looks whether this process is ready, which a database that is stuck does not tell."""
FETCHING: Final = Crew("fetch", 4, waiting=32, patience=PATIENCE)
"""Whole slides that are copied from a bucket because an answer needs all of one."""
SENDING: Final = Crew("send", 16)
"""Pieces of what is downloaded; the answer has begun, so whoever downloads waits."""
