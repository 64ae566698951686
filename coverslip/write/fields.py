"""Directories of the clean slide: which fields, with which values, never more values than the field may have.

Source: TIFF 6.0 §8 and §15; numeric values are taken over in the source's byte order, so they read exactly as before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from coverslip.errors import DamagedSlide
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory

_INTEGERS: Final = frozenset((t.SHORT, t.LONG, t.LONG8, t.BYTE))
_RATIONALS: Final = frozenset((t.RATIONAL,))

KEPT: Final = {
    254: (1, _INTEGERS), 256: (1, _INTEGERS), 257: (1, _INTEGERS), 258: (0, _INTEGERS), 259: (1, _INTEGERS),
    262: (1, _INTEGERS), 266: (1, _INTEGERS), 274: (1, _INTEGERS), 277: (1, _INTEGERS), 282: (1, _RATIONALS),
    283: (1, _RATIONALS), 284: (1, _INTEGERS), 296: (1, _INTEGERS), 317: (1, _INTEGERS), 322: (1, _INTEGERS),
    323: (1, _INTEGERS), 338: (0, _INTEGERS), 339: (0, _INTEGERS), 529: (3, _RATIONALS), 530: (2, _INTEGERS),
    531: (1, _INTEGERS), 532: (6, _RATIONALS), 32997: (1, _INTEGERS),
}  # fmt: skip
"""Field → (how many values at most, 0 for one a sample; allowed types). The plan decides which of them appear."""


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


def kept_field(directory: Directory, code: int) -> OutField | None:
    """A numeric field of the source, cut to the values it may have. Raises DamagedSlide for a type it cannot have."""
    found = directory.fields.get(code)
    if found is None or code not in KEPT:
        return None
    most, types = KEPT[code]
    if found.type not in types:
        raise DamagedSlide("a field has a type it cannot have", where=f"{directory.path}/{t.name_of(code)}")
    most = most or directory.number(t.SAMPLES_PER_PIXEL, 1)
    return OutField(code, found.type, found.raw[: most * t.TYPE_SIZES[found.type]])


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
