"""What a long-lived process asks of glibc's allocator, so that one large picture is not paid for ever after."""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""Numbers of malloc.h."""
LARGE: Final = 1 << 20
"""Bytes from which memory comes from the kernel and goes back to it: larger than a tile, smaller than a region."""
ARENAS: Final = 2


def give_back_large_pieces() -> None:
    """Return memory of large pictures as soon as it is free; without effect where the C library is another one.

    Left alone, glibc raises its threshold to the largest piece it has seen freed, and keeps such pieces in as many
    arenas as there were threads.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_ARENA_MAX, ARENAS)
