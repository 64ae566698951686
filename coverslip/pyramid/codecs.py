"""Stored tiles a browser cannot show, decoded with whatever tifffile and imagecodecs know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.errors import DamagedSlide, UnsupportedSlide
from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.source import StoredLevel

_EIGHT: Final = 8
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_JPEG: Final = 7
_APERIO_YCBCR: Final = 33003
"""Aperio's JPEG 2000 whose components are luma and chroma, whatever the photometric interpretation says."""
_CHROMA_STEP: Final = slice(46, 48)
"""Where a codestream that begins SOC, SIZ says how its second component is subsampled (T.800 A.5.1)."""

Decoder = Callable[[bytes, int], Pixels]
"""From a stored tile's bytes and its number to pixels, uint8, grey or RGB."""


def tile_decoder(path: Path, level: StoredLevel) -> Decoder:
    """A decoder for the tiles of one level.

    Raises UnsupportedSlide when the pixels are not grey or RGB of 8 or 16 bits; the decoder raises DamagedSlide.
    """
    import tifffile  # costs 100 ms, and JPEG slides never need it

    with tifffile.TiffFile(path) as file:
        page = next(page for page in _pages(file.pages) if page.offset == level.directory.at)
    if page.bitspersample not in (8, 16) or page.photometric == _PALETTE or page.planarconfig == 2:
        raise UnsupportedSlide("pixels are not chunky grey or RGB of 8 or 16 bits", where=level.where)
    unpack, tables, bits, inverted = (
        page.decode,
        page.jpegtables,
        page.bitspersample,
        page.photometric == _WHITE_IS_ZERO,
    )
    chroma = page.compression == _APERIO_YCBCR or (page.photometric == _YCBCR and page.compression != _JPEG)

    def decoded(raw: bytes, number: int) -> Pixels:
        try:
            segment = unpack(raw, number, jpegtables=tables, _fullsize=True)[0]
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            raise DamagedSlide("a tile cannot be decoded", where=level.where) from error
        pixels = _eight_bit(segment[0], bits, inverted)
        return _to_rgb(pixels) if chroma and not _subsampled(raw) else pixels

    return decoded


def _pages(pages: Iterable[Any]) -> Iterator[Any]:
    for page in pages:
        page = page.aspage()
        yield page
        yield from _pages(page.pages or ())


def _eight_bit(pixels: npt.NDArray[np.generic], bits: int, inverted: bool) -> Pixels:
    pixels = pixels[..., :3] if pixels.shape[-1] == 4 else pixels
    if bits > _EIGHT:
        pixels = np.right_shift(pixels, bits - _EIGHT)
    flat: Pixels = np.ascontiguousarray(pixels, np.uint8)
    return ~flat if inverted else flat


def _subsampled(raw: bytes) -> bool:
    """Whether a JPEG 2000 codestream has smaller chroma: OpenJPEG then converts to RGB by itself, and else does not."""
    return raw[:4] == b"\xff\x4f\xff\x51" and raw[_CHROMA_STEP] != b"\x01\x01"


def _to_rgb(pixels: Pixels) -> Pixels:
    size = (pixels.shape[1], pixels.shape[0])
    return np.asarray(Image.frombuffer("YCbCr", size, pixels, "raw", "YCbCr", 0, 1).convert("RGB"))
