"""The thumbnail, made anew: tiles of the smallest level, each decoded no larger than the thumbnail needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import simplejpeg
from PIL import Image

from coverslip.codestreams import jpeg
from coverslip.geometry import Size
from coverslip.pyramid.codecs import tile_decoder
from coverslip.pyramid.pixels import Pixels, blank, decode
from coverslip.pyramid.source import StoredLevel, level_of, read_tiles
from coverslip.tiff.structure import Directory, TiffFile

QUALITY: Final = 85
MAX_SIDE: Final = 2048
FACTORS: Final = (8, 4, 2, 1)
"""How much smaller a decoder can make a tile at once; the rest is averaged."""
SAMPLES: Final = 3


def thumbnail(tiff: TiffFile, smallest: Directory, wanted: Size) -> tuple[Size, bytes]:
    """A JPEG codestream (YCbCr 4:4:4, no application segments) that fits into `wanted`, and its size.

    `smallest` is a level that is written as one: the verifier compares both with the rest of the pyramid. Memory holds
    at most four times its pixels. Raises UnsupportedSlide or DamagedSlide when the level cannot be decoded.
    """
    level = level_of(tiff, smallest)
    size = _fitting(level.size, wanted)
    canvas = _decoded(tiff, level, _factor(level, size))
    pixels = np.asarray(Image.fromarray(canvas).resize((size.width, size.height), Image.Resampling.BOX))
    return size, _bare(simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="444"))


def _fitting(full: Size, wanted: Size) -> Size:
    """The wanted size where it has the level's shape and is not absurd; else the largest of that shape within it."""
    shape = wanted.width / wanted.height * full.height / full.width
    if 0.98 < shape < 1.02 and max(wanted.width, wanted.height) <= MAX_SIDE:
        return wanted
    scale = min(wanted.width / full.width, wanted.height / full.height, MAX_SIDE / max(full.width, full.height), 1.0)
    return Size(max(1, round(full.width * scale)), max(1, round(full.height * scale)))


def _factor(level: StoredLevel, size: Size) -> int:
    """The largest that leaves enough pixels, and whole ones at the borders of tiles."""
    fits = (
        factor
        for factor in FACTORS
        if level.size.width >= factor * size.width
        and level.size.height >= factor * size.height
        and level.tile.width % factor == level.tile.height % factor == 0
    )
    return next(fits, 1)


def _decoded(tiff: TiffFile, level: StoredLevel, factor: int) -> Pixels:
    """The whole level, `factor` times smaller."""
    tile = Size(level.tile.width // factor, level.tile.height // factor)
    decoder = _decoder(tiff, level, factor)
    canvas = np.empty((-(-level.size.height // factor), -(-level.size.width // factor), SAMPLES), np.uint8)
    for row in range(level.grid.height):
        for column, raw in enumerate(read_tiles(tiff.fd, level, row, range(level.grid.width))):
            place = canvas[row * tile.height :, column * tile.width :][: tile.height, : tile.width]
            pixels = decoder(bytes(raw), row * level.grid.width + column) if raw else blank(*place.shape)
            place[:] = pixels[: place.shape[0], : place.shape[1]]
    return canvas


def _decoder(tiff: TiffFile, level: StoredLevel, factor: int) -> Callable[[bytes, int], Pixels]:
    """From a tile's bytes and number to its pixels, `factor` times smaller."""
    form, side = level.jpeg, level.tile.width
    if form is not None and level.tile.height == side:
        return lambda raw, _: decode(form.blob + raw[form.skip :], side, form.components, level.where, factor=factor)
    whole = tile_decoder(tiff.path, level)
    return lambda raw, number: _reduced(whole(raw, number), factor)


def _reduced(pixels: Pixels, factor: int) -> Pixels:
    grey = pixels.shape[2] == 1
    image = Image.fromarray(pixels[..., 0] if grey else pixels).reduce(factor)
    return np.asarray(image).reshape(image.height, image.width, pixels.shape[2])


def _bare(encoded: bytes) -> bytes:
    """The codestream without the JFIF segment: in a TIFF the page says which colour space it is."""
    stream = jpeg.codestream(encoded, 0, len(encoded))
    pieces = b"".join(p if isinstance(p, bytes) else encoded[p.start : p.stop] for p in stream.pieces)
    return pieces.replace(jpeg.Segment(0xE0, jpeg.JFIF).encode(), b"", 1)
