"""Where tiles of the lossless TIFF codecs end, so that nothing can hide behind them.

Source: TIFF 6.0 §13 (LZW), RFC 1950 (zlib). A byte count may be larger than what the decoder consumes.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from coverslip.errors import DamagedSlide, UnknownStructure

_CLEAR, _END = 256, 257
_WIDTH_STEPS = ((254, 9), (512, 10), (1024, 11), (2304, 12))
"""How many codes of each width follow a Clear: the table grows by one entry a code (TIFF 6.0 §13, early change)."""


def uncompressed_end(stop: int, start: int, expected: int) -> int:
    """Offset after the pixels of an uncompressed tile of `expected` bytes."""
    if stop - start < expected:
        raise DamagedSlide("an uncompressed tile is shorter than its size asks for")
    return start + expected


def deflate_end(data: bytes, start: int, stop: int, expected: int) -> int:
    """Offset after the zlib stream; inflates at most one byte more than `expected` to bound what a bomb can cost."""
    stream = zlib.decompressobj()
    try:
        produced = len(stream.decompress(data[start:stop], expected))
        while produced <= expected and not stream.eof and stream.unconsumed_tail:
            produced += len(stream.decompress(stream.unconsumed_tail, expected + 1 - produced))
            if produced > expected:
                break
    except zlib.error as error:
        raise DamagedSlide("a deflate tile does not inflate") from error
    if produced != expected or not stream.eof:
        raise DamagedSlide("a deflate tile does not inflate to its size")
    return stop - len(stream.unused_data)


def lzw_end(data: bytes, start: int, stop: int, expected: int) -> int:
    """Offset after the byte that holds the end code of an LZW stream; code positions follow from their count alone.

    Raises DamagedSlide for a stream that does not stand for `expected` bytes: what it holds behind them nobody sees.
    """
    if data[start : start + 2] == b"\0\1":
        raise UnknownStructure("old-style LZW (bit order reversed)")
    words = np.frombuffer(data[start:stop] + bytes(4), np.uint8).astype(np.uint32)
    bit, last, produced = 0, (stop - start) * 8, 0
    widths = np.concatenate([np.full(count, width) for count, width in _WIDTH_STEPS])
    steps = np.concatenate([[0], np.cumsum(widths)])
    while bit + 9 <= last:
        at = bit + steps[:-1][bit + steps[1:] <= last]
        width = widths[: len(at)]
        byte = at >> 3
        window = (words[byte] << 24) | (words[byte + 1] << 16) | (words[byte + 2] << 8) | words[byte + 3]
        codes = (window >> (32 - width - (at & 7)).astype(np.uint32)) & ((1 << width) - 1).astype(np.uint32)
        special = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        if not len(special):
            break
        hit = int(special[0])
        bit = int(at[hit] + width[hit])
        produced += _bytes_of(codes[:hit].astype(np.int64))
        if produced > expected:
            break
        if codes[hit] == _END:
            if produced != expected:
                break
            return start + -(-bit // 8)
    if produced:
        raise DamagedSlide("an LZW tile does not hold as much as its size asks for")
    raise DamagedSlide("an LZW tile has no end code")


def _bytes_of(codes: npt.NDArray[np.int64]) -> int:
    """How many bytes the codes between two Clears stand for: each of an entry one more than the code the entry is of.

    Raises DamagedSlide for a code of an entry that is not there yet.
    """
    none = len(codes)
    entry = np.append(np.where(codes < _CLEAR, none, codes - _END - 1), none)
    if bool(np.any((entry[:-1] >= np.arange(none)) & (entry[:-1] != none))):
        raise DamagedSlide("an LZW tile has a code that stands for nothing")
    length = np.append(np.ones(none, np.int64), 0)
    while bool(np.any(entry != none)):
        length = length + length[entry]
        entry = entry[entry]
    return int(length.sum())
