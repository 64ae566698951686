"""A whole slide as one small picture, put together from the tiles of the level that is just large enough."""

from __future__ import annotations

import io

from PIL import Image

from coverslip.pyramid import Pyramid

QUALITY = 85
LARGEST_SIDE = 2048
"""Pixels of the level we are willing to put together: at most a hundred tiles."""


def thumbnail(pyramid: Pyramid, width: int) -> bytes:
    """A JPEG `width` pixels wide, or as wide as the slide when that is less."""
    grid = pyramid.grid
    reduction = _reduction(pyramid, width)
    whole = grid.reduced(reduction)
    picture = Image.new("RGB", (whole.width, whole.height), "white")
    counts = grid.grid(reduction)
    for column in range(counts.width):
        for row in range(counts.height):
            tile = pyramid.tile(grid.largest - reduction, column, row)
            with Image.open(io.BytesIO(tile), formats=("JPEG",)) as decoded:
                picture.paste(decoded, (column * grid.tile, row * grid.tile))
    target = min(width, whole.width)
    if target < whole.width:
        height = max(1, round(whole.height * target / whole.width))
        picture = picture.resize((target, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _reduction(pyramid: Pyramid, width: int) -> int:
    """The most halvings that leave `width`, but enough of them to stay below `LARGEST_SIDE`."""
    size, found = pyramid.size, 0
    while max(size.halved(found).width, size.halved(found).height) > LARGEST_SIDE:
        found += 1
    while size.halved(found + 1).width >= width:
        found += 1
    return found
