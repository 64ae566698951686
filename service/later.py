"""Parts that take long to load: made once, when first needed or when the first moments are over.

Whoever opens a viewer waits for the first tile, and a tile needs neither the website nor what derives pictures. Loading
those takes longer than all the rest of a start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

from coverslip.loading import loading

T = TypeVar("T")


class Later(Generic[T]):
    """One such part."""

    def __init__(self, make: Callable[[], T]) -> None:
        """`make` imports what it needs, and blocks."""
        self._make = make
        self._made: T | None = None
        self._lock = threading.Lock()

    def __call__(self) -> T:
        """The part; blocks the first time, whichever thread comes first."""
        with self._lock:
            if self._made is None:
                with loading():
                    self._made = self._make()
            return self._made

    async def get(self) -> T:
        """The part, made beside the event loop if need be."""
        return self._made if self._made is not None else await run_in_threadpool(self)
