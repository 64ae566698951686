"""A picture of a slide in grey, decoded tile by tile and no larger than it is needed, by decoders of its own.

JPEG and JPEG 2000 by Pillow, which can decode at a half, a quarter or an eighth; everything else by tifffile.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from coverslip.geometry import Size
from coverslip.verify.beginning import Beginning
from coverslip.verify.correlate import Grey
from coverslip.verify.limits import MAX_PICTURE_PIXELS
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes

UNDECODABLE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ZeroDivisionError,
    RuntimeError,
    OSError,
    MemoryError,
    OverflowError,
    NotImplementedError,
    ImportError,
    SyntaxError,
    Image.DecompressionBombError,
)
"""What Pillow, tifffile and the codecs raise on hostile pictures; none of their texts is passed on."""
FACTORS = (8, 4, 2)
KEPT_PIXELS = 8 << 20
"""Of decoded tiles: neighbouring places share them."""
GLASS = 255.0
"""What stands where no tile is stored."""
APERIO_YCBCR, RGB = 33003, 2
"""Values of Compression and PhotometricInterpretation."""
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""Says that three components are red, green and blue; without it every decoder takes them for YCbCr."""

Block = tuple[int, int, Grey]
"""Left, top and pixels."""


class View(Protocol):
    """A picture in grey that can be looked at in parts."""

    @property
    def size(self) -> Size:
        """Pixels of the picture as it is seen here."""
        ...

    @property
    def bits(self) -> int:
        """Of a sample: with 8 of them white is 255, with others nobody knows."""
        ...

    def blocks(self, most: int) -> Iterator[Block]:
        """At most so many parts of it, those first that may show most."""
        ...

    def region(self, left: int, top: int, right: int, bottom: int) -> Grey:
        """A rectangle of it."""
        ...


class Whole:
    """A picture that is decoded already."""

    def __init__(self, grey: Grey) -> None:
        """Take it."""
        self.grey, self.bits = grey, 8
        self.size = Size(grey.shape[1], grey.shape[0])

    def blocks(self, most: int) -> Iterator[Block]:
        """All of it."""
        yield 0, 0, self.grey

    def region(self, left: int, top: int, right: int, bottom: int) -> Grey:
        """A rectangle of it."""
        return self.grey[top:bottom, left:right]


class Tiled:
    """A level, `factor` times smaller than stored. A tile that cannot be decoded counts as one that is not there."""

    def __init__(self, path: Path, file: Bytes, page: Page, factor: int = 1) -> None:
        """`factor` is 1, 2, 4 or 8 and divides the tile's sides."""
        self.page, self.bits = page, page.bits
        self.size = Size(-(-page.size.width // factor), -(-page.size.height // factor))
        self.tile = Size(page.tile.width // factor, page.tile.height // factor)
        self.decoded = 0
        self._file = file
        self._columns = -(-page.size.width // page.tile.width)
        self._rows = -(-page.size.height // page.tile.height)
        self._decode = _decoder(path, page, factor)
        self._kept: dict[int, Grey | None] = {}

    def blocks(self, most: int) -> Iterator[Block]:
        """Stored tiles: half of them those with most bytes, which show most, the others from all over."""
        most = min(most, max(1, KEPT_PIXELS // self.page.tile.area))
        for number in _worth_a_look(self.page.counts[: self._columns * self._rows], most):
            grey = self._tile(int(number))
            if grey is not None:
                row, column = divmod(int(number), self._columns)
                yield column * self.tile.width, row * self.tile.height, grey

    def region(self, left: int, top: int, right: int, bottom: int) -> Grey:
        """A rectangle; glass where nothing is stored."""
        out = np.full((bottom - top, right - left), GLASS, np.float32)
        for row in range(top // self.tile.height, -(-bottom // self.tile.height)):
            for column in range(left // self.tile.width, -(-right // self.tile.width)):
                grey = self._tile(row * self._columns + column)
                if grey is not None:
                    _paste(out, grey, column * self.tile.width - left, row * self.tile.height - top)
        return out

    def _tile(self, number: int) -> Grey | None:
        if number not in self._kept:
            while len(self._kept) * self.tile.area > KEPT_PIXELS:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = self._inside(number)
        return self._kept[number]

    def _inside(self, number: int) -> Grey | None:
        """The part of a tile that lies in the picture, planes averaged; None when there is none."""
        grid = self._columns * self._rows
        several = range(number, self.page.pieces, grid)
        planes = [grey for plane in several if (grey := self._stored(plane)) is not None]
        if not planes:
            return None
        self.decoded += 1
        row, column = divmod(number, self._columns)
        width = min(self.tile.width, self.size.width - column * self.tile.width)
        height = min(self.tile.height, self.size.height - row * self.tile.height)
        mean: Grey = np.stack(planes).mean(axis=0, dtype=np.float32)
        return mean[:height, :width]

    def _stored(self, number: int) -> Grey | None:
        count = int(self.page.counts[number]) if number < len(self.page.counts) else 0
        if not 0 < count <= MAX_PICTURE_PIXELS:
            return None
        try:
            return self._decode(self._file.read(int(self.page.offsets[number]), count, self.page.path), number)
        except UNDECODABLE:
            return None


def factor_for(page: Page, downsample: float) -> int:
    """The largest reduction that still leaves `downsample` or more to be averaged and whole pixels in a tile."""
    fits = (by for by in FACTORS if by <= downsample and page.tile.width % by == page.tile.height % by == 0)
    return next(fits, 1)


def _worth_a_look(counts: np.ndarray[Any, np.dtype[np.int64]], most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    stored = np.flatnonzero(counts > 0)
    if len(stored) <= most:
        return stored
    richest = stored[np.argsort(-counts[stored], kind="stable")][: most // 2]
    spread = stored[np.linspace(0, len(stored) - 1, most - len(richest)).astype(np.int64)]
    return np.unique(np.concatenate([richest, spread]))


def _paste(out: Grey, grey: Grey, left: int, top: int) -> None:
    place = out[max(0, top) : max(0, top + grey.shape[0]), max(0, left) : max(0, left + grey.shape[1])]
    part = grey[max(0, -top) :, max(0, -left) :]
    height, width = min(place.shape[0], part.shape[0]), min(place.shape[1], part.shape[1])
    place[:height, :width] = part[:height, :width]


def _decoder(path: Path, page: Page, factor: int) -> Callable[[bytes, int], Grey]:
    """From a stored tile's bytes and number to grey levels; raises one of `UNDECODABLE`."""
    if page.is_jpeg and page.bits == 8:
        return lambda raw, _: _jpeg(raw, page, factor)
    whole = _any(path, page)
    if page.is_j2k:
        return lambda raw, number: _j2k(raw, page, factor) if factor > 1 else whole(raw, number)
    return lambda raw, number: _reduced(whole(raw, number), factor)


def _jpeg(raw: bytes, page: Page, factor: int) -> Grey:
    """Luminance of a JPEG stream, scaled in the transform (T.81 Annex A)."""
    marked = _ADOBE_RGB if page.photometric == RGB and page.samples == 3 else b""
    stream = raw[:2] + marked + page.jpeg_tables[2:-2] + raw[2:]
    picture = Image.open(io.BytesIO(stream), formats=("JPEG",))
    _check_size(picture, page)
    full = picture.width
    picture.draft("L", (-(-full // factor), -(-picture.height // factor)))
    drafted = round(full / picture.width)
    return _reduced(np.asarray(picture.convert("L"), np.float32), max(1, factor // drafted))


def _j2k(raw: bytes, page: Page, factor: int) -> Grey:
    """A codestream at a lower resolution of its own (T.800 Annex F)."""
    picture = Image.open(io.BytesIO(raw), formats=("JPEG2000",))
    _check_size(picture, page)
    picture.reduce = factor.bit_length() - 1  # type: ignore[method-assign,assignment]
    return _grey(np.asarray(picture), page)


def _check_size(picture: Image.Image, page: Page) -> None:
    if picture.width > page.tile.width or picture.height > page.tile.height:
        raise ValueError


def _any(path: Path, page: Page) -> Callable[[bytes, int], Grey]:
    """Whatever tifffile knows, at full size."""
    try:
        import tifffile  # costs 200 ms, and JPEG slides never need it

        with path.open("rb") as file, tifffile.TiffFile(io.BufferedReader(Beginning(file, page.ifd.offset))) as tiff:
            known = tiff.pages.first
            unpack, tables = known.decode, known.jpegtables
    except UNDECODABLE:
        return _nothing

    def decoded(raw: bytes, number: int) -> Grey:
        segment = unpack(raw, number, jpegtables=tables, _fullsize=True)[0]
        if segment is None:
            raise ValueError
        return _grey(np.asarray(segment[0]), page)

    return decoded


def _nothing(raw: bytes, number: int) -> Grey:
    raise ValueError


def _grey(pixels: np.ndarray[Any, Any], page: Page) -> Grey:
    """The mean of the colours; of Aperio's luma and chroma the luma."""
    array = pixels[..., None] if pixels.ndim == 2 else pixels
    luma = page.codec == APERIO_YCBCR
    grey: Grey = array[..., : 1 if luma else 3].mean(axis=-1, dtype=np.float32)
    return grey


def _reduced(grey: Grey, factor: int) -> Grey:
    if factor == 1:
        return grey
    return np.asarray(Image.fromarray(grey).reduce(factor), np.float32)
