"""Breaking a sound TIFF on purpose: find an entry, put something else there."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from samples.tiffmaker import WIDTHS


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one entry of an IFD lies."""

    at: int
    type: int
    count: int
    value_at: int
    """The value itself: in the entry when it fits there, else where the entry points."""
    field_at: int
    """The entry's value-or-offset field."""


class Patient:
    """A little-endian TIFF or BigTIFF in memory that is about to be damaged; methods return the patient."""

    def __init__(self, data: bytes) -> None:
        """Walk the main chain once; the file must still be sound."""
        self.data = bytearray(data)
        self.big = data[2] == 43
        self.pages: list[tuple[int, int, dict[int, Entry]]] = []
        """Offset, offset of the pointer to the next IFD, entries by tag number."""
        at = self._get(*((8, "Q") if self.big else (4, "I")))
        while at:
            self.pages.append(self._page(at))
            at = self._get(self.pages[-1][1], "Q" if self.big else "I")

    def _get(self, at: int, form: str) -> int:
        value: int = struct.unpack_from(f"<{form}", self.data, at)[0]
        return value

    def _page(self, at: int) -> tuple[int, int, dict[int, Entry]]:
        head, size, room, form = (8, 20, 8, "Q") if self.big else (2, 12, 4, "I")
        count = self._get(at, "Q" if self.big else "H")
        found: dict[int, Entry] = {}
        for number in range(count):
            entry = at + head + number * size
            code, kind = struct.unpack_from("<HH", self.data, entry)
            values = self._get(entry + 4, form)
            field = entry + size - room
            inline = values * WIDTHS[kind] <= room
            found[code] = Entry(entry, kind, values, field if inline else self._get(field, form), field)
        return at, at + head + count * size, found

    def entry(self, page: int, code: int) -> Entry:
        """One entry."""
        return self.pages[page][2][code]

    def put(self, at: int, form: str, value: int) -> Self:
        """Overwrite a number at a file offset."""
        struct.pack_into(f"<{form}", self.data, at, value)
        return self

    def bytes_at(self, at: int, data: bytes) -> Self:
        """Overwrite bytes at a file offset."""
        self.data[at : at + len(data)] = data
        return self

    def first_ifd(self, offset: int) -> Self:
        """Point the header elsewhere."""
        return self.put(8, "Q", offset) if self.big else self.put(4, "I", offset)

    def next_ifd(self, page: int, offset: int) -> Self:
        """Point the IFD of `page` to another following IFD."""
        return self.put(self.pages[page][1], "Q" if self.big else "I", offset)

    def entries(self, page: int, count: int) -> Self:
        """Claim another number of entries."""
        return self.put(self.pages[page][0], "Q" if self.big else "H", count)

    def recode(self, page: int, code: int, other: int) -> Self:
        """Give an entry another tag number: what it was is missing then."""
        return self.put(self.entry(page, code).at, "H", other)

    def retype(self, page: int, code: int, kind: int) -> Self:
        """Give an entry another type."""
        return self.put(self.entry(page, code).at + 2, "H", kind)

    def recount(self, page: int, code: int, count: int) -> Self:
        """Claim another number of values."""
        return self.put(self.entry(page, code).at + 4, "Q" if self.big else "I", count)

    def point(self, page: int, code: int, offset: int) -> Self:
        """Set an entry's value-or-offset field as a whole."""
        return self.put(self.entry(page, code).field_at, "Q" if self.big else "I", offset)

    def set(self, page: int, code: int, value: int, index: int = 0) -> Self:
        """Overwrite one number of an entry's value."""
        entry = self.entry(page, code)
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}[entry.type]
        return self.put(entry.value_at + index * WIDTHS[entry.type], form, value)

    def number(self, page: int, code: int, index: int = 0) -> int:
        """One number of an entry's value."""
        entry = self.entry(page, code)
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}[entry.type]
        return self._get(entry.value_at + index * WIDTHS[entry.type], form)

    def tile(self, page: int, index: int) -> tuple[int, int]:
        """Offset and length of one tile."""
        return self.number(page, 324, index), self.number(page, 325, index)

    def stored(self, page: int, index: int) -> bytes:
        """The bytes of one tile."""
        at, length = self.tile(page, index)
        return bytes(self.data[at : at + length])

    def replace_tile(self, page: int, index: int, data: bytes) -> Self:
        """Put other bytes at the end of the file and point the tile there."""
        at = len(self.data)
        self.data += data
        return self.set(page, 324, at, index).set(page, 325, len(data), index)

    def append(self, data: bytes) -> int:
        """Put bytes at the end, on an even offset, and say where."""
        self.data += b"\0" * (len(self.data) % 2)
        self.data += data
        return len(self.data) - len(data)

    def ifd(self, *entries: tuple[int, int, int, int], following: int = 0) -> bytes:
        """A small IFD of (tag, type, count, field) entries."""
        if self.big:
            body = b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
            return struct.pack("<Q", len(entries)) + body + struct.pack("<Q", following)
        body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)

    def link_last(self, ifd: bytes) -> Self:
        """Hang one more IFD behind the last."""
        return self.next_ifd(len(self.pages) - 1, self.append(ifd))
