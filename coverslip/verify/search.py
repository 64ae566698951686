"""Many patterns in one pass: a table of byte pairs rules out nearly every position, the rest is looked up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from coverslip.verify.forms import MIN_LENGTH

CHUNK = 4 << 20
Owner = TypeVar("Owner")


class Searcher(Generic[Owner]):
    """Finds any of many patterns, without regard to ASCII case."""

    def __init__(self, patterns: Mapping[bytes, Owner]) -> None:
        """Take folded patterns of at least six bytes, each with what it stands for."""
        self._owners = patterns
        self._by_prefix: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for pattern in patterns:
            self._by_prefix[pattern[:MIN_LENGTH]].append(pattern)
        self._table = _table(self._by_prefix)
        self._overlap = max(map(len, patterns), default=1) - 1

    def only(self, patterns: Mapping[bytes, Owner]) -> Searcher[Owner]:
        """A searcher for some of the same patterns, which costs little beside this one."""
        other = copy(self)
        other._owners = patterns
        other._table = _table({pattern[:MIN_LENGTH] for pattern in patterns})
        return other

    def find(self, data: bytes, shortest: int = MIN_LENGTH) -> Iterator[tuple[int, Owner]]:
        """Position and owner of every pattern of at least `shortest` bytes that stands in `data`."""
        if not self._owners:
            return
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK + self._overlap].lower()
            for position in self._candidates(chunk):
                if position >= CHUNK:
                    break
                for pattern in self._by_prefix.get(chunk[position : position + MIN_LENGTH], ()):
                    if len(pattern) < shortest or not chunk.startswith(pattern, position):
                        continue
                    if pattern in self._owners:
                        yield start + position, self._owners[pattern]

    def _candidates(self, chunk: bytes) -> list[int]:
        """Positions whose first three byte pairs all begin some pattern (in these places, not of the same one)."""
        if len(chunk) < MIN_LENGTH:
            return []
        data = np.frombuffer(chunk, np.uint8)
        pairs = data[1:].astype(np.uint16)
        pairs <<= 8
        pairs |= data[:-1]
        hints = self._table[pairs]
        return np.flatnonzero(hints[:-4] & (hints[2:-2] >> 1) & (hints[4:] >> 2) & 1).tolist()


def _table(prefixes: Iterable[bytes]) -> NDArray[np.uint8]:
    """For each pair of bytes, in which of the three places of a prefix it may stand: one bit each."""
    beginnings = np.frombuffer(b"".join(prefixes), np.uint8).reshape(-1, MIN_LENGTH).astype(np.uint16)
    pairs = beginnings[:, 0::2] | beginnings[:, 1::2] << 8
    table = np.zeros(65536, np.uint8)
    for place in range(3):
        table[pairs[:, place]] |= 1 << place
    return table
