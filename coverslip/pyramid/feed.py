"""Where a chain of derived levels gets its first pixels: half-scale decodes of stored JPEG tiles, or full decodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from coverslip.errors import DamagedSlide
from coverslip.pyramid.codecs import Decoder
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.jpeg import JpegForm
from coverslip.pyramid.pixels import Pixels, blank, cut_out, decode, halve
from coverslip.pyramid.recipes import Recipe
from coverslip.pyramid.repeats import Recent, Repeats
from coverslip.pyramid.source import BLANK, StoredLevel, cut_of, read_tiles
from coverslip.pyramid.stored import read_stored

BLOCK_PIXELS: Final = 1024
"""Side of a block of derived tiles: big enough to read in long runs, small enough that every thread can hold one."""
_SEEN: Final = 8
_SHORT: Final = 64
"""A stored tile this many times shorter than its pixels is blank, or nearly."""

Key = tuple[int, ...]
"""Names the stored bytes a tile was made of: equal keys, equal pixels."""


@dataclass(frozen=True, slots=True)
class Fed:
    """One tile's pixels and, when they came from whole stored tiles, the key of those."""

    pixels: Pixels
    key: Key | None


class Block(Protocol):
    """A square of tiles whose stored bytes have been read."""

    def tile(self, column: int, row: int) -> Fed:
        """Pixels of one served tile, at its DeepZoom extent."""
        ...


class Feed(Protocol):
    """Gives a chain its lowest level."""

    @property
    def reduction(self) -> int:
        """Of the tiles it gives."""
        ...

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        ...

    @property
    def block_pixels(self) -> int:
        """Side of the squares it likes to be asked for."""
        ...

    def block(self, columns: range, rows: range) -> Block:
        """Read what these tiles need."""
        ...


@dataclass(frozen=True)
class HalfFeed:
    """Tiles of the level below a stored one, each from four stored tiles decoded at half scale."""

    fd: int
    level: StoredLevel
    form: JpegForm
    zoom: DeepZoom
    above: int
    """The stored level's reduction."""
    repeats: Repeats = field(repr=False)
    empty: int = BLANK
    """What a pixel shows that was never scanned."""

    @property
    def reduction(self) -> int:
        """One below the stored level's."""
        return self.above + 1

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return self.form.components

    @property
    def block_pixels(self) -> int:
        """Always the same: blocks begin where stored tiles begin."""
        return BLOCK_PIXELS

    def block(self, columns: range, rows: range) -> HalfBlock:
        """Read the stored tiles, a row at a time."""
        across = _doubled(columns, self.level.grid.width)
        stored = {row: read_tiles(self.fd, self.level, row, across) for row in _doubled(rows, self.level.grid.height)}
        return HalfBlock(self, stored, across.start)


def _doubled(span: range, limit: int) -> range:
    """The stored columns or rows under these derived ones; never empty, since DeepZoom may ask for one more pixel."""
    return range(min(2 * span.start, limit - 1), min(2 * span.stop, limit))


@dataclass(frozen=True)
class HalfBlock:
    """Stored tiles in memory, decoded as they are asked for."""

    feed: HalfFeed
    stored: dict[int, list[memoryview]] = field(repr=False)
    first_column: int

    def tile(self, column: int, row: int) -> Fed:
        """Four half-size decodes side by side."""
        zoom, above, half = self.feed.zoom, self.feed.above, self.feed.zoom.tile // 2
        extent, grid = zoom.extent(above + 1, column, row), zoom.grid(above)
        pixels = np.empty((extent.height, extent.width, self.feed.channels), np.uint8)
        key: list[int] = []
        for number in range(4):
            down, across = divmod(number, 2)
            at = (2 * column + across, 2 * row + down)
            if at[0] < grid.width and at[1] < grid.height:
                part, name = self._half(*at)
                height, width = part.shape[:2]
                pixels[down * half : down * half + height, across * half : across * half + width] = part
                key.append(name)
        return Fed(pixels, tuple(key) if -1 not in key and len(key) == 4 else None)

    def _half(self, column: int, row: int) -> tuple[Pixels, int]:
        """Half-size pixels of a stored tile and its name; -1 for one that was cut."""
        level, side = self.feed.level, self.feed.zoom.tile
        if (column + 1) * side > level.size.width or (row + 1) * side > level.size.height:
            return halve(self._edge(column, row)), -1
        raw = self.stored[row][column - self.first_column]
        offset = level.at(column, row)[0]
        name, known = self.feed.repeats.name(raw, offset)
        if known is not None:
            return known, name
        return self.feed.repeats.keep(name, raw, offset, self._decode(raw, factor=2)), name

    def _edge(self, column: int, row: int) -> Pixels:
        """Full-size pixels of a tile at the right or bottom edge, without TIFF's padding, at its DeepZoom extent."""
        cut = cut_of(self.feed.level, self.feed.zoom, self.feed.above, column, row)
        raw = self.stored[cut.row][cut.column - self.first_column]
        return cut_out(self._decode(raw, factor=1), cut)

    def _decode(self, raw: memoryview, factor: int) -> Pixels:
        side, form = self.feed.zoom.tile, self.feed.form
        if not raw:
            return blank(side // factor, side // factor, form.components, self.feed.empty)
        jpeg = b"".join((form.blob, raw[form.skip :]))
        return decode(jpeg, side, form.components, self.feed.level.where, factor=factor)


@dataclass(frozen=True)
class CodedFeed:
    """Tiles of a level the slide holds in a codec no browser shows, each from one stored tile."""

    fd: int
    level: StoredLevel
    recipe: Recipe
    zoom: DeepZoom
    reduction: int
    seen: Recent[bytes, Pixels] = field(default_factory=lambda: Recent(_SEEN), repr=False)
    """Pixels of short stored tiles by their bytes: blank glass is decoded once."""

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return self.recipe.channels

    @property
    def block_pixels(self) -> int:
        """As for others."""
        return BLOCK_PIXELS

    def block(self, columns: range, rows: range) -> CodedBlock:
        """Nothing is read before it is asked for."""
        return CodedBlock(self)

    def decoded(self, raw: memoryview) -> Pixels:
        """Pixels of one stored tile, TIFF's padding included."""
        side = self.zoom.tile
        if not raw:
            return blank(side, side, self.channels)
        if len(raw) * _SHORT > side * side * self.channels:
            return self.recipe.decode(bytes(raw), side, self.level.where)
        key = bytes(raw)
        found = self.seen.get(key)
        if found is None:
            found = self.recipe.decode(key, side, self.level.where)
            self.seen.put(key, found)
        return found


@dataclass(frozen=True)
class CodedBlock:
    """Decodes as it is asked: every stored tile belongs to one served tile."""

    feed: CodedFeed

    def tile(self, column: int, row: int) -> Fed:
        """The tile without TIFF's padding, at its DeepZoom extent."""
        feed = self.feed
        cut = cut_of(feed.level, feed.zoom, feed.reduction, column, row)
        raw = read_tiles(feed.fd, feed.level, cut.row, range(cut.column, cut.column + 1))[0]
        return Fed(cut_out(feed.decoded(raw), cut), None)


@dataclass(frozen=True)
class FullFeed:
    """Tiles of the base level itself, cut out of stored tiles of any other size or codec."""

    fd: int
    level: StoredLevel
    zoom: DeepZoom
    decoder: Decoder
    channels: int
    empty: int = BLANK
    """What a pixel shows that was never scanned."""
    reduction: int = 0

    @property
    def block_pixels(self) -> int:
        """At least a stored tile, lest each block around it decode it again."""
        return max(BLOCK_PIXELS, self.level.tile.width, self.level.tile.height)

    def block(self, columns: range, rows: range) -> FullBlock:
        """Nothing is read before it is asked for."""
        return FullBlock(self, {})


@dataclass(frozen=True)
class FullBlock:
    """Decoded stored tiles of a square, each decoded once."""

    feed: FullFeed
    decoded: dict[tuple[int, int], Pixels] = field(repr=False)

    def tile(self, column: int, row: int) -> Fed:
        """The tile, put together from the stored tiles it touches."""
        side, stored = self.feed.zoom.tile, self.feed.level.tile
        extent = self.feed.zoom.extent(0, column, row)
        left, top = column * side, row * side
        pixels = np.empty((extent.height, extent.width, self.feed.channels), np.uint8)
        for y in range(top // stored.height, -(-(top + extent.height) // stored.height)):
            for x in range(left // stored.width, -(-(left + extent.width) // stored.width)):
                _paste(pixels, self._stored(x, y), x * stored.width - left, y * stored.height - top)
        return Fed(pixels, None)

    def _stored(self, column: int, row: int) -> Pixels:
        if (column, row) not in self.decoded:
            level, channels = self.feed.level, self.feed.channels
            pixels = read_stored(self.feed.fd, level, self.feed.decoder, column, row)
            if pixels is None:
                pixels = np.full((level.tile.height, level.tile.width, channels), self.feed.empty, np.uint8)
            elif pixels.shape[2] != channels:
                raise DamagedSlide("a tile has another number of samples than its level", where=level.where)
            self.decoded[column, row] = pixels
        return self.decoded[column, row]


def _paste(onto: Pixels, part: Pixels, x: int, y: int) -> None:
    """Copy `part` so that its corner falls on (x, y), which may lie outside."""
    height, width = onto.shape[:2]
    top, left = max(0, y), max(0, x)
    bottom, right = min(height, y + part.shape[0]), min(width, x + part.shape[1])
    onto[top:bottom, left:right] = part[top - y : bottom - y, left - x : right - x]
