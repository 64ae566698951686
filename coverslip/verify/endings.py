"""The last bytes of stored tiles: searched for what must be gone, and looked at for what reads like words.

A tile that is the source's own bit for bit is not searched as a whole; but what stands behind the last bit of its
picture is no picture. Costs a few microseconds a tile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

REACH = 256
"""Bytes before the end of a scan that are looked at."""
LAST = 8
LETTERS = 6
WORD = 16
GAP = b"\xff"
"""Stands between two endings, so that no word reaches from one into the next."""
_READABLE = bytes(byte in (0, 9, 10, 13) or 32 <= byte < 127 for byte in range(256))
"""What `bytes.translate` makes of each byte: 1 where it is readable, 0 where it is not."""
_LONG = b"\1" * WORD
_ALNUM = np.array([byte < 128 and chr(byte).isalnum() for byte in range(256)])


def endings(coded: Sequence[bytes]) -> bytes:
    """The last bytes of each scan, all equally long, one behind the other."""
    return b"".join([scan[-REACH:].rjust(REACH, GAP) + GAP for scan in coded])


def reads_like_words(ends: bytes) -> NDArray[np.bool_]:
    """For each ending: whether its last eight bytes are readable with six letters or digits, or any sixteen are."""
    readable = ends.translate(_READABLE)
    last = (slice(None), slice(REACH - LAST, REACH))
    letters = _ALNUM[np.frombuffer(ends, np.uint8).reshape(-1, REACH + 1)[last]].sum(1)
    plain = np.frombuffer(readable, np.bool_).reshape(-1, REACH + 1)[last].all(1)
    found: NDArray[np.bool_] = plain & (letters >= LETTERS)
    at = readable.find(_LONG)
    while at >= 0:
        row = at // (REACH + 1)
        found[row] = True
        at = readable.find(_LONG, (row + 1) * (REACH + 1))
    return found


def has_long_word(ends: bytes) -> bool:
    """Whether sixteen readable bytes in a row stand in any ending."""
    return _LONG in ends.translate(_READABLE)
