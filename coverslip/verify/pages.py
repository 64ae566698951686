"""Pages as pictures: sizes, codec and where the stored tiles or strips lie, from the verifier's own walk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.geometry import Size
from coverslip.verify.limits import MAX_PIXELS, MAX_SIDE, MAX_TILE_SIDE
from coverslip.verify.reading import Bytes
from coverslip.verify.tiff_walk import Ifd, IfdKind, Tiff, numbers, raw

JPEG_CODECS = frozenset({6, 7, 34892})
J2K_CODECS = frozenset({33003, 33004, 33005, 34712})
DEFLATE_CODECS = frozenset({8, 32946})
SEPARATE = 2
"""PlanarConfiguration: each sample has tiles of its own."""
DESCRIPTION = 270
WORDS = 256
"""Bytes of a description that say what a page is."""
OTHER_PICTURE = re.compile(rb"\W*(label|macro|overview|thumbnail)(\b|_)|Aperio[^|]*[\r\n](label|macro) ", re.IGNORECASE)
"""A description that begins by naming another kind of picture, or names one as Aperio does: in a line of the header."""


@dataclass(frozen=True, slots=True)
class Page:
    """One picture of a TIFF."""

    ifd: Ifd
    size: Size
    tile: Size
    """Stored tile size; for strips the picture's width and the rows per strip."""
    tiled: bool
    codec: int
    """The TIFF compression number."""
    subfile: int
    photometric: int
    samples: int
    bits: int
    planar: int
    offsets: NDArray[np.int64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)
    jpeg_tables: bytes = field(default=b"", repr=False)
    words: bytes = field(default=b"", repr=False)
    """The beginning of its description."""

    @property
    def path(self) -> str:
        """Where the page is, e.g. `ifd[2]`."""
        return self.ifd.path

    @property
    def is_jpeg(self) -> bool:
        """Tiles are JPEG streams."""
        return self.codec in JPEG_CODECS

    @property
    def is_j2k(self) -> bool:
        """Tiles are JPEG 2000 codestreams."""
        return self.codec in J2K_CODECS

    @property
    def pieces(self) -> int:
        """How many tiles or strips the size asks for."""
        planes = self.samples if self.planar == SEPARATE else 1
        return self.size.ceil_div(self.tile).area * planes

    @property
    def piece(self) -> str:
        """What a stored piece is called."""
        return "tile" if self.tiled else "strip"


def pictures(file: Bytes, tiff: Tiff) -> tuple[Page, ...]:
    """Every directory that holds a picture, SubIFDs included; raises `DamagedSlide` or `LimitExceeded`."""
    kinds = (IfdKind.PAGE, IfdKind.SUBIFD)
    return tuple(_page(file, tiff, ifd) for ifd in tiff.ifds if ifd.kind in kinds and ifd.field(256))


def level_pages(pages: Sequence[Page]) -> tuple[Page, ...]:
    """The first tiled page, and those of the main chain or below it (OME-TIFF) that can show the same at less size.

    Of several pages as large as the first, what lies below each. Everything else is a picture beside the pyramid,
    however it is stored.
    """
    planes = plane_pages(pages)
    by_path = {plane.path: plane for plane in planes}
    return tuple(page for page in pages if page.tiled and (page is planes[0] or _is_reached(page, planes[0], by_path)))


def _is_reached(page: Page, first: Page, planes: Mapping[str, Page]) -> bool:
    below = page.ifd.kind is IfdKind.SUBIFD
    return is_level_of(page, planes.get(page.path.partition("/")[0], first) if below else first)


def plane_pages(pages: Sequence[Page]) -> tuple[Page, ...]:
    """The first tiled page, and those of the main chain that are as large and like it: one per plane."""
    tiled = [page for page in pages if page.tiled]
    chain = (page for page in tiled[1:] if page.ifd.kind is IfdKind.PAGE and page.size == tiled[0].size)
    return (*tiled[:1], *(page for page in chain if is_level_of(page, tiled[0])))


def levels_below(plane: Page, pages: Sequence[Page]) -> tuple[Page, ...]:
    """SubIFDs of a plane that are levels of it, in the order they stand in."""
    return tuple(page for page in pages if is_below(page, plane) and is_level_of(page, plane))


def is_level_of(page: Page, base: Page) -> bool:
    """Whether nothing in structure or words speaks against a page being a level: only then is it looked at as one."""
    reached = page.ifd.kind is IfdKind.PAGE or is_below(page, base)
    return reached and page.tiled and not _says_otherwise(page, base) and _is_like(page, base)


def is_below(page: Page, base: Page) -> bool:
    """Whether a page is a SubIFD of another."""
    return page.ifd.kind is IfdKind.SUBIFD and page.path.startswith(f"{base.path}/")


def _says_otherwise(page: Page, base: Page) -> bool:
    """A level is of subfile type 0 or, but not with Aperio, whose labels are that, of type 1 (reduced resolution)."""
    allowed = (0,) if base.words.startswith(b"Aperio") else (0, 1)
    return page.subfile not in allowed or OTHER_PICTURE.match(page.words) is not None


def _is_like(page: Page, base: Page) -> bool:
    """No larger, the same shape to within rounding, the same samples and codec."""
    alike = (page.samples, page.bits, page.planar) == (base.samples, base.bits, base.planar)
    expected = base.size.height * page.size.width / base.size.width
    slack = 2 + page.size.height / page.size.width
    shaped = page.size.width <= base.size.width and abs(page.size.height - expected) <= slack
    return alike and shaped and _family(page) == _family(base)


def _family(page: Page) -> int:
    """The codec, its dialects taken for one."""
    return next(
        (min(family) for family in (JPEG_CODECS, J2K_CODECS, DEFLATE_CODECS) if page.codec in family), page.codec
    )


def _page(file: Bytes, tiff: Tiff, ifd: Ifd) -> Page:
    size = Size(_number(file, tiff, ifd, 256, 0), _number(file, tiff, ifd, 257, 0))
    if not (0 < size.width <= MAX_SIDE and 0 < size.height <= MAX_SIDE) or size.area > MAX_PIXELS:
        raise LimitExceeded("a picture's size is out of bounds", where=ifd.path)
    tiled = ifd.field(324) is not None
    tile = _tile(file, tiff, ifd, tiled, size)
    offsets, counts = _segments(file, tiff, ifd, tiled)
    tables = ifd.field(347)
    return Page(
        ifd=ifd,
        size=size,
        tile=tile,
        tiled=tiled,
        codec=_number(file, tiff, ifd, 259, 1),
        subfile=_number(file, tiff, ifd, 254, 0),
        photometric=_number(file, tiff, ifd, 262, 0),
        samples=_number(file, tiff, ifd, 277, 1),
        bits=_number(file, tiff, ifd, 258, 1),
        planar=_number(file, tiff, ifd, 284, 1),
        offsets=offsets,
        counts=counts,
        jpeg_tables=raw(file, ifd, tables) if tables else b"",
        words=_words(file, ifd),
    )


def _words(file: Bytes, ifd: Ifd) -> bytes:
    found = ifd.field(DESCRIPTION)
    return file.read(found.offset, min(found.size, WORDS), ifd.path) if found else b""


def _tile(file: Bytes, tiff: Tiff, ifd: Ifd, tiled: bool, size: Size) -> Size:
    if not tiled:
        return Size(size.width, min(size.height, _number(file, tiff, ifd, 278, size.height)))
    tile = Size(_number(file, tiff, ifd, 322, 0), _number(file, tiff, ifd, 323, 0))
    if not (0 < tile.width <= MAX_TILE_SIDE and 0 < tile.height <= MAX_TILE_SIDE):
        raise LimitExceeded("the tile size is out of bounds", where=ifd.path)
    return tile


def _segments(file: Bytes, tiff: Tiff, ifd: Ifd, tiled: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    offsets, counts = (_numbers(file, tiff, ifd, tag) for tag in ((324, 325) if tiled else (273, 279)))
    if len(counts) != len(offsets):
        raise DamagedSlide("offsets and byte counts differ in number", where=ifd.path)
    ends = offsets + counts
    if len(counts) and (counts.min() < 0 or offsets.min() < 0 or ends[counts > 0].max(initial=0) > file.size):
        raise DamagedSlide("a tile or strip points outside the file", where=ifd.path)
    return offsets, counts


def _numbers(file: Bytes, tiff: Tiff, ifd: Ifd, tag: int) -> NDArray[np.int64]:
    found = ifd.field(tag)
    return numbers(file, tiff.order, ifd, found) if found else np.zeros(0, np.int64)


def _number(file: Bytes, tiff: Tiff, ifd: Ifd, tag: int, default: int) -> int:
    found = ifd.field(tag)
    if found is None:
        return default
    if not 1 <= found.count <= 65536:
        raise DamagedSlide("a single number is expected here", where=f"{ifd.path}/{tag}")
    return int(numbers(file, tiff.order, ifd, found)[0])
