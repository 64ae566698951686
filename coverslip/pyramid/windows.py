"""Which sample values of a channel become black and full brightness: looked up in the data, the same for all its tiles.

Two builds of the same slide look at the same tiles, so they agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from coverslip.pyramid.codecs import Codecs, Samples, bits_of
from coverslip.pyramid.source import StoredLevel
from coverslip.pyramid.stored import read_stored

LOW: Final = 0.01
HIGH: Final = 0.999
"""Shares of all pixels: what is darker than the first is black, what is brighter than the second is full light."""
PLANES: Final = 8
"""Of a channel that are looked at."""
TILES: Final = 64
"""Looked at on all of them together: a bound on time, whatever the slide."""


def window_of(fd: int, codecs: Codecs, levels: Sequence[StoredLevel]) -> tuple[int, int]:
    """The window of one channel, from the smallest level of some of its planes.

    Raises DamagedSlide and UnsupportedSlide when a tile cannot be decoded, StorageFailed when it cannot be read.
    """
    values = 1 << bits_of(levels[0])
    counts = np.zeros(values, np.int64)
    for level in levels:
        unpack = codecs.unpack(level)
        for column, row in spread(level, max(1, TILES // len(levels))):
            tile = read_stored(fd, level, unpack, column, row)
            if tile is not None:
                counts += np.bincount(_inside(tile, level, column, row).ravel(), minlength=values)
    return _between(counts)


def some(planes: int) -> tuple[int, ...]:
    """Numbers of the planes that are looked at, evenly spread."""
    return _even(planes, PLANES)


def spread(level: StoredLevel, most: int) -> Iterator[tuple[int, int]]:
    """Columns and rows of at most so many tiles, evenly spread over a level."""
    columns = _even(level.grid.width, max(1, min(level.grid.width, isqrt(most))))
    yield from product(columns, _even(level.grid.height, max(1, most // len(columns))))


def _even(count: int, most: int) -> tuple[int, ...]:
    """At most so many of the numbers below `count`; the middle one where only one is asked for."""
    if most == 1:
        return (count // 2,)
    return tuple(sorted({round(at) for at in np.linspace(0, count - 1, min(count, most)).tolist()}))


def _inside(tile: Samples, level: StoredLevel, column: int, row: int) -> Samples:
    """Without what pads the tile beyond the picture."""
    return tile[: level.size.height - row * level.tile.height, : level.size.width - column * level.tile.width]


def _between(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Two values, the lower first and never equal."""
    below = np.cumsum(counts)
    total = int(below[-1])
    if not total:
        return 0, len(counts) - 1
    low = min(int(np.searchsorted(below, total * LOW)), len(counts) - 2)
    return low, max(int(np.searchsorted(below, total * HIGH)), low + 1)
