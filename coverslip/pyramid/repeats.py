"""Stored tiles that occur more than once (blank glass, mostly): found by their bytes, decoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from coverslip.pyramid.pixels import Pixels

_TAIL: Final = 24
_MAX_SEEN: Final = 1 << 14
_MAX_DECODED: Final = 64
_SMALL: Final = 64
"""A tile this many times smaller than its pixels is blank, or nearly."""

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A bounded memory; the oldest entry goes first. Single operations are atomic under the interpreter's lock."""

    def __init__(self, limit: int) -> None:
        """Remember at most `limit` entries."""
        self._limit = limit
        self._found: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What was put, None when never or forgotten."""
        return self._found.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember; forgets the oldest when there are too many."""
        self._found[key] = value
        while len(self._found) > self._limit:
            try:
                self._found.popitem(last=False)
            except KeyError:  # another thread was faster
                return


class Repeats:
    """Names stored tiles so that equal bytes get the same name, and keeps the pixels of those seen twice.

    Shared by the threads of a build. What is found depends on timing, what is made of it does not: a name only saves
    work, never chooses pixels.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        """`read(offset, length)` fetches a tile again, to compare."""
        self._read = read
        self._first: Recent[tuple[int, bytes], int] = Recent(_MAX_SEEN)
        self._decoded: Recent[int, Pixels] = Recent(_MAX_DECODED)

    def name(self, raw: memoryview, offset: int) -> tuple[int, Pixels | None]:
        """The offset where these bytes were first seen, and their half-size pixels if they are at hand."""
        key = (len(raw), bytes(raw[-_TAIL:]))
        first = self._first.get(key)
        if first is None:
            self._first.put(key, offset)
            return offset, None
        if first != offset and self._read(first, len(raw)) != raw:
            return offset, None
        return first, self._decoded.get(first)

    def keep(self, name: int, raw: memoryview, offset: int, pixels: Pixels) -> Pixels:
        """Remember the pixels of a tile that was seen before, or that is so small that it will be seen again."""
        if name != offset or len(raw) * _SMALL < pixels.size * 4:
            pixels = pixels.copy()
            self._decoded.put(name, pixels)
        return pixels
