"""Samples as the slide stores them: one pixel's values, and rectangles shown through a window nobody thought of.

Served tiles have 256 steps between two values chosen for the whole channel. Whoever asks for another window is given
it from the samples themselves, as long as that is little work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.geometry import Region, Size
from coverslip.pyramid.codecs import Samples
from coverslip.pyramid.joined import lights
from coverslip.pyramid.native import Native
from coverslip.pyramid.source import StoredLevel
from coverslip.pyramid.stack import Channel
from coverslip.pyramid.stored import read_stored

MOST: Final = 32 << 20
"""Samples that are decoded for one answer at the most."""
_MARGIN: Final = 4
"""Pixels around the rectangle that a resampling filter looks at."""


def pixel(native: Native, plane: int, x: int, y: int) -> tuple[int, ...]:
    """The values of one pixel of the largest level; nothing where the scanner wrote no tile.

    Raises DamagedSlide and UnsupportedSlide when the tile cannot be decoded, StorageFailed when it cannot be read.
    """
    level = native.plane(plane)[0]
    tile = _tile(native, level, x // level.tile.width, y // level.tile.height)
    return () if tile is None else tuple(tile[y % level.tile.height, x % level.tile.width].tolist())


@dataclass(frozen=True, slots=True)
class Lit:
    """A plane and the window through which its channel is shown."""

    plane: int
    channel: Channel
    window: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Place:
    """A rectangle of whole pixels on a stored level."""

    level: int
    left: int
    top: int
    right: int
    bottom: int
    scale: tuple[float, float] = field(repr=False)
    """Pixels of the slide for one of the level's, across and down."""

    def tiles(self, tile: Size) -> tuple[range, range]:
        """Columns and rows of the tiles it touches."""
        columns = range(self.left // tile.width, -(-self.right // tile.width))
        return columns, range(self.top // tile.height, -(-self.bottom // tile.height))


def picture(native: Native, lit: Sequence[Lit], region: Region, target: Size) -> Image.Image | None:
    """A rectangle of the slide at the size of `target`, channels added in their colours; None for too much work.

    The rectangle lies inside the slide and the target is no larger. Raises as `pixel` does.
    """
    levels = native.plane(lit[0].plane)
    place = _place(levels, region, target)
    columns, rows = place.tiles(levels[place.level].tile)
    if len(columns) * len(rows) * levels[place.level].tile.area * len(lit) > MOST:
        return None
    light = np.zeros((place.bottom - place.top, place.right - place.left, 3), np.uint32)
    for one in lit:
        _add(native, one, place, light)
    shown = Image.fromarray(np.minimum(light, 255).astype(np.uint8))
    across, down = place.scale
    left, top = region.origin.x / across - place.left, region.origin.y / down - place.top
    box = (left, top, left + region.size.width / across, top + region.size.height / down)
    inside = (max(0.0, box[0]), max(0.0, box[1]), min(box[2], shown.width), min(box[3], shown.height))
    return shown.resize((target.width, target.height), Image.Resampling.BICUBIC, box=inside)


def _place(levels: Sequence[StoredLevel], region: Region, target: Size) -> _Place:
    """On the smallest level that has as many pixels as are asked for."""
    base = levels[0].size
    wanted = min(region.size.width / target.width, region.size.height / target.height)
    number = max(n for n, level in enumerate(levels) if n == 0 or base.width / level.size.width <= wanted)
    size = levels[number].size
    across, down = base.width / size.width, base.height / size.height
    end = (region.origin.x + region.size.width, region.origin.y + region.size.height)
    return _Place(
        number,
        max(0, int(region.origin.x / across) - _MARGIN),
        max(0, int(region.origin.y / down) - _MARGIN),
        min(size.width, -int(-end[0] / across // 1) + _MARGIN),
        min(size.height, -int(-end[1] / down // 1) + _MARGIN),
        (across, down),
    )


def _add(native: Native, one: Lit, place: _Place, light: npt.NDArray[np.uint32]) -> None:
    level = native.plane(one.plane)[place.level]
    values = np.arange(1 << native.scene.stack.bits)
    table = lights(values, one.window, one.channel.colour)
    for column, row in product(*place.tiles(level.tile)):
        tile = _tile(native, level, column, row)
        if tile is None:
            continue
        y, x = row * level.tile.height - place.top, column * level.tile.width - place.left
        part = tile[max(0, -y) : light.shape[0] - y, max(0, -x) : light.shape[1] - x, 0]
        here = light[max(0, y) :, max(0, x) :][: part.shape[0], : part.shape[1]]
        np.add(here, table[part], out=here)


def _tile(native: Native, level: StoredLevel, column: int, row: int) -> Samples | None:
    return read_stored(native.fd, level, native.codecs.unpack(level), column, row)
