"""Tiles out of a clean slide and its index: one lookup, one `pread`, one header in front."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded, PyramidInvalid, StorageFailed, TileNotFound
from coverslip.geometry import Size
from coverslip.pyramid import index as form
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.index import Index, parse_head, parse_index
from coverslip.pyramid.on_request import QUARTERS, Make, Order, Piece, made
from coverslip.pyramid.thumbnail import thumbnail

ReadRange = Callable[[int, int], bytes]
"""`read(length, offset)`: bytes of one part, fewer when it ends early."""
ReadAtHand = Callable[[int, int], bytes | bytearray | None]
"""The same without ever waiting for a disk; None when it would have to."""

_ENTRY_BYTES: Final = form.ENTRY.itemsize
_ON_REQUEST: Final = (form.PART_ON_REQUEST, form.PART_CODED)


@dataclass(frozen=True, slots=True)
class _Row:
    """A level's record as plain numbers."""

    columns: int
    rows: int
    first: int


class Pyramid:
    """The deep-zoom tiles of one clean slide. Safe to share between threads; open it after forking, not before.

    A cache should let go of a pyramid rather than close it: the files close with the last user, never under one.
    """

    def __init__(
        self,
        index: Index,
        slide: ReadRange,
        derived: ReadRange,
        close: Callable[[], None],
        *,
        at_hand: tuple[ReadAtHand, ReadAtHand] | None = None,
        make: Make = made,
    ) -> None:
        """Serve from a checked index and two parts; `close` releases them. `open` is the usual way in."""
        self._zoom = DeepZoom(index.head.size, index.head.tile)
        self._quality, self._channels = index.head.quality, index.head.channels
        self._parts = {form.PART_SLIDE: slide, form.PART_DERIVED: derived, form.PART_CODED: slide}
        self._at_hand = at_hand
        self._make = make
        self._blobs = index.blobs
        self._entries = index.entries
        self._rows = [_Row(int(r["columns"]), int(r["rows"]), int(r["first"])) for r in index.levels]
        self._close = weakref.finalize(self, close)
        self.version: Final = index.head.version
        """Content version: 32 hex digits that change when any tile can have changed."""
        self.slide_digest: Final = index.head.slide_digest
        """SHA-256 of the clean slide the index was built for."""

    @classmethod
    def open(cls, clean: Path, index: Path, *, make: Make = made) -> Pyramid:
        """Open a clean slide with its index; `make` makes tiles of pieces no browser shows.

        Raises PyramidInvalid when they do not belong together or the index is damaged, StorageFailed when one cannot be
        opened. The slide's own bytes are not read: `check` does that.
        """
        opened: list[int] = []
        try:
            for path in (clean, index):
                opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            slide, derived = opened
            parsed = _parse(derived)
            if os.fstat(slide).st_size != parsed.head.slide_bytes:
                raise PyramidInvalid("the slide has another length than the index was built for", where="slide")
        except OSError as error:
            _close_all(opened)
            raise StorageFailed("the slide or its index cannot be opened", where="pyramid") from error
        except PyramidInvalid:
            _close_all(opened)
            raise
        at_hand = (_reader_at_hand(slide), _reader_at_hand(derived)) if hasattr(os, "RWF_NOWAIT") else None
        return cls(parsed, _reader(slide), _reader(derived), lambda: _close_all(opened), at_hand=at_hand, make=make)

    @classmethod
    def over(cls, clean: tuple[ReadRange, int], index: tuple[ReadRange, int], *, make: Make = made) -> Pyramid:
        """Serve from two files that are read in ranges, each with its length in bytes; two ranges are read now.

        Raises PyramidInvalid when they do not belong together or the index is damaged, and what reading raises.
        """
        slide, slide_bytes = clean
        derived, index_bytes = index
        head = parse_head(derived(form.HEADER_BYTES, 0))
        if index_bytes != head.file_bytes:
            raise PyramidInvalid("the file has another length than its header says", where="header")
        if slide_bytes != head.slide_bytes:
            raise PyramidInvalid("the slide has another length than the index was built for", where="slide")
        parsed = parse_index(head, derived(head.index_bytes, head.index_at))
        return cls(parsed, slide, derived, lambda: None, make=make)

    @property
    def size(self) -> Size:
        """Pixels of the largest level."""
        return self._zoom.size

    @property
    def tile_size(self) -> int:
        """Side of a tile in pixels."""
        return self._zoom.tile

    @property
    def dz_levels(self) -> int:
        """How many levels DeepZoom counts; the largest is `dz_levels - 1`."""
        return self._zoom.levels

    @property
    def grid(self) -> DeepZoom:
        """Addresses and extents of all tiles."""
        return self._zoom

    def tile(self, dz_level: int, column: int, row: int) -> bytes:
        """A complete JPEG file, made now if nobody keeps it.

        Raises TileNotFound outside the grid, PyramidInvalid when the file ends early or when it has to be made
        of tiles that cannot be decoded.
        """
        offset, length, blob, part = self._entry(dz_level, column, row)
        if part in _ON_REQUEST:
            return self._made(dz_level, column, row)
        found = self._parts[part](length, offset)
        if len(found) != length:
            raise PyramidInvalid("a tile ends early", where=f"tile {dz_level}/{column}/{row}")
        return self._blobs[blob] + found if blob else found

    def tile_at_hand(self, dz_level: int, column: int, row: int) -> bytes | bytearray | None:
        """The same if its bytes are in memory; None where `tile` would read a disk or decode. Raises TileNotFound."""
        offset, length, blob, part = self._entry(dz_level, column, row)
        if self._at_hand is None or part in _ON_REQUEST:
            return None
        found = self._at_hand[part](length, offset)
        return self._blobs[blob] + found if blob and found is not None else found

    def tile_length(self, dz_level: int, column: int, row: int) -> int | None:
        """Bytes `tile` would return, None when it is made on request. Raises TileNotFound outside the grid."""
        _, length, blob, part = self._entry(dz_level, column, row)
        return None if part in _ON_REQUEST else length + len(self._blobs[blob])

    def on_request(self, dz_level: int, column: int, row: int) -> bool:
        """Whether `tile` decodes and encodes, some milliseconds of work. Raises TileNotFound outside the grid."""
        return self._entry(dz_level, column, row)[3] in _ON_REQUEST

    def etag(self, dz_level: int, column: int, row: int) -> str:
        """A strong validator, quoted. Raises TileNotFound outside the grid."""
        self._number(dz_level, column, row)
        return f'"{self.version}-{dz_level}-{column}-{row}"'

    def stored(self, dz_level: int, column: int, row: int) -> bool:
        """Whether the tile is the slide's own bytes rather than derived. Raises TileNotFound outside the grid."""
        return self._entry(dz_level, column, row)[3] == form.PART_SLIDE

    def descriptor(self) -> str:
        """The `.dzi` document."""
        return self._zoom.xml()

    def descriptor_json(self) -> str:
        """The same as JSON."""
        return self._zoom.json()

    def thumbnail(self, width: int) -> bytes:
        """A JPEG of the whole slide about `width` pixels wide. Raises PyramidInvalid when a tile is damaged."""
        return thumbnail(self._zoom, self.tile, width)

    def close(self) -> None:
        """Release both files; twice does no harm."""
        self._close()

    def __enter__(self) -> Pyramid:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

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
        return Order(pieces, self._zoom.tile, self._channels, self._quality)

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
        raise TileNotFound

    def _entry(self, dz_level: int, column: int, row: int) -> tuple[int, int, int, int]:
        at = self._number(dz_level, column, row) * _ENTRY_BYTES
        offset, length, blob, part, _ = form.ENTRY_FORM.unpack_from(self._entries, at)
        return offset, length, blob, part


def _parse(fd: int) -> Index:
    """Check the index and keep it mapped: its pages are the kernel's, so a thousand open slides cost little memory."""
    length = os.fstat(fd).st_size
    head = parse_head(os.pread(fd, form.HEADER_BYTES, 0))
    if length != head.file_bytes:
        raise PyramidInvalid("the file has another length than its header says", where="header")
    start = head.index_at - head.index_at % mmap.ALLOCATIONGRANULARITY
    mapped = mmap.mmap(fd, length - start, prot=mmap.PROT_READ, offset=start)
    index = parse_index(head, memoryview(mapped)[head.index_at - start :])
    mapped.madvise(mmap.MADV_DONTNEED)
    return index


def _reader(fd: int) -> ReadRange:
    def read(length: int, offset: int) -> bytes:
        try:
            return os.pread(fd, length, offset)
        except OSError as error:
            raise StorageFailed("reading a tile failed", where="pyramid") from error

    return read


def _reader_at_hand(fd: int) -> ReadAtHand:
    def read(length: int, offset: int) -> bytearray | None:
        target = bytearray(length)
        try:
            found = os.preadv(fd, (target,), offset, os.RWF_NOWAIT)
        except OSError:  # not in the page cache, or a file system that cannot say
            return None
        return target if found == length else None

    return read


def _close_all(opened: list[int]) -> None:
    while opened:
        os.close(opened.pop())
