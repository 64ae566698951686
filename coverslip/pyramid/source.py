"""The levels of a clean slide as the pyramid sees them: tiles with a place, a length and a way to read them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from coverslip.errors import DamagedSlide, LimitExceeded, StorageFailed, UnsupportedSlide
from coverslip.geometry import Size
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.jpeg import JpegForm, form_of
from coverslip.pyramid.recipes import Recipe, recipe_of
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, FileBytes, Numbers, TiffFile, check_blocks

BLANK: Final = 255
"""What a tile shows that was never scanned: the white of empty glass."""
_JPEG: Final = 7
_RGB: Final = 2
_FRONT: Final = 64 << 10
"""How much of a tile is looked at to find its JPEG headers."""
_USUAL_TILES: Final = range(64, 2049)
_OUR_TILE: Final = 256
"""Tile size we choose when the slide's own cannot be a deep-zoom tile."""


@dataclass(frozen=True)
class StoredLevel:
    """One tiled directory that shows the scene at some resolution."""

    directory: Directory = field(repr=False)
    size: Size
    tile: Size
    grid: Size
    offsets: Numbers = field(repr=False)
    counts: Numbers = field(repr=False)
    jpeg: JpegForm | None = field(repr=False)
    """None when a browser cannot show the tiles as they are."""
    recipe: Recipe | None = None
    """How a tile like that is decoded by itself; None when it is JPEG, and when nobody here knows."""

    @property
    def where(self) -> str:
        """Path of the directory."""
        return self.directory.path

    def at(self, column: int, row: int) -> tuple[int, int]:
        """Offset and length of a tile."""
        number = row * self.grid.width + column
        return int(self.offsets[number]), int(self.counts[number])


@dataclass(frozen=True)
class Source:
    """The scene: its grid of served tiles, and which reductions the slide holds ready to serve."""

    zoom: DeepZoom
    base: StoredLevel
    ready: dict[int, StoredLevel]
    """By reduction: levels whose stored tiles are deep-zoom tiles."""
    coded: dict[int, StoredLevel] = field(default_factory=dict)
    """By reduction: levels whose stored tiles would be, were they JPEG; empty unless the base is one of them."""
    empty: int = BLANK
    """What a pixel shows that was never scanned."""

    @property
    def held(self) -> dict[int, StoredLevel]:
        """All levels whose stored tiles make a deep-zoom tile each, by reduction."""
        return {**self.coded, **self.ready}

    @property
    def channels(self) -> int:
        """Samples per pixel of derived tiles: 1 or 3."""
        return 1 if self.base.directory.number(t.SAMPLES_PER_PIXEL, 1) == 1 else 3


def source_of(found: Sequence[StoredLevel]) -> Source:
    """The scene that these levels show, the base first."""
    base = found[0]
    zoom = DeepZoom(base.size, _tile_side(base.tile))
    fitting = [(reduction, level) for level in found if (reduction := _reduction(zoom, level)) is not None]
    ready = {reduction: level for reduction, level in reversed(fitting) if level.jpeg}
    coded = {
        reduction: level
        for reduction, level in reversed(fitting)
        if level.recipe and base.recipe and level.recipe.channels == base.recipe.channels and reduction not in ready
    }
    return Source(zoom, base, ready, coded if 0 in coded else {})


def levels_of(tiff: TiffFile) -> tuple[StoredLevel, ...]:
    """The slide's own levels, the base first, then in the file's order, found by their shape.

    Raises UnsupportedSlide when the first directory is not tiled, DamagedSlide when a tile table lies.
    """
    first = tiff.pages[0]
    if not first.tiled:
        raise UnsupportedSlide("the first image is not tiled", where=first.path)
    base = level_of(tiff, first)
    return base, *(level_of(tiff, other) for other in _reductions(tiff, base))


def stored_levels(tiff: TiffFile, directories: Iterable[Directory]) -> tuple[StoredLevel, ...]:
    """Levels whose directories somebody else has found, in their order. Raises as `levels_of` does."""
    return tuple(level_of(tiff, directory) for directory in directories)


def _tile_side(tile: Size) -> int:
    usual = tile.width == tile.height and tile.width in _USUAL_TILES and tile.width % 2 == 0
    return tile.width if usual else _OUR_TILE


def _reductions(tiff: TiffFile, base: StoredLevel) -> Iterator[Directory]:
    """Tiled images smaller than the base with the base's proportions, wherever they hang (OME puts them in SubIFDs)."""
    for directory in tiff.walk():
        if directory is base.directory or not directory.has_pixels or not directory.tiled:
            continue
        size = directory.size
        scale = base.size.width / size.width
        if scale > 1 and abs(base.size.height / scale - size.height) <= 2:
            yield directory


def _reduction(zoom: DeepZoom, level: StoredLevel) -> int | None:
    """How many halvings make this level, when each of its tiles is one to serve; sizes may be rounded either way."""
    if level.tile != Size(zoom.tile, zoom.tile):
        return None
    reduction = round(np.log2(zoom.size.width / level.size.width))
    exact = zoom.reduced(reduction)
    fits = exact.width - level.size.width in (0, 1) and exact.height - level.size.height in (0, 1)
    return reduction if fits else None


def level_of(tiff: TiffFile, directory: Directory) -> StoredLevel:
    """A tiled directory as a level. Raises UnsupportedSlide, DamagedSlide or LimitExceeded when it cannot be one."""
    check_blocks(tiff, directory)
    offsets, counts, tile = directory.offsets, directory.byte_counts, directory.tile_size
    samples = directory.number(t.SAMPLES_PER_PIXEL, 1)
    if samples not in (1, 3, 4):
        raise UnsupportedSlide("pixels are neither grey nor RGB", where=directory.path)
    if int(counts.max()) > 4 * tile.area * samples * 2 + (64 << 10):
        raise LimitExceeded("a tile is longer than its pixels could need", where=directory.path)
    front = _front(tiff.data, offsets, counts)
    form, recipe = (_jpeg_form(directory, front), recipe_of(directory, front)) if front else (None, None)
    return StoredLevel(directory, directory.size, tile, directory.size.ceil_div(tile), offsets, counts, form, recipe)


def _front(data: FileBytes, offsets: Numbers, counts: Numbers) -> bytes:
    """How a level's first written tile begins."""
    present = np.flatnonzero(counts)
    if not len(present):
        return b""
    at, length = int(offsets[present[0]]), int(counts[present[0]])
    return data[at : at + min(length, _FRONT)]


def _jpeg_form(directory: Directory, front: bytes) -> JpegForm | None:
    planar = directory.number(t.PLANAR_CONFIGURATION, 1) == t.SEPARATE and directory.number(t.SAMPLES_PER_PIXEL, 1) > 1
    if directory.compression != _JPEG or planar:
        return None
    return form_of(directory.raw(t.JPEG_TABLES), front, directory.number(t.PHOTOMETRIC) == _RGB, directory.path)


@dataclass(frozen=True, slots=True)
class Cut:
    """How a served tile at the edge comes out of a stored one."""

    column: int
    row: int
    """The stored tile it is cut from."""
    left: int
    top: int
    inside: Size
    """How much of the stored tile is picture rather than TIFF's padding."""
    extent: Size
    """What DeepZoom wants."""


def cut_of(level: StoredLevel, zoom: DeepZoom, reduction: int, column: int, row: int) -> Cut:
    """Where the pixels of a served tile lie in a stored level, which may be a pixel short of it."""
    x, y = min(column, level.grid.width - 1), min(row, level.grid.height - 1)
    inside = Size(
        min(level.tile.width, level.size.width - x * level.tile.width),
        min(level.tile.height, level.size.height - y * level.tile.height),
    )
    left = inside.width - 1 if x < column else 0
    top = inside.height - 1 if y < row else 0
    return Cut(x, y, left, top, inside, zoom.extent(reduction, column, row))


def read_tiles(fd: int, level: StoredLevel, row: int, columns: range) -> list[memoryview]:
    """The stored bytes of neighbouring tiles, in one read where they lie together. Empty for tiles never written.

    Raises DamagedSlide when the file ends early, StorageFailed when it cannot be read.
    """
    numbers = slice(row * level.grid.width + columns.start, row * level.grid.width + columns.stop)
    offsets, counts = level.offsets[numbers].tolist(), level.counts[numbers].tolist()
    start, stop = min(offsets), max(offset + count for offset, count in zip(offsets, counts, strict=True))
    if stop - start <= sum(counts) + 4096:
        run = memoryview(pread(fd, stop - start, start, level.where))
        return [run[o - start : o - start + c] for o, c in zip(offsets, counts, strict=True)]
    return [memoryview(pread(fd, c, o, level.where)) for o, c in zip(offsets, counts, strict=True)]


def pread(fd: int, length: int, offset: int, where: str) -> bytes:
    """Bytes of the clean slide. Raises DamagedSlide when it ends early, StorageFailed when it cannot be read."""
    try:
        found = os.pread(fd, length, offset)
    except OSError as error:
        raise StorageFailed("reading the clean slide failed", where=where) from error
    if len(found) != length:
        raise DamagedSlide("the file ends inside a tile", where=where)
    return found
