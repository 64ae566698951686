"""A small picture of the whole slide, put together from the tiles of one level."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from PIL import Image

from coverslip.errors import PyramidInvalid
from coverslip.geometry import Size
from coverslip.pyramid.deepzoom import DeepZoom

LARGEST: Final = 2048
"""Longest side of a thumbnail in pixels: it bounds memory and time whatever is asked for."""
_QUALITY: Final = 85

TileSource = Callable[[int, int, int], bytes]
"""`tile(dz_level, column, row)`."""


def thumbnail(zoom: DeepZoom, tile: TileSource, width: int) -> bytes:
    """A JPEG about `width` pixels wide (1 … 2048, and never more than 2048 high), as wide as the slide at most.

    Raises PyramidInvalid when a tile is not what the index says.
    """
    wanted = _fit(zoom.size, width)
    reduction = _enough(zoom, wanted)
    level = zoom.reduced(reduction)
    canvas = Image.new("RGB", (level.width, level.height))
    grid = zoom.grid(reduction)
    for row in range(grid.height):
        for column in range(grid.width):
            canvas.paste(_open(tile(zoom.largest - reduction, column, row)), (column * zoom.tile, row * zoom.tile))
    out = io.BytesIO()
    canvas.resize((wanted.width, wanted.height), Image.Resampling.BOX).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _fit(size: Size, width: int) -> Size:
    """The size asked for, in the slide's proportions and within the bounds."""
    scale = min(max(1, width) / size.width, LARGEST / size.width, LARGEST / size.height, 1.0)
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def _enough(zoom: DeepZoom, wanted: Size) -> int:
    """The smallest level that is at least as large: at most four times the pixels wanted."""
    enough = 0
    while enough + 1 < zoom.levels:
        smaller = zoom.reduced(enough + 1)
        if smaller.width < wanted.width or smaller.height < wanted.height:
            break
        enough += 1
    return enough


def _open(jpeg: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
        image.load()
    except (OSError, SyntaxError) as error:
        raise PyramidInvalid("a tile is not a JPEG", where="thumbnail") from error
    return image
