"""The thumbnail, made anew: the smallest level, reduced band by band."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg
from openslide import OpenSlide, OpenSlideCache
from openslide.lowlevel import OpenSlideError
from PIL import Image

from coverslip.codestreams import jpeg
from coverslip.errors import DamagedSlide
from coverslip.geometry import Size

QUALITY: Final = 85
MAX_SIDE: Final = 2048
BAND_PIXELS: Final = 1 << 20
CACHE_BYTES: Final = 8 << 20
"""Decoded tiles OpenSlide keeps; its own 32 MiB would be most of what a run needs."""


def thumbnail(source: Path, wanted: Size) -> tuple[Size, bytes]:
    """A JPEG codestream (YCbCr 4:4:4, no application segments) that fits into `wanted`, and its size.

    Raises DamagedSlide when the level it is made from cannot be decoded.
    """
    try:
        with OpenSlide(str(source)) as slide:
            slide.set_cache(OpenSlideCache(CACHE_BYTES))
            level = slide.level_count - 1
            pixels = _reduced(slide, level, _fitting(Size(*slide.level_dimensions[level]), wanted))
    except OpenSlideError as error:
        raise DamagedSlide("the smallest level cannot be decoded") from error
    encoded = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="444")
    height, width = pixels.shape[:2]
    return Size(width, height), _bare(encoded)


def _fitting(full: Size, wanted: Size) -> Size:
    """The wanted size where it has the level's shape and is not absurd; else the largest of that shape within it."""
    shape = wanted.width / wanted.height * full.height / full.width
    if 0.98 < shape < 1.02 and max(wanted.width, wanted.height) <= MAX_SIDE:
        return wanted
    scale = min(wanted.width / full.width, wanted.height / full.height, MAX_SIDE / max(full.width, full.height), 1.0)
    return Size(max(1, round(full.width * scale)), max(1, round(full.height * scale)))


def _reduced(slide: OpenSlide, level: int, size: Size) -> npt.NDArray[np.uint8]:
    """Each band of the level becomes the rows of the thumbnail it covers; memory holds one band."""
    full = Size(*slide.level_dimensions[level])
    down = slide.level_downsamples[level]
    rows = max(1, int(BAND_PIXELS / full.width * size.height / full.height))
    bands = []
    for row in range(0, size.height, rows):
        below = min(size.height, row + rows)
        top, bottom = (math.floor(edge * full.height / size.height) for edge in (row, below))
        picture = slide.read_region((0, round(top * down)), level, (full.width, max(1, bottom - top)))
        white = Image.new("RGBA", picture.size, "white")
        opaque = Image.alpha_composite(white, picture).convert("RGB")
        bands.append(np.asarray(opaque.resize((size.width, below - row), Image.Resampling.BOX)))
    return np.ascontiguousarray(np.concatenate(bands))


def _bare(encoded: bytes) -> bytes:
    """The codestream without the JFIF segment: in a TIFF the page says which colour space it is."""
    stream = jpeg.codestream(encoded, 0, len(encoded))
    pieces = b"".join(p if isinstance(p, bytes) else encoded[p.start : p.stop] for p in stream.pieces)
    return pieces.replace(jpeg.Segment(0xE0, jpeg.JFIF).encode(), b"", 1)
