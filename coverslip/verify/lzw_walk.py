"""Where a TIFF LZW stream ends and how much it holds, from its codes alone, without decoding (TIFF 6.0 section 13)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coverslip.errors import DamagedSlide

# Comparisons of arrays are calls here: the fuzzer's bookkeeping keeps an array for good each time it sees an operator.
CLEAR, END = 256, 257
_RUNS = ((9, 254), (10, 512), (11, 1024), (12, 4096))
"""After a clear: how many codes of each width follow. The first adds no entry; a full table stays at 12 bits."""


def lzw_end(data: bytes, where: str) -> tuple[int, int]:
    """Bytes up to and including the end-of-information code, and how many come out. Raises `DamagedSlide`."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    position = size = 0
    while True:
        position, stop, codes = _cycle(bits, position)
        size += _size(codes, where)
        if stop == END:
            return -(-position // 8), size
        if stop != CLEAR:
            raise DamagedSlide("an LZW stream has no end", where=where)


def _cycle(bits: NDArray[np.uint8], position: int) -> tuple[int, int, NDArray[np.int64]]:
    """Follow codes until a clear or the end: the position after it, which it was (-1: ran out), the codes before it."""
    met: list[NDArray[np.int64]] = []
    for width, count in _RUNS:
        codes = _codes(bits, position, width, count)
        stops = np.flatnonzero(np.equal(codes, CLEAR) | np.equal(codes, END))
        if len(stops):
            met.append(codes[: stops[0]])
            return position + (int(stops[0]) + 1) * width, int(codes[stops[0]]), np.concatenate(met)
        met.append(codes)
        position += len(codes) * width
        if len(codes) < count:
            return position, -1, np.concatenate(met)
    return position, -1, np.concatenate(met)


def _codes(bits: NDArray[np.uint8], position: int, width: int, count: int) -> NDArray[np.int64]:
    available = min(count, (len(bits) - position) // width)
    rows = bits[position : position + available * width].reshape(available, width).astype(np.int64)
    return rows @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))


def _size(codes: NDArray[np.int64], where: str) -> int:
    """Bytes that the codes of one table stand for: a code above 257 stands for one more than an earlier code does."""
    entry = codes - (END + 1)
    if np.greater_equal(entry, np.arange(len(codes))).any():
        raise DamagedSlide("an LZW stream has a code that stands for nothing", where=where)
    steps, ahead = np.ones(len(codes), np.int64), entry.copy()
    while (on := np.flatnonzero(np.greater_equal(ahead, 0))).size:
        steps[on] += steps[ahead[on]]
        ahead[on] = ahead[ahead[on]]
    return int(steps.sum())
