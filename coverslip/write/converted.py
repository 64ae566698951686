"""A converted slide: pixels decoded once and written as a pyramidal BigTIFF of pixels and numeric facts.

Tile data first, as it is encoded, directories at the end: one pass, memory independent of the slide's size. What the
file may say about itself is written from numbers; no text of the source is ever at hand.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import numpy as np
import numpy.typing as npt

from coverslip.durable import flush, our_errors, typed
from coverslip.errors import DamagedSlide, OutputExists
from coverslip.geometry import Point, Region, Size
from coverslip.progress import Progress, Stage, silent
from coverslip.slide import Level, SlideFacts
from coverslip.tiff import tags as t
from coverslip.write.bigtiff import Entry, directories, header
from coverslip.write.converted_page import page
from coverslip.write.cuts import TILE, blocks
from coverslip.write.jpeg_tiles import encode, take_apart

QUALITY: Final = 90
FINE_QUALITY: Final = 97
FINE_PIXELS: Final = 1 << 20
"""Levels up to this size are written at `FINE_QUALITY`: most detail per pixel, and next to nothing to store."""
MAX_WORKERS: Final = 4
MAX_AHEAD: Final = 8 << 20
"""Pixels in the making at once, at seven bytes each."""
MAX_PLAIN_COLOURS: Final = 256
"""How many different one-coloured tiles are remembered so that each is stored once."""

Pixels = npt.NDArray[np.uint8]


class Readable(Protocol):
    """What the writer needs of a slide: its numbers and its pixels."""

    facts: SlideFacts

    def read(self, level: int, region: Region) -> Pixels:
        """Pixels of a region of one level, height × width × RGB."""


@dataclass(frozen=True, slots=True)
class _Target:
    """One level as it is written."""

    number: int
    grid: Size
    """Tiles per row and column."""
    quality: int
    tables: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Tile:
    """An encoded tile and where it belongs."""

    index: int
    colour: bytes | None
    """RGB when the whole tile has one colour."""
    data: bytes = field(repr=False)


def write_converted(
    slide: Readable, target: Path, *, progress: Progress = silent, quality: int = QUALITY, icc: bytes = b""
) -> None:
    """Write `slide` to `target`, which must not exist; on any failure nothing is left there.

    `icc` is a profile already written anew, or nothing. Raises OutputExists, StorageFull, StorageFailed, DamagedSlide
    for tiles that cannot be read, and Cancelled from `progress`.
    """
    with _fresh(target) as file:
        writer = _Writer(file, slide, progress, quality)
        file.write(header(0))
        pages = [writer.level(number) for number in range(len(slide.facts.levels))]
        if icc:
            pages = [[*entries, Entry(t.ICC_PROFILE, t.UNDEFINED, len(icc), icc)] for entries in pages]
        file.write(bytes(file.tell() % 2))
        first = file.tell()
        file.write(directories(first, pages))
        file.seek(0)
        file.write(header(first))
        progress(Stage.WRITE, 1.0)


@contextmanager
def _fresh(target: Path) -> Iterator[BinaryIO]:
    """A new file, durable when the block ends well and gone when it does not."""
    try:
        file = target.open("xb")
    except FileExistsError:
        raise OutputExists() from None
    except OSError as error:
        raise typed(error) from None
    finished = False
    try:
        with our_errors(), file:
            yield file
            file.flush()
            flush(file.fileno())
        finished = True
    finally:
        if not finished:
            target.unlink(missing_ok=True)


class _Writer:
    """Reads, encodes and places tiles: workers read and encode, this thread alone writes, always in the same order."""

    def __init__(self, file: BinaryIO, slide: Readable, progress: Progress, quality: int) -> None:
        self._file, self._slide, self._progress, self._quality = file, slide, progress, quality
        self._total = sum(level.size.area for level in slide.facts.levels)
        self._done = 0
        self._plain: dict[tuple[int, bytes], tuple[int, int]] = {}

    def level(self, number: int) -> list[Entry]:
        """Write all tiles of one level and return the directory that finds them."""
        level = self._slide.facts.levels[number]
        quality = max(self._quality, FINE_QUALITY) if level.size.area <= FINE_PIXELS else self._quality
        target = _Target(number, level.size.ceil_div(Size(TILE, TILE)), quality, _tables(quality))
        offsets, counts = np.zeros(target.grid.area, np.uint64), np.zeros(target.grid.area, np.uint64)
        for region, tiles in self._encoded(level, target):
            for tile in tiles:
                offsets[tile.index], counts[tile.index] = self._place(tile, quality)
            self._done += region.size.area
            self._progress(Stage.WRITE, self._done / self._total)
        return page(self._slide.facts, number, TILE, offsets, counts, target.tables)

    def _encoded(self, level: Level, target: _Target) -> Iterator[tuple[Region, list[_Tile]]]:
        """Blocks in order with their tiles; few enough are under way at once for memory to stay flat."""
        workers = min(MAX_WORKERS, os.cpu_count() or 1)
        waiting: deque[tuple[Region, Future[list[_Tile]]]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for region in blocks(level):
                    while waiting and (len(waiting) > workers or _area(waiting) + region.size.area > MAX_AHEAD):
                        done, future = waiting.popleft()
                        yield done, future.result()
                    waiting.append((region, pool.submit(self._block, target, region)))
                for done, future in waiting:
                    yield done, future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _block(self, target: _Target, region: Region) -> list[_Tile]:
        pixels = self._slide.read(target.number, region)
        first = region.origin.y // TILE * target.grid.width + region.origin.x // TILE
        inner = region.size.ceil_div(Size(TILE, TILE))
        return [
            self._tile(target, first + row * target.grid.width + column, _cut(pixels, Point(column * TILE, row * TILE)))
            for row in range(inner.height)
            for column in range(inner.width)
        ]

    def _tile(self, target: _Target, index: int, pixels: Pixels) -> _Tile:
        colour = pixels[0, 0].tobytes() if _is_plain(pixels) else None
        if colour is not None and (target.quality, colour) in self._plain:
            return _Tile(index, colour, b"")
        parts = take_apart(encode(pixels, target.quality))
        if parts.tables != target.tables:
            raise DamagedSlide("the encoder changed its tables between tiles", where=f"tile[{index}]")
        return _Tile(index, colour, parts.tile)

    def _place(self, tile: _Tile, quality: int) -> tuple[int, int]:
        """Write the tile unless one of the same single colour is already there."""
        if tile.colour is not None and (quality, tile.colour) in self._plain:
            return self._plain[quality, tile.colour]
        place = (self._file.tell(), len(tile.data))
        self._file.write(tile.data)
        if tile.colour is not None and len(self._plain) < MAX_PLAIN_COLOURS:
            self._plain[quality, tile.colour] = place
        return place


def _is_plain(pixels: Pixels) -> bool:
    """Whether all pixels are equal; the first row answers for nearly all tiles of tissue."""
    first = pixels[0, 0]
    return bool((pixels[0] == first).all() and (pixels == first).all())


def _tables(quality: int) -> bytes:
    return take_apart(encode(np.zeros((TILE, TILE, 3), np.uint8), quality)).tables


def _area(waiting: Iterable[tuple[Region, object]]) -> int:
    return sum(region.size.area for region, _ in waiting)


def _cut(pixels: Pixels, at: Point) -> Pixels:
    """One tile; beyond the level's edge its last pixels go on, so that no false edge rings into the real ones."""
    found = pixels[at.y : at.y + TILE, at.x : at.x + TILE]
    missing = (TILE - found.shape[0], TILE - found.shape[1])
    return np.pad(found, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else found
