"""All levels of a slide in one pass over the base level, holding one row of tiles per reduced level and no more."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import numpy as np

from coverslip.geometry import Size
from samples.codecs import Encoder
from samples.tiffmaker import Tiles
from samples.tissue import Pixels, Tissue, shrunk

Item = TypeVar("Item")
Result = TypeVar("Result")
Decorate = Callable[[int, int, bytes], tuple[bytes, bytes]]
"""Level, tile number and stored tile → the tile as it shall be stored, and bytes behind it that belong to nobody."""

AHEAD = 16
"""Tiles in the making at once, per thread: bounds memory."""


def plain(level: int, index: int, tile: bytes) -> tuple[bytes, bytes]:
    """Leave a tile as it is."""
    return tile, b""


@dataclass(slots=True)
class Miniature:
    """A small picture of the whole slide, averaged up from blocks in any order."""

    size: Size
    source: Size
    _sum: np.ndarray[tuple[int, int, int], np.dtype[np.float32]] = field(init=False)
    _count: np.ndarray[tuple[int, int, int], np.dtype[np.float32]] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing seen."""
        self._sum = np.zeros((self.size.height, self.size.width, 3), np.float32)
        self._count = np.zeros((self.size.height, self.size.width, 1), np.float32)

    def add(self, x: int, y: int, block: Pixels) -> None:
        """Take in the part of a block that lies inside the source."""
        block = block[: self.source.height - y, : self.source.width - x]
        rows, row_starts = self._bins(y, block.shape[0], self.size.height, self.source.height)
        columns, column_starts = self._bins(x, block.shape[1], self.size.width, self.source.width)
        total = np.add.reduceat(np.add.reduceat(block.astype(np.float32), row_starts, 0), column_starts, 1)
        height = np.diff(np.append(row_starts, block.shape[0]))[:, None, None]
        width = np.diff(np.append(column_starts, block.shape[1]))[None, :, None]
        self._sum[rows[0] : rows[0] + len(row_starts), columns[0] : columns[0] + len(column_starts)] += total
        self._count[rows[0] : rows[0] + len(row_starts), columns[0] : columns[0] + len(column_starts)] += height * width

    @staticmethod
    def _bins(start: int, length: int, bins: int, whole: int) -> tuple[np.ndarray, np.ndarray]:
        target = np.arange(start, start + length) * bins // whole
        return target, np.flatnonzero(np.diff(target, prepend=-1))

    def pixels(self) -> Pixels:
        """The miniature."""
        return np.asarray(np.rint(self._sum / np.maximum(self._count, 1)), dtype=np.uint8)


@dataclass(slots=True)
class Reduced:
    """One reduced level in the making: its present row of tiles, and where finished tiles go."""

    size: Size
    tile: Size
    tiles: Tiles
    band: Pixels = field(init=False)
    row: int = 0
    """Pixel row at which the band begins."""

    def __post_init__(self) -> None:
        """Make room for one row of tiles."""
        columns = -(-self.size.width // self.tile.width)
        self.band = np.zeros((self.tile.height, columns * self.tile.width, 3), np.uint8)

    def place(self, x: int, y: int, block: Pixels) -> None:
        """Put pixels of this level where they belong; what lies outside is cut off."""
        top = y - self.row
        room = self.band[top : top + block.shape[0], x : x + block.shape[1]]
        room[...] = block[: room.shape[0], : room.shape[1]]

    def blocks(self) -> Iterator[tuple[int, Pixels]]:
        """The finished row of tiles as (x, pixels), its last row and column repeated beyond the level's edge."""
        height = min(self.tile.height, self.size.height - self.row)
        self.band[height:] = self.band[height - 1 : height]
        self.band[:, self.size.width :] = self.band[:, self.size.width - 1 : self.size.width]
        for x in range(0, self.band.shape[1], self.tile.width):
            yield x, self.band[:, x : x + self.tile.width]


@dataclass(slots=True)
class Built:
    """What one pass made: tiles per level (those of reduced levels spooled) and the miniature."""

    sizes: tuple[Size, ...]
    tiles: tuple[Tiles, ...]
    miniature: Pixels


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map over threads, results in order, never more than `ahead` of them in memory."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def fitting(size: Size, bound: Size) -> Size:
    """The largest size of the same shape inside `bound`, never larger than `size`."""
    scale = min(1.0, bound.width / size.width, bound.height / size.height)
    return Size(max(1, int(size.width * scale)), max(1, int(size.height * scale)))


class Builder:
    """Makes the levels of one slide: `Builder(…).run()`."""

    def __init__(
        self, tissue: Tissue, tile: Size, downsamples: Sequence[int], encode: Encoder, base: Tiles, scratch: Path,
        *, decorate: Decorate = plain, bound: Size = Size(1024, 768),
    ) -> None:  # fmt: skip
        """Base tiles go to `base`, those of reduced levels to unnamed files in the folder `scratch`."""
        self.tissue, self.tile, self.encode, self.decorate = tissue, tile, encode, decorate
        self.steps = [later // earlier for earlier, later in itertools.pairwise(downsamples)]
        self.sizes = tuple(Size(tissue.size.width // by, tissue.size.height // by) for by in downsamples)
        self.reduced = [Reduced(size, tile, Tiles(_spool(scratch))) for size in self.sizes[1:]]
        self.base = base
        self.miniature = Miniature(fitting(self.sizes[-1], bound), self.sizes[-1])
        self.threads = max(2, os.cpu_count() or 2)
        self._blank: bytes | None = None

    def run(self) -> Built:
        """Write every tile of every level."""
        with ThreadPoolExecutor(self.threads) as pool:
            self.pool = pool
            for y in range(0, self.sizes[0].height, self.tile.height):
                self._base_row(y)
            for level in range(1, len(self.sizes)):
                self._finish(level)
        every = (self.base, *(level.tiles for level in self.reduced))
        return Built(self.sizes, every, self.miniature.pixels())

    def _base_row(self, y: int) -> None:
        def make(x: int) -> tuple[int, bytes, Pixels]:
            pixels = self.tissue.crop(x, y, self.tile.width, self.tile.height)
            return x, self._encoded(x, y, pixels), self._passed_on(0, pixels)

        for x, data, smaller in self._each(make, range(0, self.sizes[0].width, self.tile.width)):
            self._store(0, self.base, data)
            self._pass_on(0, x, y, smaller)

    def _encoded(self, x: int, y: int, pixels: Pixels) -> bytes:
        """Even glass is encoded once; two threads doing so at the same time do the same."""
        if not (self.tissue.repeated_blank and self.tissue.is_blank(x, y, self.tile.width, self.tile.height)):
            return self.encode(pixels)
        if self._blank is None:
            self._blank = self.encode(pixels)
        return self._blank

    def _passed_on(self, level: int, pixels: Pixels) -> Pixels:
        return shrunk(pixels, self.steps[level]) if level < len(self.steps) else pixels

    def _pass_on(self, level: int, x: int, y: int, smaller: Pixels) -> None:
        """Give a block that left `level` (already shrunk) to the next level, or to the miniature."""
        if level == len(self.steps):
            self.miniature.add(x, y, smaller)
            return
        step, target = self.steps[level], self.reduced[level]
        if y // step >= target.size.height:
            return
        if y // step >= target.row + self.tile.height:
            self._finish_band(level + 1)
        target.place(x // step, y // step, smaller)

    def _finish_band(self, level: int) -> None:
        target = self.reduced[level - 1]

        def make(block: tuple[int, Pixels]) -> tuple[int, bytes, Pixels]:
            x, pixels = block
            pixels = np.ascontiguousarray(pixels)
            return x, self.encode(pixels), self._passed_on(level, pixels)

        for x, data, smaller in self._each(make, target.blocks()):
            self._store(level, target.tiles, data)
            self._pass_on(level, x, target.row, smaller)
        target.row += self.tile.height

    def _finish(self, level: int) -> None:
        """The last band, which may be shorter than a tile."""
        target = self.reduced[level - 1]
        if target.row < target.size.height:
            self._finish_band(level)

    def _each(self, make: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return in_order(self.pool, make, items, AHEAD * self.threads)

    def _store(self, level: int, tiles: Tiles, data: bytes) -> None:
        tiles.append(*self.decorate(level, len(tiles.offsets), data))


def _spool(folder: Path) -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile(dir=folder))
