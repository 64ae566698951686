"""Pages as pictures: sizes, codec and where the stored tiles or strips lie, from the verifier's own walk."""

from __future__ import annotations

from collections.abc import Sequence
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
    samples: int
    bits: int
    planar: int
    offsets: NDArray[np.int64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)
    jpeg_tables: bytes = field(default=b"", repr=False)

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
    def piece(self) -> str:
        """What a stored piece is called."""
        return "tile" if self.tiled else "strip"


def pictures(file: Bytes, tiff: Tiff) -> tuple[Page, ...]:
    """Every directory that holds a picture, SubIFDs included; raises `DamagedSlide` or `LimitExceeded`."""
    kinds = (IfdKind.PAGE, IfdKind.SUBIFD)
    return tuple(_page(file, tiff, ifd) for ifd in tiff.ifds if ifd.kind in kinds and ifd.field(256))


def level_pages(pages: Sequence[Page]) -> tuple[Page, ...]:
    """Tiled pages of the main chain and what of the pages below them shows the same at less size (OME-TIFF).

    Everything else is a picture beside the pyramid.
    """
    below = {id(page) for plane in plane_pages(pages) for page in levels_below(plane, pages)}
    return tuple(page for page in pages if page.tiled and (page.ifd.kind is IfdKind.PAGE or id(page) in below))


def plane_pages(pages: Sequence[Page]) -> tuple[Page, ...]:
    """Tiled pages of the main chain that are as large as the first of them: one per plane."""
    chain = [page for page in pages if page.tiled and page.ifd.kind is IfdKind.PAGE]
    return tuple(page for page in chain if page.size == chain[0].size)


def levels_below(plane: Page, pages: Sequence[Page]) -> tuple[Page, ...]:
    """SubIFDs of a plane that are levels of it, largest first."""
    front = f"{plane.path}/{IfdKind.SUBIFD}"
    below = [page for page in pages if page.path.startswith(front) and is_level_below(page, plane)]
    return tuple(sorted(below, key=lambda page: -page.size.width))


def is_level_below(page: Page, plane: Page) -> bool:
    """Whether a SubIFD of a page is a level of it: tiled, smaller, the same shape to within rounding, like samples."""
    below = page.ifd.kind is IfdKind.SUBIFD and page.path.startswith(f"{plane.path}/")
    alike = (page.samples, page.bits) == (plane.samples, plane.bits) and page.size.width < plane.size.width
    expected = plane.size.height * page.size.width / plane.size.width
    slack = 2 + page.size.height / page.size.width
    return below and page.tiled and alike and abs(page.size.height - expected) <= slack


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
        samples=_number(file, tiff, ifd, 277, 1),
        bits=_number(file, tiff, ifd, 258, 1),
        planar=_number(file, tiff, ifd, 284, 1),
        offsets=offsets,
        counts=counts,
        jpeg_tables=raw(file, ifd, tables) if tables else b"",
    )


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
