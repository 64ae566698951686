"""Derived levels, one unit of work at a time, so that no level is ever held in memory.

A *chain* is a run of derived levels below one that the slide holds. It is worked off in square blocks of tiles, in
Z-order: within a block each tile is made from its four children depth first (pixels go up, JPEG is encoded once and
never decoded again), and what is left above the blocks is joined as soon as four neighbours are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from coverslip.geometry import Size
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.feed import Block, Fed, Feed
from coverslip.pyramid.pixels import Encoding, Pixels, halve, uniform
from coverslip.pyramid.repeats import Recent

_NOTHING: Final = Size(0, 0)


@dataclass(frozen=True, slots=True)
class Made:
    """One derived tile."""

    reduction: int
    column: int
    row: int
    jpeg: bytes = field(repr=False)


Emit = Callable[[Made], None]


@dataclass(frozen=True)
class Chain:
    """Derived levels `feed.reduction` … `last`, both included."""

    feed: Feed
    last: int
    zoom: DeepZoom
    encoding: Encoding
    left_out: Size = _NOTHING
    """Columns and rows, from the top left, of the lowest level that nobody is to store."""
    known: Recent[tuple[object, ...], bytes] = field(default_factory=lambda: Recent(256), repr=False)
    """Encoded tiles by what they were made of: blank ones are encoded once."""

    @property
    def reach(self) -> int:
        """How many halvings make one tile of a block."""
        return max(1, self.feed.block_pixels // self.zoom.tile).bit_length() - 1

    @property
    def depth(self) -> int:
        """How many levels above its lowest a block makes: fewer than it could where the chain ends."""
        return min(self.reach, self.last - self.feed.reduction)

    @property
    def goes_on(self) -> bool:
        """Whether levels of the chain lie above its blocks."""
        return self.feed.reduction + self.depth < self.last

    @property
    def grid(self) -> Size:
        """Columns and rows of blocks."""
        return self._tops.ceil_div(Size(1 << self.reach - self.depth, 1 << self.reach - self.depth))

    @property
    def _tops(self) -> Size:
        """Columns and rows of the highest tiles that blocks make."""
        return self.zoom.grid(self.feed.reduction + self.depth)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Columns and rows of blocks, in Z-order."""
        return z_order(self.grid)

    def make(self, column: int, row: int) -> tuple[list[Made], Pixels | None]:
        """All tiles of one block and, when the chain goes on above it, the half-size pixels of its top."""
        side, abreast = 1 << self.reach, 1 << self.reach - self.depth
        grid = self.zoom.grid(self.feed.reduction)
        columns = range(column * side, min((column + 1) * side, grid.width))
        rows = range(row * side, min((row + 1) * side, grid.height))
        block, made = self.feed.block(columns, rows), list[Made]()
        for at in _z_order(self._tops, column * abreast, row * abreast, abreast):
            top = self._node(block, self.depth, *at, made.append)
            if self.goes_on:  # there is but one then
                return made, halve(top.pixels)
        return made, None

    def single(self, reduction: int, column: int, row: int) -> Made:
        """One tile by itself, as its block would make it."""
        height = reduction - self.feed.reduction
        grid, side = self.zoom.grid(self.feed.reduction), 1 << height
        columns = range(column * side, min((column + 1) * side, grid.width))
        block = self.feed.block(columns, range(row * side, min((row + 1) * side, grid.height)))
        return self.encode(reduction, column, row, self._fed(block, height, column, row, None))

    def _node(self, block: Block, height: int, column: int, row: int, emit: Emit | None) -> Fed:
        fed = self._fed(block, height, column, row, emit)
        if emit and not (height == 0 and column < self.left_out.width and row < self.left_out.height):
            emit(self.encode(self.feed.reduction + height, column, row, fed))
        return fed

    def _fed(self, block: Block, height: int, column: int, row: int, emit: Emit | None) -> Fed:
        return block.tile(column, row) if height == 0 else self._joined(block, height, column, row, emit)

    def _joined(self, block: Block, height: int, column: int, row: int, emit: Emit | None) -> Fed:
        reduction = self.feed.reduction + height
        parent = Parent.at(self.zoom, reduction, column, row, self.feed.channels)
        keys = set()
        for across, down in parent.children:
            child = self._node(block, height - 1, 2 * column + across, 2 * row + down, emit)
            parent.place(across, down, halve(child.pixels))
            keys.add(child.key)
        return Fed(parent.pixels, keys.pop() if len(keys) == 1 and len(parent.children) == 4 else None)

    def encode(self, reduction: int, column: int, row: int, fed: Fed) -> Made:
        """Encode, unless a tile of the same content was encoded lately."""
        name = _name(fed)
        if name is None:
            return Made(reduction, column, row, self.encoding.encode(fed.pixels))
        key = (*name, fed.pixels.shape)
        jpeg = self.known.get(key)
        if jpeg is None:
            jpeg = self.encoding.encode(fed.pixels)
            self.known.put(key, jpeg)
        return Made(reduction, column, row, jpeg)


def _name(fed: Fed) -> tuple[object, ...] | None:
    """What makes a tile worth remembering: four times the same stored tile, or a single colour."""
    if fed.key is not None and len(set(fed.key)) == 1:
        return ("stored", fed.key[0])
    return ("colour", *fed.pixels[0, 0].tolist()) if uniform(fed.pixels) else None


@dataclass
class Parent:
    """A tile being put together from its children's halves."""

    pixels: Pixels
    children: tuple[tuple[int, int], ...]
    """Which of the four exist, as (across, down)."""
    half: int
    missing: int

    @classmethod
    def at(cls, zoom: DeepZoom, reduction: int, column: int, row: int, channels: int) -> Parent:
        """An empty parent of the right extent."""
        extent, below = zoom.extent(reduction, column, row), zoom.grid(reduction - 1)
        children = tuple(
            (across, down)
            for down in (0, 1)
            for across in (0, 1)
            if 2 * column + across < below.width and 2 * row + down < below.height
        )
        return cls(np.empty((extent.height, extent.width, channels), np.uint8), children, zoom.tile // 2, len(children))

    def place(self, across: int, down: int, pixels: Pixels) -> None:
        """Put a child's half-size pixels where they belong."""
        y, x = down * self.half, across * self.half
        self.pixels[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        self.missing -= 1


@dataclass
class Apex:
    """The levels of a chain above its blocks, joined as blocks come in: Z-order keeps only a path of parents open."""

    chain: Chain
    open: dict[tuple[int, int, int], Parent] = field(default_factory=dict)

    def add(self, column: int, row: int, half: Pixels) -> Iterator[Made]:
        """Take the top of a block; yield the tiles that are complete because of it."""
        for at, pixels in self.join(column, row, half):
            yield self.chain.encode(*at, Fed(pixels, None))

    def join(self, column: int, row: int, half: Pixels) -> Iterator[tuple[tuple[int, int, int], Pixels]]:
        """The same before encoding: reduction, column and row of each tile, and its pixels."""
        reduction = self.chain.feed.reduction + self.chain.depth
        while True:
            reduction += 1
            at = (reduction, column // 2, row // 2)
            parent = self.open.get(at) or Parent.at(self.chain.zoom, *at, self.chain.feed.channels)
            self.open[at] = parent
            parent.place(column % 2, row % 2, half)
            if parent.missing:
                return
            del self.open[at]
            yield at, parent.pixels
            if reduction == self.chain.last:
                return
            column, row, half = at[1], at[2], halve(parent.pixels)


def z_order(grid: Size) -> Iterator[tuple[int, int]]:
    """Every cell of a grid so that the four cells of any aligned square follow each other."""
    side = 1 << (max(grid.width, grid.height) - 1).bit_length()
    return _z_order(grid, 0, 0, side)


def _z_order(grid: Size, column: int, row: int, side: int) -> Iterator[tuple[int, int]]:
    if column >= grid.width or row >= grid.height:
        return
    if side == 1:
        yield column, row
        return
    half = side // 2
    for down in (0, half):
        for across in (0, half):
            yield from _z_order(grid, column + across, row + down, half)
