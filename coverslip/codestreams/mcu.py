"""Where the last unit of a sequential Huffman scan ends: what follows it is no picture.

Source: ITU-T T.81 F.2.2 (decoding of Huffman-coded blocks), C.2 (codes), B.1.1.5 (stuffing). Nothing is decoded: codes
are counted, their bits passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

import numpy as np
import simplejpeg

from coverslip.codestreams.jpeg_header import SOS, Builder, Frame, Scan, Segment, mcus
from coverslip.codestreams.jpeg_tables import HUFFMAN, Key
from coverslip.codestreams.strict import needs_its_last_byte
from coverslip.codestreams.tails import long_words, wordy
from coverslip.errors import DamagedSlide

_RESTART: Final = re.compile(rb"\xff(?<!\xff\xff)\xff*+[\xd0-\xd7]")
"""With the fill bytes before it. Begins with one byte and looks back, or long runs would be walked from each byte."""
_WINDOW: Final = 16
_STEP: Final = 256
"""A step through a scan is `coefficients * 256 + bits`; 0 where no code begins."""


def check_ends(
    scan: bytes, frame: Frame, header: Scan, interval: int, tables: Mapping[Key, bytes], before: bytes = b""
) -> None:
    """Raise DamagedSlide for words behind the last unit of a scan or of one of its restart intervals.

    Only ends that read like words are looked at (`tails`). `before` is the stream up to a scan that is its only one;
    with it libjpeg is asked first (`strict`). A progressive scan is not followed: there words of some length are
    enough.
    """
    cuts = [0, *(cut for found in _RESTART.finditer(scan) for cut in found.span()), len(scan)]
    places = np.array([cuts[::2], cuts[1::2]], np.int64)
    data = np.frombuffer(scan or b"\0", np.uint8)
    if not wordy(data, *places).any():
        return
    if before and not interval and needs_its_last_byte(_with_tables(before, tables), scan, frame):
        return
    words = long_words(data, *places).any() if frame.progressive else has_tail(scan, frame, header, interval, tables)
    if words:
        raise DamagedSlide("bytes that read like words stand behind the last unit of a JPEG scan")


def _with_tables(before: bytes, tables: Mapping[Key, bytes]) -> bytes:
    """A stream's beginning with the page's tables in it; its own, which follow, count."""
    return before[:2] + b"".join(Segment(key.marker, table).encode() for key, table in tables.items()) + before[2:]


def has_tail(scan: bytes, frame: Frame, header: Scan, interval: int, tables: Mapping[Key, bytes]) -> bool:
    """Whether whole bytes stand behind the last unit of a scan, or of any of its restart intervals.

    `tables` are the Huffman tables at hand; T.81's own (K.3) stand in for missing ones, as they do in decoders. True as
    well for a scan that ends early or follows no code.
    """
    left = mcus(frame, header)
    plan = _plan(frame, header, tables)
    for part in _RESTART.split(scan):
        units = min(left, interval) if interval else left
        used = _bits(part.replace(b"\xff\x00", b"\xff"), plan, units)
        if used is None or -(-used // 8) != len(part.replace(b"\xff\x00", b"\xff")):
            return True
        left -= units
    return left > 0


def _plan(frame: Frame, header: Scan, tables: Mapping[Key, bytes]) -> list[tuple[list[int], list[int]]]:
    """For each block of one unit, in order: its DC and its AC steps by the next sixteen bits."""
    blocks = []
    for part in header.parts:
        component = frame.components[part.component]
        count = component.across * component.down if len(header.parts) > 1 else 1
        pair = tuple(
            steps(tables.get(key) or standard()[key]) for key in (Key(HUFFMAN, 0, part.dc), Key(HUFFMAN, 1, part.ac))
        )
        blocks += [(pair[0], pair[1])] * count
    return blocks


@cache
def standard() -> Mapping[Key, bytes]:
    """The tables of T.81 K.3, as the library at hand writes them, for all four numbers."""
    builder = Builder()
    data = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), 75, "RGB", "444")
    at = 2
    while data[at + 1] != SOS:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        builder.take(Segment(data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    builder.scan(data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")])
    found = {key: table for key, table in builder.tables.items() if key.marker == HUFFMAN}
    return {
        Key(HUFFMAN, kind, number): found[Key(HUFFMAN, kind, min(number, 1))] for kind in (0, 1) for number in range(4)
    }


@cache
def steps(table: bytes) -> list[int]:
    """What each sixteen bits mean that can come next, by a table's payload."""
    found = np.zeros(1 << _WINDOW, np.int64)
    code, at = 0, 17
    for length, count in enumerate(table[1:17], 1):
        for symbol in table[at : at + count]:
            first, room = code << (_WINDOW - length), 1 << (_WINDOW - length)
            found[first : first + room] = _advance(symbol, table[0] >> 4) * _STEP + length + (symbol & 15)
            code += 1
        at += count
        code <<= 1
    steps: list[int] = found.tolist()
    return steps


def _advance(symbol: int, kind: int) -> int:
    """Coefficients a symbol stands for: one of DC; of AC its run of zeros and the next, or all that are left."""
    if not kind:
        return 1
    return 64 if symbol == 0 else (symbol >> 4) + 1


def _bits(data: bytes, blocks: Iterable[tuple[list[int], list[int]]], units: int) -> int | None:
    """Bits that `units` units take; None when they run out or follow no code."""
    windows = _windows(data)
    end, at, blocks = 8 * len(data), 0, tuple(blocks)
    for _ in range(units):
        for dc, ac in blocks:
            if at >= end:
                return None
            step = dc[windows[at]]
            at += step & 255
            coefficient = 1
            while step and coefficient < 64:
                if at >= end:
                    return None
                step = ac[windows[at]]
                at += step & 255
                coefficient += step >> 8
            if not step:
                return None
    return at if at <= end else None


def _windows(data: bytes) -> list[int]:
    """The sixteen bits that begin at each bit; ones behind the end."""
    padded = np.frombuffer(data + b"\xff\xff\xff", np.uint8).astype(np.uint32)
    words = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    rows = [words[:-1] >> (8 - bit) & 0xFFFF for bit in range(8)]
    found: list[int] = np.stack(rows, axis=1).reshape(-1).tolist()
    return found
