"""One plane's tiles: one lookup, one `pread`, one header in front. Its index is read when it is first asked for."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import simplejpeg

from coverslip.errors import DamagedSlide, LimitExceeded, PyramidInvalid, StorageFailed, TileNotFound
from coverslip.pyramid import index as form
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.index import Head, Tail
from coverslip.pyramid.on_request import QUARTERS, Make, Order, Piece, made
from coverslip.pyramid.pixels import Pixels

ReadRange = Callable[[int, int], bytes]
"""`read(length, offset)`: bytes of one part, fewer when it ends early."""
ReadAtHand = Callable[[int, int], bytes | bytearray | None]
"""The same without ever waiting for a disk; None when it would have to."""

_ENTRY_BYTES: Final = form.ENTRY.itemsize
_ON_REQUEST: Final = (form.PART_ON_REQUEST, form.PART_CODED)
_REMEMBERED: Final = 256
"""Planes of one slide whose checked block is kept."""


class Picture(Protocol):
    """Something shown as deep-zoom tiles: one plane, or several joined. Safe to share between threads."""

    @property
    def grid(self) -> DeepZoom:
        """Addresses and extents of all tiles."""
        ...

    @property
    def key(self) -> str:
        """Equal for equal pictures of one slide's content; empty for what is shown when nobody asks for anything."""
        ...

    @property
    def loaded(self) -> bool:
        """Whether no tile has to wait for an index to be read first."""
        ...

    def load(self) -> None:
        """Read and check that index, once. Blocks; raises PyramidInvalid and StorageFailed."""
        ...

    def tile(self, dz_level: int, column: int, row: int) -> bytes:
        """A complete JPEG file, made now if nobody keeps it.

        Raises TileNotFound outside the grid, PyramidInvalid when the file ends early or when it has to be made
        of tiles that cannot be decoded.
        """
        ...

    def tile_at_hand(self, dz_level: int, column: int, row: int) -> bytes | bytearray | None:
        """The same if its bytes are in memory; None where `tile` would read a disk or decode. Raises TileNotFound."""
        ...

    def tile_length(self, dz_level: int, column: int, row: int) -> int | None:
        """Bytes `tile` would return, None when it is made on request. Raises TileNotFound outside the grid."""
        ...

    def on_request(self, dz_level: int, column: int, row: int) -> bool:
        """Whether `tile` decodes and encodes, some milliseconds of work. Raises TileNotFound outside the grid."""
        ...

    def stored(self, dz_level: int, column: int, row: int) -> bool:
        """Whether the tile is the slide's own bytes rather than derived. Raises TileNotFound outside the grid."""
        ...

    def etag(self, dz_level: int, column: int, row: int) -> str:
        """A strong validator, quoted. Raises TileNotFound outside the grid."""
        ...

    def decoded(self, dz_level: int, column: int, row: int) -> Pixels:
        """The tile's pixels, RGB. Raises TileNotFound outside the grid, PyramidInvalid when it is damaged."""
        ...


@dataclass(frozen=True, slots=True)
class Mapped:
    """The end of an open index, mapped: its pages are the kernel's, so a thousand open slides cost little memory."""

    pages: mmap.mmap = field(repr=False)
    start: int
    """Where in the file it begins."""

    @classmethod
    def of(cls, fd: int, at: int, length: int) -> Mapped:
        """Map a file from `at`, or a little before, to its end. Raises OSError and ValueError."""
        start = at - at % mmap.ALLOCATIONGRANULARITY
        return cls(mmap.mmap(fd, length - start, prot=mmap.PROT_READ, offset=start), start)

    def part(self, length: int, offset: int) -> memoryview:
        """Bytes of the file, as they lie there."""
        return memoryview(self.pages)[offset - self.start :][:length]

    def forget(self) -> None:
        """What was only looked at once need not stay in our memory."""
        self.pages.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, slots=True)
class _Row:
    """A level's record as plain numbers."""

    columns: int
    rows: int
    first: int


@dataclass(frozen=True, slots=True)
class _Block:
    """A plane's block, ready to look tiles up."""

    rows: tuple[_Row, ...]
    blobs: tuple[bytes, ...]
    entries: form.Buffer


@dataclass(frozen=True)
class Files:
    """An opened slide and its index. They close when nothing that was made of them is left, or somebody says so."""

    head: Head
    tail: Tail
    slide: ReadRange = field(repr=False)
    index: ReadRange = field(repr=False)
    make: Make = field(default=made, repr=False)
    """Makes tiles of pieces no browser shows."""
    at_hand: tuple[ReadAtHand, ReadAtHand] | None = field(default=None, repr=False)
    """Of the slide and of the index."""
    mapped: Mapped | None = field(default=None, repr=False)
    """The index's blocks."""
    _blocks: dict[int, _Block] = field(default_factory=dict, repr=False)

    def block(self, plane: int) -> _Block:
        """The checked block of one plane. Raises PyramidInvalid and what reading raises."""
        found = self._blocks.get(plane)
        if found is None:
            found = self._blocks[plane] = self._read(plane)
            if len(self._blocks) > _REMEMBERED:
                self._blocks.pop(next(iter(self._blocks)), None)
        return found

    def has(self, plane: int) -> bool:
        """Whether `block` returns at once."""
        return plane in self._blocks

    def _read(self, plane: int) -> _Block:
        record = self.tail.record(plane)
        read = self.mapped.part if self.mapped else self.index
        block = form.parse_block(self.head, record, plane, read(record.length, record.at))
        if self.mapped:
            self.mapped.forget()
        rows = tuple(_Row(int(r["columns"]), int(r["rows"]), int(r["first"])) for r in block.levels)
        return _Block(rows, block.blobs, block.entries)


class Plane:
    """The tiles of one plane."""

    def __init__(self, files: Files, number: int, key: str) -> None:
        """Nothing is read before a tile is asked for; `key` as in `Picture`."""
        head = files.head
        self.grid: Final = DeepZoom(head.size, head.tile)
        self.key: Final = key
        self._files, self._plane = files, number
        self._quality, self._channels = head.quality, head.channels
        self._parts = {form.PART_SLIDE: files.slide, form.PART_DERIVED: files.index, form.PART_CODED: files.slide}
        self._make = files.make
        self._at_hand = files.at_hand
        self._tag = f'"{head.version}-{key}-' if key else f'"{head.version}-'
        self._blobs: tuple[bytes, ...] = ()
        self._entries: form.Buffer = b""
        self._rows: tuple[_Row, ...] = ()

    @property
    def loaded(self) -> bool:
        """As in `Picture`."""
        return bool(self._rows) or self._files.has(self._plane)

    def load(self) -> None:
        """As in `Picture`."""
        if not self._rows:
            block = self._files.block(self._plane)
            self._blobs, self._entries, self._rows = block.blobs, block.entries, block.rows

    def tile(self, dz_level: int, column: int, row: int) -> bytes:
        """As in `Picture`."""
        offset, length, blob, part = self._entry(dz_level, column, row)
        if part in _ON_REQUEST:
            return self._made(dz_level, column, row)
        found = self._parts[part](length, offset)
        if len(found) != length:
            raise PyramidInvalid("a tile ends early", where=f"tile {dz_level}/{column}/{row}")
        return self._blobs[blob] + found if blob else found

    def tile_at_hand(self, dz_level: int, column: int, row: int) -> bytes | bytearray | None:
        """As in `Picture`."""
        offset, length, blob, part = self._entry(dz_level, column, row)
        if self._at_hand is None or part in _ON_REQUEST:
            return None
        found = self._at_hand[part](length, offset)
        return self._blobs[blob] + found if blob and found is not None else found

    def tile_length(self, dz_level: int, column: int, row: int) -> int | None:
        """As in `Picture`."""
        _, length, blob, part = self._entry(dz_level, column, row)
        return None if part in _ON_REQUEST else length + len(self._blobs[blob])

    def on_request(self, dz_level: int, column: int, row: int) -> bool:
        """As in `Picture`."""
        return self._entry(dz_level, column, row)[3] in _ON_REQUEST

    def stored(self, dz_level: int, column: int, row: int) -> bool:
        """As in `Picture`."""
        return self._entry(dz_level, column, row)[3] == form.PART_SLIDE

    def etag(self, dz_level: int, column: int, row: int) -> str:
        """As in `Picture`."""
        self._number(dz_level, column, row)
        return f'{self._tag}{dz_level}-{column}-{row}"'

    def decoded(self, dz_level: int, column: int, row: int) -> Pixels:
        """As in `Picture`."""
        return self.shown(dz_level, column, row, "RGB")

    def shown(self, dz_level: int, column: int, row: int, colours: str) -> Pixels:
        """The tile's pixels as `RGB` or `GRAY`."""
        where = f"tile {dz_level}/{column}/{row}"
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(bytes(self.tile(dz_level, column, row)), colours)
        except ValueError as error:
            raise PyramidInvalid("a tile is not a JPEG", where=where) from error
        extent = self.grid.extent(self.grid.largest - dz_level, column, row)
        if pixels.shape[:2] != (extent.height, extent.width):
            raise PyramidInvalid("a tile has another size than the grid says", where=where)
        return pixels

    def _made(self, dz_level: int, column: int, row: int) -> bytes:
        where = f"tile {dz_level}/{column}/{row}"
        try:
            order = self._order(dz_level, column, row)
            return self._make(order) if order.is_coded else made(order)
        except (DamagedSlide, LimitExceeded) as error:
            raise PyramidInvalid("a tile it is made of cannot be decoded", where=where) from error

    def _order(self, dz_level: int, column: int, row: int) -> Order:
        """What a tile on request is made of."""
        if self._entry(dz_level, column, row)[3] == form.PART_CODED:
            pieces: tuple[Piece, ...] = (self._piece(dz_level, column, row),)
        else:
            above = ((dz_level + 1, 2 * column + across, 2 * row + down) for down, across in QUARTERS)
            pieces = tuple(self._piece(*place) for place in above)
        return Order(pieces, self.grid.tile, self._channels, self._quality)

    def _piece(self, dz_level: int, column: int, row: int) -> Piece:
        offset, length, blob, part = self._entry(dz_level, column, row)
        if part == form.PART_CODED:
            return Piece(self._blobs[blob], self._parts[part](length, offset))
        return Piece(b"", self.tile(dz_level, column, row))

    def _number(self, dz_level: int, column: int, row: int) -> int:
        if 0 <= dz_level < len(self._rows):
            level = self._rows[dz_level]
            if 0 <= column < level.columns and 0 <= row < level.rows:
                return level.first + row * level.columns + column
        if not self._rows:
            self.load()
            return self._number(dz_level, column, row)
        raise TileNotFound

    def _entry(self, dz_level: int, column: int, row: int) -> tuple[int, int, int, int]:
        at = self._number(dz_level, column, row) * _ENTRY_BYTES
        offset, length, blob, part, _ = form.ENTRY_FORM.unpack_from(self._entries, at)
        return offset, length, blob, part


def reader(fd: int) -> ReadRange:
    """Reads an open file by position. Raises StorageFailed."""

    def read(length: int, offset: int) -> bytes:
        try:
            return os.pread(fd, length, offset)
        except OSError as error:
            raise StorageFailed("reading a tile failed", where="pyramid") from error

    return read


def reader_at_hand(fd: int) -> ReadAtHand:
    """Reads what of an open file the kernel has in memory."""

    def read(length: int, offset: int) -> bytearray | None:
        target = bytearray(length)
        try:
            found = os.preadv(fd, (target,), offset, os.RWF_NOWAIT)
        except OSError:  # not in the page cache, or a file system that cannot say
            return None
        return target if found == length else None

    return read
