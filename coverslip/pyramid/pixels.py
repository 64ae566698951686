"""Decoding, halving and encoding of tiles. Pixels are uint8 arrays of height × width × 3, or × 1 for grey."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

try:
    import turbojpeg
except ImportError:  # no wheel for this Python yet: edges are encoded again then
    turbojpeg = None

from coverslip.errors import DamagedSlide
from coverslip.pyramid.jpeg import JpegForm
from coverslip.pyramid.source import BLANK, Cut

Pixels = npt.NDArray[np.uint8]

_MODES: Final = {1: "GRAY", 3: "RGB"}
_PILLOW_SUBSAMPLING: Final = {"444": 0, "422": 1, "420": 2}
_local = threading.local()


def _scratch(size: int) -> bytearray:
    """This thread's decode buffer: reused, because fresh memory costs a page fault per 4 KiB."""
    buffer: bytearray | None = getattr(_local, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _local.buffer = bytearray(size)
    return buffer


def decode(jpeg: bytes, side: int, channels: int, where: str, *, factor: int = 1) -> Pixels:
    """Decode a JPEG of `side` × `side` pixels, scaled down by `factor` in the DCT domain.

    The result is valid until this thread decodes again. Raises DamagedSlide when it is not such a JPEG.
    """
    expected = -(-side // factor)
    buffer = _scratch(side * side * channels)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            jpeg,
            _MODES[channels],
            fastdct=factor > 1,  # 7 % of the time; the result stays above 42 dB of the exact mean
            fastupsample=factor > 1,
            min_height=expected,
            min_width=expected,
            min_factor=factor,
            buffer=buffer,
        )
    except ValueError as error:
        raise DamagedSlide("a tile is not a JPEG we can decode", where=where) from error
    if pixels.shape != (expected, expected, channels):
        raise DamagedSlide("a tile's own size is not the tile size", where=where)
    return pixels


def halve(pixels: Pixels) -> Pixels:
    """Half the size, rounded up, every pixel the mean of up to four."""
    grey = pixels.shape[2] == 1
    image = Image.fromarray(pixels[..., 0] if grey else pixels)
    return np.asarray(image.reduce(2)).reshape(-(-pixels.shape[0] // 2), -(-pixels.shape[1] // 2), pixels.shape[2])


def blank(height: int, width: int, channels: int, value: int = BLANK) -> Pixels:
    """Pixels of a place that was never scanned."""
    return np.full((height, width, channels), value, np.uint8)


def uniform(pixels: Pixels) -> bool:
    """Whether all pixels are the same; three samples answer for nearly every tile that is not."""
    corner = pixels[0, 0]
    if (pixels[-1, -1] != corner).any() or (pixels[len(pixels) // 2, pixels.shape[1] // 2] != corner).any():
        return False
    return bool((pixels == corner).all())


def cut_out(pixels: Pixels, cut: Cut) -> Pixels:
    """What a served edge tile shows of a decoded stored one; grown by repeating the last column or row if short."""
    found = pixels[cut.top : cut.inside.height, cut.left : cut.inside.width][: cut.extent.height, : cut.extent.width]
    short = ((0, cut.extent.height - found.shape[0]), (0, cut.extent.width - found.shape[1]), (0, 0))
    return np.pad(found, short, mode="edge") if short[0][1] or short[1][1] else found


@dataclass(frozen=True, slots=True)
class Encoding:
    """How derived tiles are encoded."""

    quality: int
    subsampling: str = "420"
    """At half size a sixth fewer bytes and a third less time than full chroma, and no eye tells them apart."""

    def encode(self, pixels: Pixels) -> bytes:
        """A complete JFIF file."""
        grey = pixels.shape[2] == 1
        jpeg: bytes = simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels),
            quality=self.quality,
            colorspace=_MODES[pixels.shape[2]],
            colorsubsampling="Gray" if grey else self.subsampling,
        )
        return jpeg


def cut_off(jpeg: bytes, side: int, form: JpegForm, where: str, cut: Cut) -> bytes:
    """A stored tile cut to what DeepZoom wants, its coefficients as they were: nothing is decoded to pixels.

    A decoder shows exactly the pixels of the whole tile, but for the last two columns and rows where chroma is
    subsampled: there it has no neighbours to interpolate with. Tiles that have to grow are encoded again (`recode`).
    Raises DamagedSlide when the tile cannot be decoded.
    """
    whole = cut.extent.width <= cut.inside.width and cut.extent.height <= cut.inside.height
    if turbojpeg is not None and whole and not cut.left and not cut.top:
        try:
            cropped: bytes = turbojpeg.transform(
                jpeg, x=0, y=0, w=cut.extent.width, h=cut.extent.height, crop=True, optimize=True
            )
        except RuntimeError:  # `recode` says what is wrong, or copes
            return recode(jpeg, side, form, where, cut)
        return cropped
    return recode(jpeg, side, form, where, cut)


def recode(jpeg: bytes, side: int, form: JpegForm, where: str, cut: Cut) -> bytes:
    """A stored tile cut to what DeepZoom wants and encoded as it was.

    The source's own tables and colours are used again, so blocks the cut does not touch come out as they were but for
    rounding. Raises DamagedSlide when the tile cannot be decoded.
    """
    image = _open(jpeg, side, form, where)
    pixels = cut_out(np.asarray(image).reshape(side, side, form.components), cut)
    size = (cut.extent.width, cut.extent.height)
    out = io.BytesIO()
    Image.frombytes(image.mode, size, pixels.tobytes()).save(
        out,
        "JPEG",
        qtables=image.quantization,  # type: ignore[attr-defined]
        subsampling=0 if form.rgb else _PILLOW_SUBSAMPLING.get(form.subsampling, 2),
        keep_rgb=form.rgb,
    )
    return out.getvalue()


def _open(jpeg: bytes, side: int, form: JpegForm, where: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
        if image.size != (side, side):
            raise DamagedSlide("a tile's own size is not the tile size", where=where)
        if not form.rgb and form.components == 3:
            image.draft("YCbCr", image.size)
        image.load()
    except (OSError, SyntaxError) as error:
        raise DamagedSlide("a tile is not a JPEG we can decode", where=where) from error
    return image
