"""Stored tiles a browser cannot show, decoded with whatever tifffile and imagecodecs know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.errors import DamagedSlide, UnsupportedSlide
from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.source import StoredLevel
from coverslip.tiff import tags as t

Samples = npt.NDArray[np.unsignedinteger[Any]]
"""Height × width × samples, as the slide means them: 0 is black, chroma and alpha are gone."""
Unpack = Callable[[bytes, int], Samples]
"""From a stored tile's bytes and its number to samples. Raises DamagedSlide."""
Decoder = Callable[[bytes, int], Pixels]
"""From a stored tile's bytes and its number to pixels, uint8, grey or RGB. Raises DamagedSlide."""

_BITS: Final = {8: np.uint8, 16: np.uint16}
_TO_SIXTEEN: Final = 257
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_JPEG: Final = 7
_APERIO_YCBCR: Final = 33003
"""Aperio's JPEG 2000 whose components are luma and chroma, whatever the photometric interpretation says."""
_CHROMA_STEP: Final = slice(46, 48)
"""Where a codestream that begins SOC, SIZ says how its second component is subsampled (T.800 A.5.1)."""


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
        if chroma and not _subsampled(raw):
            samples = _to_rgb(samples)
        return ~samples if inverted else samples

    return unpacked


def shown(unpack: Unpack, window: tuple[int, int], bits: int) -> Decoder:
    """What a browser is shown of the samples: `window` says which values become black and full brightness."""
    table = light(window, bits)
    if window == (0, 255) and bits == 8:
        return unpack

    def decoded(raw: bytes, number: int) -> Pixels:
        return table[unpack(raw, number)]

    return decoded


def light(window: tuple[int, int], bits: int) -> Pixels:
    """What each sample value is shown as."""
    low, high = window
    share = (np.arange(1 << bits, dtype=np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _subsampled(raw: bytes) -> bool:
    """Whether a JPEG 2000 codestream has smaller chroma: OpenJPEG then converts to RGB by itself, and else does not."""
    return raw[:4] == b"\xff\x4f\xff\x51" and raw[_CHROMA_STEP] != b"\x01\x01"


def _to_rgb(samples: Samples) -> Samples:
    """Luma and chroma as RGB; of 16 bits the upper 8 count."""
    if samples.dtype == np.uint16:
        return _to_rgb((samples >> 8).astype(np.uint8)).astype(np.uint16) * _TO_SIXTEEN
    size = (samples.shape[1], samples.shape[0])
    return np.asarray(Image.frombuffer("YCbCr", size, samples, "raw", "YCbCr", 0, 1).convert("RGB"))
