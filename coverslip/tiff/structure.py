"""TIFF and BigTIFF as directories of fields: parsed within limits, before any library opens the file.

Source: TIFF 6.0 §2, the BigTIFF proposal (magic 43), TIFF Technical Note 1 (SubIFDs). Nothing is decoded here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from coverslip.errors import CoverslipError, DamagedSlide, LimitExceeded, UnsupportedSlide
from coverslip.geometry import Size
from coverslip.tiff import tags as t

MAX_DIRECTORIES: Final = 2048
"""A hundred focal planes of three channels with six levels are 1800."""
MAX_FIELDS: Final = 512
MAX_ALL_FIELDS: Final = 1 << 18
"""Of all directories together."""
MAX_FIELD_BYTES: Final = 16 << 20
MAX_ARRAY_BYTES: Final = 256 << 20
MAX_SIDE: Final = 1 << 21
MAX_PIXELS: Final = 400_000_000_000
MAX_TILE_SIDE: Final = 4096

Numbers = npt.NDArray[np.uint64]

_PIXELS = frozenset((t.IMAGE_WIDTH, t.IMAGE_LENGTH, t.STRIP_OFFSETS, t.TILE_OFFSETS))
"""A directory with any of these describes an image."""

_ARRAYS = frozenset(code for pair in t.DATA_POINTERS.items() for code in pair)


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a directory with the bytes of its value, in the file's byte order."""

    code: int
    type: int
    count: int
    at: int
    """Offset of the value in the file; inside the entry itself when it fits there."""
    raw: bytes = field(repr=False)

    @property
    def end(self) -> int:
        """Offset of the first byte after the value."""
        return self.at + len(self.raw)


@dataclass(frozen=True, slots=True)
class Directory:
    """One image file directory."""

    path: str
    """`ifd[0]`, `ifd[0.1]` (the second SubIFD of the first page), `ifd[2]/EXIF`."""
    at: int
    end: int
    """Offset after the pointer to the next directory."""
    order: str
    """`<` or `>`."""
    fields: dict[int, Field]
    children: tuple[Directory, ...] = ()

    def numbers(self, code: int) -> Numbers:
        """The values of an integer field as unsigned 64-bit, empty when absent. Raises DamagedSlide otherwise."""
        found = self.fields.get(code)
        if found is None:
            return np.zeros(0, np.uint64)
        kind = t.INTEGER_FORMATS.get(found.type)
        if kind is None:
            raise DamagedSlide("an integer field has another type", where=f"{self.path}/{t.name_of(code)}")
        return np.frombuffer(found.raw, self.order + kind).astype(np.uint64)

    def number(self, code: int, default: int = 0) -> int:
        """The first value of an integer field."""
        values = self.numbers(code)
        return int(values[0]) if len(values) else default

    def text(self, code: int) -> str:
        """An ASCII field as text (Latin-1, so that every byte survives), without trailing NULs."""
        found = self.fields.get(code)
        return found.raw.decode("latin-1").rstrip("\0") if found else ""

    def raw(self, code: int) -> bytes:
        """The bytes of a field, empty when absent."""
        found = self.fields.get(code)
        return found.raw if found else b""

    @property
    def tiled(self) -> bool:
        """Whether the pixels are in tiles rather than strips."""
        return t.TILE_WIDTH in self.fields

    @property
    def size(self) -> Size:
        """Pixels of the image."""
        return Size(self.number(t.IMAGE_WIDTH), self.number(t.IMAGE_LENGTH))

    @property
    def tile_size(self) -> Size:
        """Pixels of one tile, or of one strip."""
        if self.tiled:
            return Size(self.number(t.TILE_WIDTH), self.number(t.TILE_LENGTH))
        size = self.size
        return Size(size.width, min(self.number(t.ROWS_PER_STRIP, size.height), size.height))

    @property
    def compression(self) -> int:
        """TIFF compression number; 1 is none."""
        return self.number(t.COMPRESSION, 1)

    @property
    def offsets(self) -> Numbers:
        """Where each tile or strip lies."""
        return self.numbers(t.TILE_OFFSETS if self.tiled else t.STRIP_OFFSETS)

    @property
    def byte_counts(self) -> Numbers:
        """How long each tile or strip is."""
        return self.numbers(t.TILE_BYTE_COUNTS if self.tiled else t.STRIP_BYTE_COUNTS)

    @property
    def has_pixels(self) -> bool:
        """Whether this directory describes an image rather than metadata."""
        return not _PIXELS.isdisjoint(self.fields)

    def walk(self) -> Iterator[Directory]:
        """This directory and every one below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class FileBytes:
    """A file's bytes by position, read when asked for.

    Not memory-mapped: a map of a large slide counts against the address space a confined process may use, and pages
    read through it against its memory.
    """

    fd: int
    size: int

    def __len__(self) -> int:
        """Bytes of the file."""
        return self.size

    def __getitem__(self, span: slice) -> bytes:
        """Bytes [start, stop), fewer at the end of the file."""
        start, stop, _ = span.indices(self.size)
        return os.pread(self.fd, max(0, stop - start), start)


@dataclass(frozen=True)
class TiffFile:
    """A parsed file: its directories and its bytes."""

    path: Path
    fd: int
    data: FileBytes = field(repr=False)
    order: str
    big: bool
    pages: tuple[Directory, ...]

    def close(self) -> None:
        """Release the file."""
        os.close(self.fd)

    def walk(self) -> Iterator[Directory]:
        """Every directory: pages, SubIFDs, EXIF, GPS."""
        for page in self.pages:
            yield from page.walk()

    @cached_property
    def orphans(self) -> tuple[tuple[int, int], ...]:
        """Byte ranges (start, stop) that no header, directory, field value or tile owns."""
        starts, stops = self._owned()
        order = np.argsort(starts, kind="stable")
        starts, stops = starts[order], np.maximum.accumulate(stops[order])
        gaps = np.flatnonzero(starts[1:] > stops[:-1])
        found = [(int(stops[i]), int(starts[i + 1])) for i in gaps]
        if int(stops[-1]) < len(self.data):
            found.append((int(stops[-1]), len(self.data)))
        return tuple(gap for gap in found if not self._is_padding(*gap))

    def _owned(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        spans = [(0, 16 if self.big else 8)]
        blocks: list[tuple[Numbers, Numbers]] = []
        for directory in self.walk():
            spans.append((directory.at, directory.end))
            spans.extend((found.at, found.end) for found in directory.fields.values())
            for where, length in t.DATA_POINTERS.items():
                if where in directory.fields and length in directory.fields:
                    blocks.append((directory.numbers(where), directory.numbers(length)))
        fixed = np.array(spans, np.int64)
        begins = [fixed[:, 0], *(offsets.astype(np.int64) for offsets, _ in blocks)]
        ends = [fixed[:, 1], *((o + c[: len(o)]).astype(np.int64) for o, c in blocks)]
        return np.concatenate(begins), np.concatenate(ends)

    def _is_padding(self, start: int, stop: int) -> bool:
        return stop - start == 1 and stop % 2 == 0 and self.data[start:stop] == b"\0"


def open_tiff(path: Path) -> TiffFile:
    """Parse the directories of a TIFF or BigTIFF.

    Raises UnsupportedSlide when it is not one, DamagedSlide when it ends early or loops, LimitExceeded past the limits.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = FileBytes(fd, os.fstat(fd).st_size)
        order, big = _magic(data[:16])
        return TiffFile(path, fd, data, order, big, _Parser(data, order, big).pages())
    except CoverslipError:
        os.close(fd)
        raise


def directories(data: bytes) -> tuple[Directory, ...]:
    """The directories of a TIFF that lies in memory, as EXIF does inside a JPEG. Raises what `open_tiff` raises."""
    order, big = _magic(data[:16])
    return _Parser(data, order, big).pages()


def looks_like_tiff(head: bytes) -> bool:
    """Whether the first bytes are those of a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _magic(head: bytes) -> tuple[str, bool]:
    if len(head) < 8 or not looks_like_tiff(head):
        raise UnsupportedSlide("not a TIFF or BigTIFF file")
    order = "<" if head[:2] == b"II" else ">"
    big = b"+" in head[2:4]
    if big and (len(head) < 16 or struct.unpack(order + "HH", head[4:8]) != (8, 0)):
        raise DamagedSlide("BigTIFF header has an offset size other than 8", where="header")
    return order, big


class _Parser:
    """One walk over the directories; remembers what it has seen so that no loop can hold it."""

    def __init__(self, data: FileBytes | bytes, order: str, big: bool) -> None:
        self._data, self._order, self._big = data, order, big
        self._offset = struct.Struct(order + ("Q" if big else "I"))
        self._count = struct.Struct(order + ("Q" if big else "H"))
        self._entry = struct.Struct(order + ("HHQ" if big else "HHI"))
        self._entry_size = 20 if big else 12
        self._seen: set[int] = set()
        self._fields = 0

    def pages(self) -> tuple[Directory, ...]:
        found: list[Directory] = []
        at = self._read(self._offset, 8 if self._big else 4, "header")
        while at:
            directory, at = self._directory(at, f"ifd[{len(found)}]", depth=0)
            found.append(directory)
        if not found:
            raise DamagedSlide("there is no directory", where="header")
        return tuple(found)

    def _read(self, form: struct.Struct, at: int, where: str) -> int:
        found = self._data[at : at + form.size]
        if len(found) < form.size:
            raise DamagedSlide("the file ends inside a structure", where=where)
        value: int = form.unpack(found)[0]
        return value

    def _directory(self, at: int, path: str, depth: int) -> tuple[Directory, int]:
        if at in self._seen:
            raise DamagedSlide("directories form a loop", where=path)
        if len(self._seen) >= MAX_DIRECTORIES or depth > 4:
            raise LimitExceeded(f"more than {MAX_DIRECTORIES} directories, or nested too deep", where=path)
        self._seen.add(at)
        count = self._read(self._count, at, path)
        self._fields += count
        if count > MAX_FIELDS or self._fields > MAX_ALL_FIELDS:
            raise LimitExceeded(f"more than {MAX_FIELDS} fields, or {MAX_ALL_FIELDS} in all", where=path)
        first = at + self._count.size
        after = first + count * self._entry_size
        following = self._read(self._offset, after, path)
        fields = {
            found.code: found for found in (self._field(first + i * self._entry_size, path) for i in range(count))
        }
        children = tuple(self._children(fields, path, depth))
        directory = Directory(path, at, after + self._offset.size, self._order, fields, children)
        _check_geometry(directory)
        return directory, following

    def _field(self, at: int, path: str) -> Field:
        code, kind, count = self._entry.unpack(self._data[at : at + self._entry.size])
        where = f"{path}/{t.name_of(code)}"
        size = t.TYPE_SIZES.get(kind)
        if size is None:
            raise DamagedSlide("a field has an unknown type", where=where)
        length = size * count
        if length > (MAX_ARRAY_BYTES if code in _ARRAYS else MAX_FIELD_BYTES):
            raise LimitExceeded("a field is too long", where=where)
        inline = at + self._entry.size
        at_value = inline if length <= self._offset.size else self._read(self._offset, inline, where)
        if at_value + length > len(self._data):
            raise DamagedSlide("a field points beyond the end of the file", where=where)
        return Field(code, kind, count, at_value, self._data[at_value : at_value + length])

    def _children(self, fields: dict[int, Field], path: str, depth: int) -> Iterator[Directory]:
        for code, name in t.POINTERS.items():
            found = fields.get(code)
            if found is None or found.type not in (4, 13, 16, 18):
                continue
            for i, at in enumerate(np.frombuffer(found.raw, self._order + t.INTEGER_FORMATS[found.type])):
                below = f"{path[:-1]}.{i}]" if code == t.SUB_IFDS and path.endswith("]") else f"{path}/{name}"
                if int(at):
                    yield self._directory(int(at), below, depth + 1)[0]


def _check_geometry(directory: Directory) -> None:
    """Refuse sizes nobody can mean, and tile tables that do not fit them, before anything is allocated for them."""
    if not directory.has_pixels:
        return
    size, tile = directory.size, directory.tile_size
    if not (size.width and size.height and tile.width and tile.height):
        raise DamagedSlide("an image has no extent", where=directory.path)
    if max(size.width, size.height) > MAX_SIDE or size.area > MAX_PIXELS:
        raise LimitExceeded("an image is too large", where=directory.path)
    if directory.tiled and max(tile.width, tile.height) > MAX_TILE_SIDE:
        raise LimitExceeded(f"tiles are larger than {MAX_TILE_SIDE} pixels", where=directory.path)
    if len(directory.offsets) != len(directory.byte_counts):
        raise DamagedSlide("offsets and byte counts differ in number", where=directory.path)


def check_blocks(tiff: TiffFile, directory: Directory) -> None:
    """Raise DamagedSlide unless the tiles or strips are as many as the geometry asks for and lie inside the file."""
    if not directory.tile_size.area:
        raise DamagedSlide("an image has no extent", where=directory.path)
    grid = directory.size.ceil_div(directory.tile_size)
    planes = directory.number(t.SAMPLES_PER_PIXEL, 1) if directory.number(t.PLANAR_CONFIGURATION, 1) == 2 else 1
    offsets, counts = directory.offsets, directory.byte_counts
    if len(offsets) != grid.area * planes:
        raise DamagedSlide("there are not as many tiles as the size asks for", where=directory.path)
    limit = np.uint64(len(tiff.data))
    if bool(np.any(counts > limit)) or bool(np.any(offsets > limit)) or bool(np.any(offsets + counts > limit)):
        raise DamagedSlide("a tile lies beyond the end of the file", where=directory.path)
