"""Stored tiles that have no recipe, decoded with whatever tifffile and imagecodecs know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coverslip.errors import DamagedSlide, UnsupportedSlide
from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.recipes import subsampled, to_rgb
from coverslip.pyramid.source import StoredLevel

_EIGHT: Final = 8
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_JPEG: Final = 7
_APERIO_YCBCR: Final = 33003
"""Aperio's JPEG 2000 whose components are luma and chroma, whatever the photometric interpretation says."""

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
        return to_rgb(pixels) if chroma and not subsampled(raw) else pixels

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
