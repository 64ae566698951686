"""Directories of the clean slide as bytes: entries, and the values that do not fit into them. Source: TIFF 6.0 §2."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from coverslip.tiff import tags as t


@dataclass(frozen=True, slots=True)
class OutField:
    """A field to be written."""

    code: int
    type: int
    raw: bytes = field(repr=False)

    @property
    def count(self) -> int:
        """Values."""
        return len(self.raw) // t.TYPE_SIZES[self.type]


def integer(order: str, code: int, *values: int) -> OutField:
    """A field of short or long integers, whichever is wide enough."""
    kind = t.SHORT if max(values) < 1 << 16 else t.LONG
    return OutField(code, kind, np.array(values, order + t.INTEGER_FORMATS[kind]).tobytes())


def text(code: int, value: bytes) -> OutField:
    """An ASCII field with its terminating NUL."""
    return OutField(code, t.ASCII, value + b"\0")


def directory_size(fields: list[OutField], big: bool) -> tuple[int, int]:
    """Bytes of the entry table and of the values that do not fit into it."""
    inline, entry, frame = (8, 20, 16) if big else (4, 12, 6)
    outside = sum(_even(len(found.raw)) for found in fields if len(found.raw) > inline)
    return frame + entry * len(fields), outside


def encode_directory(fields: list[OutField], order: str, big: bool, at: int, following: int) -> bytes:
    """A directory whose entry table begins at `at`, its longer values right behind it, both on even offsets."""
    fields = sorted(fields, key=lambda found: found.code)
    inline, offset = (8, "Q") if big else (4, "I")
    table, _ = directory_size(fields, big)
    value_at = at + _even(table)
    entries, values = bytearray(), bytearray()
    for found in fields:
        entries += struct.pack(order + "HH" + offset, found.code, found.type, found.count)
        if len(found.raw) <= inline:
            entries += found.raw.ljust(inline, b"\0")
        else:
            entries += struct.pack(order + offset, value_at + len(values))
            values += found.raw.ljust(_even(len(found.raw)), b"\0")
    head = struct.pack(order + ("Q" if big else "H"), len(fields))
    tail = struct.pack(order + offset, following)
    return (head + bytes(entries) + tail).ljust(_even(table), b"\0") + bytes(values)


def encoded_size(fields: list[OutField], big: bool) -> int:
    """Bytes `encode_directory` gives."""
    table, outside = directory_size(fields, big)
    return _even(table) + outside


def _even(size: int) -> int:
    return size + size % 2
