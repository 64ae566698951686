"""Tiles of a level between two that the slide holds: nobody stores them, four tiles above make one in a millisecond.

They cost most of a build and a fifth of the slide's bytes, and most are never looked at. A complete build stores them:
the bytes are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coverslip.geometry import Size
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.pixels import Encoding, Pixels, decode
from coverslip.pyramid.source import StoredLevel

QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The four tiles above one, as (down, across)."""


def inner(zoom: DeepZoom, level: StoredLevel) -> Size:
    """Columns and rows, counted from the top left, of the tiles below `level` that are made of four whole ones."""
    return Size(level.size.width // (2 * zoom.tile), level.size.height // (2 * zoom.tile))


def made_of(tile: Callable[[int, int], bytes], side: int, channels: int, quality: int, where: str) -> bytes:
    """A complete JPEG out of four whole ones, `tile(down, across)`, each decoded at half scale.

    Raises DamagedSlide when one cannot be decoded, and what `tile` raises.
    """
    half = side // 2
    pixels: Pixels = np.empty((side, side, channels), np.uint8)
    for down, across in QUARTERS:
        quarter = decode(tile(down, across), side, channels, where, factor=2)
        pixels[down * half : (down + 1) * half, across * half : (across + 1) * half] = quarter
    return Encoding(quality).encode(pixels)
