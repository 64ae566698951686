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
_READABLE = np.array([byte in (0, 9, 10, 13) or 32 <= byte < 127 for byte in range(256)])
_ALNUM = np.array([byte < 128 and chr(byte).isalnum() for byte in range(256)])


def endings(coded: Sequence[bytes]) -> bytes:
    """The last bytes of each scan, all equally long, one behind the other."""
    return b"".join([scan[-REACH:].rjust(REACH, GAP) + GAP for scan in coded])


def reads_like_words(ends: bytes) -> NDArray[np.bool_]:
    """For each ending: whether its last eight bytes are readable with six letters or digits, or any sixteen are."""
    data = np.frombuffer(ends, np.uint8)
    unreadable = np.flatnonzero(~_READABLE[data])
    long = unreadable[1:][np.diff(unreadable) > WORD]
    found = np.zeros(len(data) // (REACH + 1), np.bool_)
    found[long // (REACH + 1)] = True
    last = data.reshape(-1, REACH + 1)[:, REACH - LAST : REACH]
    shown: NDArray[np.bool_] = found | (_READABLE[last].all(1) & (_ALNUM[last].sum(1) >= LETTERS))
    return shown


def has_long_word(ends: bytes) -> bool:
    """Whether sixteen readable bytes in a row stand in any ending."""
    unreadable = np.flatnonzero(~_READABLE[np.frombuffer(ends, np.uint8)])
    return bool((np.diff(unreadable, prepend=-1) > WORD).any())
