"""A low-level TIFF emitter of our own: it writes what it is told, right or wrong, and holds nothing but offsets."""

from __future__ import annotations

import shutil
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, FLOAT, DOUBLE, IFD, LONG8, IFD8 = (
    1,
    2,
    3,
    4,
    5,
    7,
    10,
    11,
    12,
    13,
    16,
    18,
)
WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
LETTERS = {
    1: "B",
    3: "H",
    4: "I",
    5: "I",
    8: "h",
    9: "i",
    10: "i",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry of an IFD: numbers, or bytes as they stand in the file."""

    code: int
    type: int
    values: bytes | tuple[int | float, ...]
    count: int | None = None
    """What the entry claims; None: what is really there."""

    def payload(self, order: str) -> bytes:
        """The value bytes in byte order `order`."""
        if isinstance(self.values, bytes):
            return self.values
        return struct.pack(f"{order}{len(self.values)}{LETTERS[self.type]}", *self.values)

    def claimed(self, payload: bytes) -> int:
        """The count that goes into the entry."""
        return len(payload) // WIDTHS.get(self.type, 1) if self.count is None else self.count


def text(code: int, value: str | bytes) -> Tag:
    """An ASCII tag, zero-terminated."""
    return Tag(code, ASCII, (value.encode("latin-1") if isinstance(value, str) else value) + b"\0")


def short(code: int, *values: int) -> Tag:
    """A SHORT tag."""
    return Tag(code, SHORT, values)


def long(code: int, *values: int) -> Tag:
    """A LONG tag."""
    return Tag(code, LONG, values)


def rational(code: int, *values: int) -> Tag:
    """A RATIONAL tag: numerators and denominators in turn."""
    return Tag(code, RATIONAL, values)


def blob(code: int, value: bytes, type_: int = UNDEFINED) -> Tag:
    """A tag of bytes."""
    return Tag(code, type_, value)


@dataclass(slots=True)
class Tiles:
    """Where the tiles or strips of one image went."""

    file: BinaryIO
    offsets: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))

    def append(self, data: bytes, gap: bytes = b"") -> None:
        """Write one tile, then bytes that belong to nobody."""
        self.offsets.append(self.file.tell())
        self.counts.append(len(data))
        self.file.write(data)
        self.file.write(gap)

    def repeat(self, index: int) -> None:
        """Let the next tile be the same bytes as tile `index`."""
        self.offsets.append(self.offsets[index])
        self.counts.append(self.counts[index])


class TiffMaker:
    """Writes header, data and IFDs front to back and links the IFDs; use as a context manager."""

    def __init__(self, path: Path, *, big: bool = False, order: str = "<", magic: int | None = None) -> None:
        """Create `path` and write the header; `magic` replaces 42 or 43."""
        self.big = big
        self.order = order
        self.file = path.open("w+b")
        self._next = 8 if big else 4
        mark = b"II" if order == "<" else b"MM"
        version = magic if magic is not None else (43 if big else 42)
        head = struct.pack(f"{order}HHHQ", version, 8, 0, 0) if big else struct.pack(f"{order}HI", version, 0)
        self.file.write(mark + head)

    def __enter__(self) -> Self:
        """Open for writing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.file.close()

    @property
    def position(self) -> int:
        """Where the next byte goes."""
        return self.file.tell()

    def write(self, data: bytes) -> int:
        """Append bytes and return their offset."""
        offset = self.position
        self.file.write(data)
        return offset

    def tiles(self) -> Tiles:
        """A place for the next image's tiles, written directly."""
        return Tiles(self.file)

    def adopt(self, spooled: Tiles) -> Tiles:
        """Copy tiles that were spooled elsewhere to the present end."""
        base = self.position
        spooled.file.seek(0)
        shutil.copyfileobj(spooled.file, self.file, 1 << 20)
        return Tiles(self.file, array("q", (base + offset for offset in spooled.offsets)), spooled.counts)

    def pointers(self, code: int, values: Iterable[int]) -> Tag:
        """A tag of file offsets or byte counts, as wide as the container wants them."""
        return Tag(code, LONG8 if self.big else LONG, tuple(values))

    def ifd(self, tags: Sequence[Tag], *, link: bool = True, following: int | None = None, sort: bool = True) -> int:
        """Write one IFD, then its out-of-line values; `link` hangs it behind the previous one.

        `following` sets the pointer to the next IFD by hand. Returns the IFD's offset.
        """
        if self.position % 2:
            self.file.write(b"\0")
        start = self.position
        ordered = sorted(tags, key=lambda tag: tag.code) if sort else list(tags)
        entries, values = self._entries(ordered, start)
        count_form, next_form = ("Q", "Q") if self.big else ("H", "I")
        tail = struct.pack(f"{self.order}{next_form}", following or 0)
        self.file.write(struct.pack(f"{self.order}{count_form}", len(ordered)) + entries + tail + values)
        if link:
            self.patch_next(start)
            self._next = start + (8 + 20 * len(ordered) if self.big else 2 + 12 * len(ordered))
        return start

    def _entries(self, tags: Sequence[Tag], start: int) -> tuple[bytes, bytes]:
        room, head, size = (8, 8, 20) if self.big else (4, 2, 12)
        base = start + head + size * len(tags) + room
        entries, values = bytearray(), bytearray()
        for tag in tags:
            payload = tag.payload(self.order)
            entries += struct.pack(f"{self.order}HH", tag.code, tag.type)
            entries += struct.pack(f"{self.order}{'Q' if self.big else 'I'}", tag.claimed(payload))
            if len(payload) <= room:
                entries += payload.ljust(room, b"\0")
                continue
            entries += struct.pack(f"{self.order}{'Q' if self.big else 'I'}", base + len(values))
            values += payload + b"\0" * (len(payload) % 2)
        return bytes(entries), bytes(values)

    def patch_next(self, target: int) -> None:
        """Point the last linked IFD (or the header) to `target`."""
        end = self.position
        self.file.seek(self._next)
        self.file.write(struct.pack(f"{self.order}{'Q' if self.big else 'I'}", target))
        self.file.seek(end)
