"""Where a TIFF LZW stream ends, found from code widths alone, without decoding (TIFF 6.0 section 13)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coverslip.errors import DamagedSlide

CLEAR, END = 256, 257
_RUNS = ((9, 254), (10, 512), (11, 1024), (12, 4096))
"""After a clear: how many codes of each width follow. The first adds no entry; a full table stays at 12 bits."""


def lzw_end(data: bytes, where: str) -> int:
    """Bytes up to and including the end-of-information code; raises `DamagedSlide` when there is none."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    position = 0
    while True:
        position, stop = _cycle(bits, position)
        if stop == END:
            return -(-position // 8)
        if stop != CLEAR:
            raise DamagedSlide("an LZW stream has no end", where=where)


def _cycle(bits: NDArray[np.uint8], position: int) -> tuple[int, int]:
    """Follow codes until a clear or the end; returns the position after it and which it was (-1: ran out)."""
    for width, count in _RUNS:
        codes = _codes(bits, position, width, count)
        stops = np.flatnonzero((codes == CLEAR) | (codes == END))
        if len(stops):
            return position + (int(stops[0]) + 1) * width, int(codes[stops[0]])
        position += len(codes) * width
        if len(codes) < count:
            return position, -1
    return position, -1


def _codes(bits: NDArray[np.uint8], position: int, width: int, count: int) -> NDArray[np.int64]:
    available = min(count, (len(bits) - position) // width)
    rows = bits[position : position + available * width].reshape(available, width).astype(np.int64)
    return rows @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))
