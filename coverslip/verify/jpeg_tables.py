"""The verifier's own reading of JPEG tables: what a table may hold so that it is a table and no hiding place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from coverslip.errors import DamagedSlide

DQT, DHT = 0xDB, 0xC4
CODE_LENGTHS = 16
_WORDS = re.compile(rb"[\x20-\x7e]{6,}")
"""From as many letters on as the search for values looks for."""


@dataclass(frozen=True, slots=True)
class Table:
    """One quantisation or Huffman table."""

    marker: int
    name: int
    """Its number; for Huffman tables of AC coefficients with 16 added (T.81 B.2.4.2)."""
    values: tuple[int, ...] = field(repr=False)
    """64 divisors; or sixteen counts and then the symbols."""
    wide: bool = False
    """Written in 16 bits a divisor."""

    @property
    def key(self) -> tuple[int, int]:
        """Marker and name: what a frame or scan refers to."""
        return self.marker, self.name

    @property
    def said(self) -> bytes:
        """Divisors or symbols as they stand in the file."""
        said = self.values if self.marker == DQT else self.values[CODE_LENGTHS:]
        return b"".join(value.to_bytes(2, "big") for value in said) if self.wide else bytes(said)


def words(table: Table) -> bytes:
    """What a table may say to a reader: where letters follow each other and, of a Huffman table, where it is none.

    The symbols of a sound one stand there once each, and a run of letters in them is the alphabet.
    """
    said = table.said
    sound = table.marker == DHT and is_sound(table, 8, progressive=False, baseline=True)
    return b"" if sound or not _WORDS.search(said) else said


def tables_of(marker: int, payload: bytes, where: str) -> Iterator[Table]:
    """The tables of one segment. Raises `DamagedSlide` when they do not fill it exactly."""
    position = 0
    while position < len(payload):
        table, position = (_divisors if marker == DQT else _codes)(payload, position, where)
        yield table


def _divisors(payload: bytes, position: int, where: str) -> tuple[Table, int]:
    step = 2 if payload[position] >> 4 else 1
    body = payload[position + 1 : position + 1 + 64 * step]
    if len(body) != 64 * step:
        raise DamagedSlide("a quantisation table ends early", where=where)
    values = tuple(int.from_bytes(body[at : at + step], "big") for at in range(0, len(body), step))
    return Table(DQT, payload[position] & 15, values, step == 2), position + 1 + 64 * step


def _codes(payload: bytes, position: int, where: str) -> tuple[Table, int]:
    counts = payload[position + 1 : position + 1 + CODE_LENGTHS]
    end = position + 1 + CODE_LENGTHS + sum(counts)
    if len(counts) != CODE_LENGTHS or end > len(payload):
        raise DamagedSlide("a Huffman table ends early", where=where)
    return Table(DHT, payload[position], tuple(payload[position + 1 : end])), end


@lru_cache(maxsize=256)
def is_sound(table: Table, bits: int, *, progressive: bool, baseline: bool) -> bool:
    """Whether a decoder of `bits` bits a sample could use all of a table, and nothing else stands in it."""
    if table.name & 15 > 3 or table.name >> 4 > 1:
        return False
    if table.marker == DQT:
        return min(table.values) > 0 and table.wide == (max(table.values) > 255) and not (baseline and table.wide)
    counts, symbols = table.values[:CODE_LENGTHS], table.values[CODE_LENGTHS:]
    spent = sum(count << (CODE_LENGTHS - length) for length, count in enumerate(counts, 1))
    once = len(symbols) == len(set(symbols))
    return once and spent < 1 << CODE_LENGTHS and all(_means(table, symbol, bits, progressive) for symbol in symbols)


def _means(table: Table, symbol: int, bits: int, progressive: bool) -> bool:
    """Whether a symbol stands for something (T.81 F.1.2.1, F.1.2.2, G.1.2.2)."""
    if table.name < 16:
        return symbol <= bits + 3
    zeros, size = divmod(symbol, 16)
    return size <= bits + 2 if size else zeros in (0, 15) or progressive
