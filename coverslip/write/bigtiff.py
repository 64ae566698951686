"""The directories of a BigTIFF from plain values: entries sorted, long values behind them, offsets known beforehand.

Source: BigTIFF proposal (magic 43, 8-byte offsets), TIFF 6.0 §2. Deterministic: the same values give the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from coverslip.tiff import tags as t

HEADER_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One field: its number, type, count and value as little-endian bytes."""

    code: int
    type: int
    count: int
    raw: bytes = field(repr=False)


def header(first: int) -> bytes:
    """The file's first 16 bytes; `first` is where the first directory begins."""
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, first)


def shorts(code: int, *values: int) -> Entry:
    """A field of 16-bit numbers."""
    return Entry(code, t.SHORT, len(values), struct.pack(f"<{len(values)}H", *values))


def longs(code: int, *values: int) -> Entry:
    """A field of 32-bit numbers."""
    return Entry(code, t.LONG, len(values), struct.pack(f"<{len(values)}I", *values))


def rationals(code: int, *values: Fraction) -> Entry:
    """A field of fractions of two 32-bit numbers."""
    pairs = [number for value in values for number in (value.numerator, value.denominator)]
    return Entry(code, t.RATIONAL, len(values), struct.pack(f"<{len(pairs)}I", *pairs))


def ascii_text(code: int, text: str) -> Entry:
    """A field of text with its closing NUL."""
    raw = text.encode("ascii") + b"\0"
    return Entry(code, t.ASCII, len(raw), raw)


def directories(at: int, pages: Sequence[Sequence[Entry]]) -> bytes:
    """All directories chained one after the other, to be written at the even offset `at`."""
    out = bytearray()
    for number, page in enumerate(pages):
        block = _directory(at + len(out), sorted(page, key=lambda entry: entry.code), last=number == len(pages) - 1)
        out += block
    return bytes(out)


def _directory(at: int, entries: Sequence[Entry], *, last: bool) -> bytes:
    """One directory and its long values, padded to an even length so that the next begins on a word."""
    values = bytearray()
    table = bytearray(struct.pack("<Q", len(entries)))
    first = at + 8 + 20 * len(entries) + 8
    for entry in entries:
        inline = entry.raw.ljust(8, b"\0")
        if len(entry.raw) > 8:
            inline = struct.pack("<Q", first + len(values))
            values += entry.raw + bytes(len(entry.raw) % 2)
        table += struct.pack("<HHQ", entry.code, entry.type, entry.count) + inline
    following = 0 if last else first + len(values)
    return bytes(table) + struct.pack("<Q", following) + bytes(values)
