"""Tiles nobody stores, because one or four stored tiles make one when it is asked for, in some milliseconds.

They are most of a build and of an index, and most are never looked at. A complete build stores them: the bytes are the
same either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from coverslip.errors import DamagedSlide
from coverslip.geometry import Size
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.pixels import Encoding, Pixels, decode, halve
from coverslip.pyramid.recipes import Recipe, parse
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


@dataclass(frozen=True, slots=True)
class Piece:
    """A tile that another is made of."""

    recipe: bytes
    """Packed; empty when `data` is a whole JPEG."""
    data: bytes = field(repr=False)

    def pixels(self, side: int, channels: int, *, half: bool) -> Pixels:
        """Decoded, at half scale if asked; valid until this thread decodes again. Raises DamagedSlide."""
        if not self.recipe:
            return decode(self.data, side, channels, "", factor=2 if half else 1)
        recipe = parse(self.recipe)
        if recipe is None or recipe.channels != channels:
            raise DamagedSlide("a tile has no recipe")
        found = recipe.decode(self.data, side, "")
        return halve(found) if half else found


@dataclass(frozen=True, slots=True)
class Order:
    """What a tile is made of, and how."""

    pieces: tuple[Piece, ...]
    """One: the tile itself in another codec. Four: those above it, as `QUARTERS`."""
    side: int
    channels: int
    quality: int

    @property
    def is_coded(self) -> bool:
        """Whether any piece is in a codec no browser shows."""
        return any(piece.recipe for piece in self.pieces)


Make = Callable[[Order], bytes]
"""Makes a complete JPEG, wherever that is done; raises DamagedSlide or LimitExceeded."""


def made(order: Order) -> bytes:
    """A complete JPEG, made in this very process. Raises DamagedSlide or LimitExceeded."""
    if len(order.pieces) == 1:
        return Encoding(order.quality).encode(order.pieces[0].pixels(order.side, order.channels, half=False))
    half = order.side // 2
    pixels: Pixels = np.empty((order.side, order.side, order.channels), np.uint8)
    for piece, (down, across) in zip(order.pieces, QUARTERS, strict=True):
        quarter = piece.pixels(order.side, order.channels, half=True)
        pixels[down * half : (down + 1) * half, across * half : (across + 1) * half] = quarter
    return Encoding(order.quality).encode(pixels)
