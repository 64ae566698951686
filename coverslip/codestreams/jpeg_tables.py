"""Quantisation and Huffman tables as values: only what a decoder can use, and one way to write it.

A table is numbers to a decoder and room for words to everybody else, so each is held against what it may say.
Source: ITU-T T.81 B.2.4.1 and B.2.4.2 (syntax), F.1.2 and G.1.2 (which symbols exist), C.2 (codes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from coverslip.errors import DamagedSlide

QUANTISATION: Final = 0xDB
HUFFMAN: Final = 0xC4
LENGTHS: Final = 16
"""Lengths a Huffman code may have."""
_WORDS: Final = re.compile(rb"[\x20-\x7e]{6,}")
"""Shorter runs of letters are nobody's name, and stand in tables by accident."""
_AC_SYMBOLS: Final = {
    bits: frozenset(run << 4 | size for run in range(16) for size in range(1, bits + 3)) for bits in (8, 12)
}
"""Run and size of what can follow, by bits a sample has (F.1.2.2)."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which table: its marker, class (0 for DC and for quantisation, 1 for AC) and number."""

    marker: int
    kind: int
    number: int


@dataclass(frozen=True, slots=True)
class Table:
    """One table."""

    key: Key
    payload: bytes = field(repr=False)
    """As it stands in a segment of its own."""


def quantisation(payload: bytes) -> Iterator[Table]:
    """The tables of a DQT segment. Raises DamagedSlide when they do not fill it."""
    at = 0
    while at < len(payload):
        wide, number = divmod(payload[at], 16)
        end = at + 1 + (128 if wide else 64)
        if wide > 1 or number > 3 or end > len(payload):
            raise DamagedSlide("a JPEG quantisation table is longer or shorter than its content")
        raw = payload[at + 1 : end]
        if wide and not any(raw[::2]):
            wide, raw = 0, raw[1::2]
        yield Table(Key(QUANTISATION, 0, number), bytes((wide << 4 | number,)) + raw)
        at = end


def huffman(payload: bytes) -> Iterator[Table]:
    """The tables of a DHT segment. Raises DamagedSlide when they do not fill it."""
    at = 0
    while at < len(payload):
        kind, number = divmod(payload[at], 16)
        counts = payload[at + 1 : at + 1 + LENGTHS]
        end = at + 1 + LENGTHS + sum(counts)
        if kind > 1 or number > 3 or len(counts) != LENGTHS or end > len(payload):
            raise DamagedSlide("a JPEG Huffman table is longer or shorter than its content")
        yield Table(Key(HUFFMAN, kind, number), payload[at:end])
        at = end


def words(table: Table) -> bytes:
    """What a table that goes could say to a reader: its divisors or symbols where letters follow each other.

    Empty for a Huffman table that a baseline scan could use: its symbols are what a coder needs, each once, and a run
    of letters in them is the alphabet, which stands in tables that stay as well.
    """
    said = table.payload[1 if table.key.marker == QUANTISATION else 1 + LENGTHS :]
    return b"" if not _WORDS.search(said) or _is_huffman(table) else said


def _is_huffman(table: Table) -> bool:
    try:
        check(table, 8, progressive=False, baseline=True)
    except DamagedSlide:
        return False
    return table.key.marker == HUFFMAN


def check(table: Table, bits: int, *, progressive: bool, baseline: bool) -> None:
    """Raise DamagedSlide unless scans with samples of `bits` bits can use a table, all of it."""
    if table.key.marker == QUANTISATION:
        _check_divisors(table.payload, baseline=baseline)
    else:
        _check_codes(table.payload[1 : 1 + LENGTHS])
        _check_symbols(table, bits, progressive=progressive)


def _check_divisors(payload: bytes, *, baseline: bool) -> None:
    wide, values = payload[0] >> 4, payload[1:]
    if baseline and wide:
        raise DamagedSlide("a JPEG quantisation table is made for another kind of picture")
    if not all(any(pair) for pair in zip(values[::2], values[1::2], strict=True)) if wide else not all(values):
        raise DamagedSlide("a JPEG quantisation table divides by zero")


def _check_codes(counts: bytes) -> None:
    """Each length has room for its codes, and the code of ones only is no code (T.81 C.2)."""
    code = 0
    for length, count in enumerate(counts, 1):
        code += count
        if count and code >= 1 << length:
            raise DamagedSlide("a JPEG Huffman table has more codes than there are")
        code <<= 1


def _check_symbols(table: Table, bits: int, *, progressive: bool) -> None:
    """Each symbol is one that such scans can hold, and stands there once (F.1.2, G.1.2)."""
    symbols = table.payload[1 + LENGTHS :]
    legal = _AC_SYMBOLS[bits] if table.key.kind else frozenset(range(bits + 4))
    ends = frozenset(run << 4 for run in range(16)) if progressive else frozenset((0x00, 0xF0))
    if len(set(symbols)) != len(symbols) or not (legal | ends if table.key.kind else legal).issuperset(symbols):
        raise DamagedSlide("a JPEG Huffman table holds symbols that no scan can hold")
