"""Stored tiles that have no recipe, decoded with whatever tifffile and imagecodecs know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coverslip.errors import DamagedSlide, UnsupportedSlide
from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.recipes import subsampled, to_rgb
from coverslip.pyramid.source import StoredLevel
from coverslip.tiff import tags as t

Samples = npt.NDArray[np.unsignedinteger[Any]]
"""Height × width × samples, as the slide means them: 0 is black, chroma and alpha are gone."""
Unpack = Callable[[bytes, int], Samples]
"""From a stored tile's bytes and its number to samples. Raises DamagedSlide."""
Decoder = Callable[[bytes, int], Pixels]
"""From a stored tile's bytes and its number to pixels, uint8, grey or RGB. Raises DamagedSlide."""

_BITS: Final = {8: np.uint8, 16: np.uint16}
_EIGHT: Final = 8
_TO_SIXTEEN: Final = 257
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_JPEG: Final = 7
_APERIO_YCBCR: Final = 33003
"""Aperio's JPEG 2000 whose components are luma and chroma, whatever the photometric interpretation says."""


def bits_of(level: StoredLevel) -> int:
    """Bits of a sample as it is stored."""
    return int(next(iter(level.directory.numbers(t.BITS_PER_SAMPLE).tolist()), 1))


@dataclass(frozen=True, slots=True)
class _Kind:
    """What tifffile knows of how tiles are stored."""

    decode: Callable[..., Any]
    bits: int
    photometric: int
    compression: int


@dataclass
class Codecs:
    """How the tiles of one slide are unpacked: found out once for all planes and levels that are stored alike."""

    path: Path
    _known: dict[tuple[object, ...], _Kind] = field(default_factory=dict, repr=False)

    def unpack(self, level: StoredLevel) -> Unpack:
        """For the tiles of one level. Raises UnsupportedSlide when they are not grey or RGB of 8 or 16 bits."""
        form = _form(level)
        if form not in self._known:
            self._known[form] = _kind(self.path, level)
        return _unpack(self._known[form], level)


def _form(level: StoredLevel) -> tuple[object, ...]:
    """All that decides about how a tile is decoded, but for its bytes and the tables its directory keeps apart."""
    codes = (t.PHOTOMETRIC, t.PLANAR_CONFIGURATION, t.SAMPLES_PER_PIXEL, t.PREDICTOR)
    directory = level.directory
    own = directory.at if directory.compression == _JPEG else 0  # of JPEG the first tile decides, too
    numbers = (directory.number(code) for code in codes)
    return own, level.size, level.tile, directory.compression, bits_of(level), *numbers


def _kind(path: Path, level: StoredLevel) -> _Kind:
    import tifffile  # costs 100 ms, and JPEG slides never need it

    with tifffile.TiffFile(path) as file:
        file.filehandle.seek(level.directory.at)
        page = tifffile.TiffPage(file, 0)
        return _Kind(page.decode, page.bitspersample, page.photometric, page.compression)


def _unpack(kind: _Kind, level: StoredLevel) -> Unpack:
    if kind.bits not in _BITS or kind.photometric == _PALETTE:
        raise UnsupportedSlide("pixels are not grey or RGB of 8 or 16 bits", where=level.where)
    decode, tables = kind.decode, level.directory.raw(t.JPEG_TABLES) or None
    number_type, inverted = _BITS[kind.bits], kind.photometric == _WHITE_IS_ZERO
    chroma = kind.compression == _APERIO_YCBCR or (kind.photometric == _YCBCR and kind.compression != _JPEG)

    def unpacked(raw: bytes, number: int) -> Samples:
        try:
            segment = decode(raw, number, jpegtables=tables, _fullsize=True)[0]
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            raise DamagedSlide("a tile cannot be decoded", where=level.where) from error
        if segment is None:
            raise DamagedSlide("a tile is empty", where=level.where)
        found = segment[0][..., :3] if segment[0].shape[-1] == 4 else segment[0]
        samples: Samples = np.ascontiguousarray(found, number_type)
        if chroma and not subsampled(raw):
            samples = _rgb(samples)
        return ~samples if inverted else samples

    return unpacked


def tile_decoder(path: Path, level: StoredLevel) -> Decoder:
    """A decoder for the tiles of one level: of 16 bits the upper 8 are shown.

    Raises UnsupportedSlide when the pixels are not chunky grey or RGB of 8 or 16 bits; the decoder raises DamagedSlide.
    """
    if level.directory.number(t.PLANAR_CONFIGURATION, 1) == t.SEPARATE:
        raise UnsupportedSlide("pixels are not chunky grey or RGB of 8 or 16 bits", where=level.where)
    bits = bits_of(level)
    return shown(Codecs(path).unpack(level), (0, (1 << bits) - 1), bits)


def shown(unpack: Unpack, window: tuple[int, int], bits: int) -> Decoder:
    """What a browser is shown of the samples: `window` says which values become black and full brightness."""
    if window == (0, 255) and bits == _EIGHT:
        return unpack
    table = light(window, bits)

    def decoded(raw: bytes, number: int) -> Pixels:
        return table[unpack(raw, number)]

    return decoded


def light(window: tuple[int, int], bits: int) -> Pixels:
    """What each sample value is shown as; through the window of all values its upper 8 bits."""
    low, high = window
    values = np.arange(1 << bits)
    if (low, high) == (0, values[-1]):
        return (values >> (bits - _EIGHT)).astype(np.uint8)
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _rgb(samples: Samples) -> Samples:
    """Luma and chroma as RGB; of 16 bits the upper 8 count."""
    if samples.dtype == np.uint16:
        return to_rgb((samples >> _EIGHT).astype(np.uint8)).astype(np.uint16) * _TO_SIXTEEN
    return to_rgb(samples.astype(np.uint8, copy=False))
