"""Pixels of any rectangle at any smaller scale, out of the tiles of the level that is just large enough."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from PIL import Image

from coverslip.errors import AddressInvalid, LimitExceeded
from coverslip.geometry import Point, Region, Size
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.plane import Picture

MAX_PIXELS: Final = 4 << 20
"""Pixels of one answer, unless the caller says otherwise."""
_MARGIN: Final = 4
"""Pixels beyond the window that a resampling filter looks at, so that neighbouring answers meet without a seam."""
_EFFORT: Final = 6
"""Decoded pixels per answered pixel: four for the scale between two levels, the rest for tiles cut by the window."""
_LEAST_WORK: Final = 1 << 20
"""Pixels always decoded without asking how small the answer is."""


@dataclass(frozen=True, slots=True)
class Window:
    """Where the pixels come from: a rectangle of one level's pixels, whole numbers."""

    reduction: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Pixels."""
        return Size(self.right - self.left, self.bottom - self.top)

    def tiles(self, side: int) -> tuple[range, range]:
        """Columns and rows of the tiles it touches."""
        columns = range(self.left // side, -(-self.right // side))
        return columns, range(self.top // side, -(-self.bottom // side))

    def work(self, side: int) -> int:
        """Pixels that must be decoded."""
        columns, rows = self.tiles(side)
        return len(columns) * len(rows) * side * side


def aligned(zoom: DeepZoom, region: Region, target: Size) -> int | None:
    """The reduction at which the region is `target` pixels large without resampling; None when there is none.

    Everything IIIF and DeepZoom clients ask for by the announced scale factors is of this kind, edges included.
    """
    full, origin = zoom.size, region.origin
    for reduction in range(zoom.levels):
        step = 1 << reduction
        if region.size.halved(reduction) != target or origin.x % step or origin.y % step:
            continue
        at_right = origin.x + region.size.width == full.width
        at_bottom = origin.y + region.size.height == full.height
        if (at_right or region.size.width % step == 0) and (at_bottom or region.size.height % step == 0):
            return reduction
    return None


def read_region(picture: Picture, region: Region, target: Size, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The region, in pixels of the largest level, as an RGB picture of `target` pixels, which is not larger.

    Raises AddressInvalid for a region that is not on the slide, LimitExceeded for more than `max_pixels`,
    PyramidInvalid when a tile is damaged.
    """
    corner = Size(region.origin.x + region.size.width, region.origin.y + region.size.height)
    if (
        min(region.origin.x, region.origin.y) < 0
        or corner.width > picture.grid.size.width
        or corner.height > picture.grid.size.height
    ):
        raise AddressInvalid("the region lies partly outside of the slide", where="region")
    if target.area > max_pixels or min(target.width, target.height) < 1:
        raise LimitExceeded("more pixels at once than allowed", where="region")
    exact = aligned(picture.grid, region, target)
    if exact is not None:
        step = 1 << exact
        origin = Point(region.origin.x // step, region.origin.y // step)
        return _decoded(picture, _window(exact, origin, target))
    reduction = _level_for(picture.grid, region, target)
    box = _box(picture.grid, region, reduction)
    window = _around(picture.grid, box, reduction)
    found = _decoded(picture, window)
    local = (box[0] - window.left, box[1] - window.top, box[2] - window.left, box[3] - window.top)
    return found.resize((target.width, target.height), Image.Resampling.BICUBIC, box=local)


def pixels_of_level(picture: Picture, longest: int) -> Pixels:
    """The whole slide at the largest level whose longer side has at most `longest` pixels."""
    grid = picture.grid
    sizes = ((reduction, grid.reduced(reduction)) for reduction in range(grid.levels))
    reduction, size = next((r, s) for r, s in sizes if max(s.width, s.height) <= max(1, longest))
    return np.asarray(_decoded(picture, _window(reduction, Point(0, 0), size)))


def _window(reduction: int, origin: Point, size: Size) -> Window:
    return Window(reduction, origin.x, origin.y, origin.x + size.width, origin.y + size.height)


def _level_for(zoom: DeepZoom, region: Region, target: Size) -> int:
    """The smallest level that is large enough in both directions; a smaller one when that were too much work.

    The latter happens for strips squeezed along their length, where nobody can see the difference.
    """
    allowed = max(_LEAST_WORK, _EFFORT * target.area)
    ratio = min(region.size.width // target.width, region.size.height // target.height)
    reduction = min(max(ratio, 1).bit_length() - 1, zoom.levels - 1)
    while reduction < zoom.levels - 1:
        if _around(zoom, _box(zoom, region, reduction), reduction).work(zoom.tile) <= allowed + 4 * zoom.tile**2:
            break
        reduction += 1
    return reduction


def _box(zoom: DeepZoom, region: Region, reduction: int) -> tuple[float, float, float, float]:
    """The region in a level's pixels, with fractions."""
    step, level = 1 << reduction, zoom.reduced(reduction)
    right = min((region.origin.x + region.size.width) / step, level.width)
    bottom = min((region.origin.y + region.size.height) / step, level.height)
    return region.origin.x / step, region.origin.y / step, right, bottom


def _around(zoom: DeepZoom, box: tuple[float, float, float, float], reduction: int) -> Window:
    """Whole pixels around a box, with what the filter needs beyond it."""
    level = zoom.reduced(reduction)
    left, top = max(0, int(box[0]) - _MARGIN), max(0, int(box[1]) - _MARGIN)
    right, bottom = -int(-box[2] // 1) + _MARGIN, -int(-box[3] // 1) + _MARGIN
    return Window(reduction, left, top, min(level.width, right), min(level.height, bottom))


def _decoded(picture: Picture, window: Window) -> Image.Image:
    """The window's pixels, one tile in memory at a time."""
    grid, size = picture.grid, window.size
    canvas = np.empty((size.height, size.width, 3), np.uint8)
    for column, row in product(*window.tiles(grid.tile)):
        tile = decoded_tile(picture, window.reduction, column, row)
        x, y = column * grid.tile - window.left, row * grid.tile - window.top
        part = tile[max(0, -y) : size.height - y, max(0, -x) : size.width - x]
        canvas[max(0, y) : max(0, y) + part.shape[0], max(0, x) : max(0, x) + part.shape[1]] = part
    return Image.fromarray(canvas)


def decoded_tile(picture: Picture, reduction: int, column: int, row: int) -> Pixels:
    """One served tile as RGB. Raises TileNotFound outside the grid, PyramidInvalid when it is damaged."""
    return picture.decoded(picture.grid.largest - reduction, column, row)
