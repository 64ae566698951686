"""Many patterns in one pass: a table of byte pairs rules out nearly every position, the rest is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from coverslip.verify.forms import MIN_LENGTH

CHUNK = 4 << 20


class Searcher:
    """Finds any of many patterns, without regard to ASCII case."""

    def __init__(self, patterns: Mapping[bytes, int]) -> None:
        """Take folded patterns of at least six bytes, each with the number of what it stands for."""
        self._owners = patterns
        self._by_prefix: dict[bytes, list[bytes]] = {}
        for pattern in patterns:
            self._by_prefix.setdefault(pattern[:MIN_LENGTH], []).append(pattern)
        beginnings = np.frombuffer(b"".join(self._by_prefix), np.uint8).reshape(-1, MIN_LENGTH).astype(np.uint16)
        pairs = beginnings[:, 0::2] | beginnings[:, 1::2] << 8
        self._table = np.zeros(65536, np.uint8)
        for place in range(3):
            self._table[pairs[:, place]] |= 1 << place
        self._overlap = max((len(pattern) for pattern in patterns), default=1) - 1

    def find(self, data: bytes, shortest: int = MIN_LENGTH) -> Iterator[tuple[int, int]]:
        """Position and owner of every pattern of at least `shortest` bytes that stands in `data`."""
        if not self._by_prefix:
            return
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK + self._overlap].lower()
            for position in self._candidates(chunk):
                if position >= CHUNK:
                    break
                for pattern in self._by_prefix.get(chunk[position : position + MIN_LENGTH], ()):
                    if len(pattern) >= shortest and chunk.startswith(pattern, position):
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
