"""Tiles nobody stores, because one or four stored tiles make one when it is asked for, in some milliseconds.

They are most of a build and of an index, and most are never looked at. A complete build stores them: the bytes are the
same either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from coverslip.geometry import Size
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.pixels import Encoding, Pixels
from coverslip.pyramid.recipes import Recipe
from coverslip.pyramid.source import StoredLevel

QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The four tiles above one, as (down, across)."""
BUDGET: Final = 40_000_000
"""Nanoseconds that a tile on request may take, as recipes estimate them."""
_USUAL: Final = 95
"""Per cent of a level's tiles that have to keep to it."""


def whole(zoom: DeepZoom, level: StoredLevel) -> Size:
    """Columns and rows, counted from the top left, of the tiles of `level` that are not cropped."""
    return Size(level.size.width // zoom.tile, level.size.height // zoom.tile)


def inner(zoom: DeepZoom, level: StoredLevel) -> Size:
    """Columns and rows, counted from the top left, of the tiles below `level` that are made of four whole ones."""
    return Size(level.size.width // (2 * zoom.tile), level.size.height // (2 * zoom.tile))


def affordable(level: StoredLevel, recipe: Recipe, decodes: int) -> bool:
    """Whether so many stored tiles of a level are decoded soon enough for somebody who waits."""
    usual = int(np.percentile(level.counts, _USUAL))
    return decodes * recipe.nanoseconds(level.tile.width, usual) <= BUDGET


def made_of(quarter: Callable[[int, int], Pixels], side: int, channels: int, quality: int) -> bytes:
    """A complete JPEG out of four pictures of half its side, `quarter(down, across)`. Raises what that raises."""
    half = side // 2
    pixels: Pixels = np.empty((side, side, channels), np.uint8)
    for down, across in QUARTERS:
        pixels[down * half : (down + 1) * half, across * half : (across + 1) * half] = quarter(down, across)
    return Encoding(quality).encode(pixels)
