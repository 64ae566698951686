"""How a stored tile that no browser shows becomes pixels, in four bytes of the index: no TIFF field is needed for it.

What decodes is `imagecodecs` and zlib, which let go of the interpreter's lock meanwhile. Sizes are checked before
anything is allocated: a codestream says itself how large it is.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.codestreams.frames import Expected, check_j2k
from coverslip.errors import DamagedSlide
from coverslip.geometry import Size
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory

Pixels = npt.NDArray[np.uint8]

_FORM: Final = struct.Struct("<BBBB")
_GREY, _RGB, _YCBCR = 1, 2, 6
_APERIO_YCBCR: Final = 33003
"""Aperio's JPEG 2000 whose components are luma and chroma, whatever the photometric interpretation says."""
_FILL_ORDER, _SAMPLE_FORMAT = 266, 339
_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_CHROMA_STEP: Final = slice(46, 48)
"""Where a codestream that begins SOC, SIZ says how its second component is subsampled (T.800 A.5.1)."""
_NS_PER_PIXEL, _NS_PER_J2K_BYTE = 15, 135
"""What decoding and encoding took where it was measured (docs/performance.md): JPEG 2000 costs by what is coded."""


class Codec(IntEnum):
    """Codecs by the number they have in the index."""

    JPEG_2000 = 1
    NONE = 2
    LZW = 3
    DEFLATE = 4


_CODECS: Final = {
    1: Codec.NONE, 5: Codec.LZW, 8: Codec.DEFLATE, 32946: Codec.DEFLATE,
    33003: Codec.JPEG_2000, 33005: Codec.JPEG_2000, 34712: Codec.JPEG_2000,
}  # fmt: skip
"""By TIFF compression."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the square tiles of one level are stored; always eight bits a sample."""

    codec: Codec
    samples: int
    """1, 3 or 4, of which the first three count."""
    differences: bool
    """Samples are differences along the row (TIFF predictor 2)."""
    ycbcr: bool
    """Samples are luma and chroma."""

    @property
    def channels(self) -> int:
        """Samples of a decoded pixel: 1 or 3."""
        return min(self.samples, 3)

    def pack(self) -> bytes:
        """Four bytes."""
        return _FORM.pack(self.codec, self.samples, self.differences, self.ycbcr)

    def decode(self, raw: bytes, side: int, where: str) -> Pixels:
        """Pixels of a tile, `side` × `side` × 1 or 3. Raises DamagedSlide."""
        shape = (side, side, self.samples)
        if self.codec is Codec.JPEG_2000:
            pixels = _jpeg_2000(raw, shape, where)
        else:
            pixels = _plain(self.codec, raw, shape, where)
        if self.differences:
            pixels = _imagecodecs().delta_decode(pixels, axis=1)
        pixels = pixels[..., :3]
        return to_rgb(pixels) if self.ycbcr and not subsampled(raw) else pixels

    def nanoseconds(self, side: int, coded: int) -> int:
        """About how long it takes to make a JPEG of a tile of `coded` bytes."""
        return side * side * _NS_PER_PIXEL + (coded * _NS_PER_J2K_BYTE if self.codec is Codec.JPEG_2000 else 0)


def parse(untrusted: bytes) -> Recipe | None:
    """The four bytes; None when they are no recipe."""
    if len(untrusted) != _FORM.size:
        return None
    codec, samples, differences, ycbcr = _FORM.unpack(untrusted)
    if codec not in set(Codec) or samples not in (1, 3, 4) or max(differences, ycbcr) > 1:
        return None
    return Recipe(Codec(codec), samples, bool(differences), bool(ycbcr))


def recipe_of(directory: Directory, front: bytes) -> Recipe | None:
    """The recipe of a directory's tiles, one of which begins with `front`; None when there is none here."""
    codec, samples = _CODECS.get(directory.compression), directory.number(t.SAMPLES_PER_PIXEL, 1)
    predictor = directory.number(t.PREDICTOR, 1) if codec in (Codec.LZW, Codec.DEFLATE) else 1
    photometric = directory.number(t.PHOTOMETRIC)
    plain = (
        set(directory.numbers(t.BITS_PER_SAMPLE).tolist()) == {8}
        and set(directory.numbers(_SAMPLE_FORMAT).tolist()) <= {1}
        and directory.number(_FILL_ORDER, 1) == 1
        and (directory.number(t.PLANAR_CONFIGURATION, 1) == 1 or samples == 1)
        and predictor in (1, 2)
    )
    if codec is None or not plain:
        return None
    ycbcr = directory.compression == _APERIO_YCBCR or photometric == _YCBCR
    shown = photometric == _GREY if samples == 1 else photometric == _RGB or (ycbcr and samples == 3)
    coded = front[:4] == _SOC_SIZ if codec is Codec.JPEG_2000 else not ycbcr
    return Recipe(codec, samples, predictor == 2, ycbcr and samples == 3) if shown and coded else None


def _jpeg_2000(raw: bytes, shape: tuple[int, int, int], where: str) -> Pixels:
    _check_size(raw, shape, where)
    try:
        pixels = _imagecodecs().jpeg2k_decode(raw, numthreads=1)
    except (ValueError, RuntimeError) as error:
        raise DamagedSlide("a tile cannot be decoded", where=where) from error
    if pixels.dtype != np.uint8 or pixels.size != np.prod(shape):
        raise DamagedSlide("a tile's own size is not the tile size", where=where)
    found: Pixels = pixels.reshape(shape)
    return found


def _check_size(raw: bytes, shape: tuple[int, int, int], where: str) -> None:
    """Raise DamagedSlide or LimitExceeded unless a codestream is as large as its tile."""
    side, _, samples = shape
    if raw[:4] != _SOC_SIZ:
        raise DamagedSlide("a JPEG 2000 tile does not begin with its size", where=where)
    length = int.from_bytes(raw[4:6], "big")
    check_j2k(raw[6 : 4 + length], Expected(Size(side, side), samples, 8, tiled=True))


def _plain(codec: Codec, raw: bytes, shape: tuple[int, int, int], where: str) -> Pixels:
    expected = int(np.prod(shape))
    try:
        data: bytes = raw if codec is Codec.NONE else _unpacked(codec, raw, expected)
    except (ValueError, RuntimeError, zlib.error) as error:
        raise DamagedSlide("a tile cannot be decoded", where=where) from error
    if len(data) < expected:
        raise DamagedSlide("a tile ends early", where=where)
    return np.frombuffer(data, np.uint8, expected).reshape(shape)


def _unpacked(codec: Codec, raw: bytes, most: int) -> bytes:
    """At most so many bytes."""
    if codec is Codec.DEFLATE:
        return zlib.decompressobj().decompress(raw, most)
    unpacked: bytes = _imagecodecs().lzw_decode(raw, out=most)
    return unpacked


def preload() -> None:
    """Load what decoding needs, for a process that is about to give up its files."""
    codecs = _imagecodecs()
    for name in ("jpeg2k_decode", "lzw_decode", "delta_decode"):
        getattr(codecs, name)
    Image.preinit()


def _imagecodecs() -> Any:  # noqa: ANN401  it has no types
    import imagecodecs  # slides of JPEG tiles never need it

    return imagecodecs


def subsampled(raw: bytes) -> bool:
    """Whether a JPEG 2000 codestream has smaller chroma: OpenJPEG then converts to RGB by itself, and else does not."""
    return raw[:4] == _SOC_SIZ and raw[_CHROMA_STEP] != b"\x01\x01"


def to_rgb(pixels: Pixels) -> Pixels:
    """RGB of full-range BT.601 luma and chroma."""
    size = (pixels.shape[1], pixels.shape[0])
    return np.asarray(Image.frombuffer("YCbCr", size, pixels, "raw", "YCbCr", 0, 1).convert("RGB"))
