"""A tiled JPEG page of a TIFF, as several scanners write it: whole JPEGs in tiles, no tables beside them."""

from __future__ import annotations

import numpy as np

from coverslip.geometry import Size
from samples.codecs import jpeg_ycbcr
from samples.tiffmaker import Tag, TiffMaker, long, short
from samples.tissue import Pixels

TILE = Size(128, 128)


def page(maker: TiffMaker, pixels: Pixels, *tags: Tag, tile: Size = TILE) -> None:
    """Write one page: the tiles, then what every page says, and `tags`."""
    height, width, _ = pixels.shape
    tiles = maker.tiles()
    for y in range(0, height, tile.height):
        for x in range(0, width, tile.width):
            tiles.append(jpeg_ycbcr(_padded(pixels[y : y + tile.height, x : x + tile.width], tile), 80))
    maker.ifd(
        [
            long(256, width), long(257, height), short(258, 8, 8, 8), short(259, 7), short(262, 6), short(277, 3),
            short(284, 1), short(322, tile.width), short(323, tile.height),
            maker.pointers(324, tiles.offsets), maker.pointers(325, tiles.counts), short(530, 2, 2), *tags,
        ]
    )  # fmt: skip


def _padded(pixels: Pixels, tile: Size) -> Pixels:
    height, width, _ = pixels.shape
    return np.pad(pixels, ((0, tile.height - height), (0, tile.width - width), (0, 0)), mode="edge")
