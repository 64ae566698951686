"""Where the picture in a JPEG scan ends, bit by bit: words behind its last unit are passed over by every decoder.

Followed only where the end of a scan reads like words (`endings.py`): one tile in thousands.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

from PIL import Image

from coverslip.verify.jpeg_meaning import Frame, Reading, Scan, shared_tables, units
from coverslip.verify.jpeg_tables import CODE_LENGTHS, DHT, Table
from coverslip.verify.jpeg_walk import RESTART, walk_jpeg, without_fill

LOOK = 16
"""Bits looked at to find a code: its greatest length."""
UNKNOWN = (0, 0)


def ends_with_its_picture(scan: bytes, reading: Reading, number: int) -> bool:
    """Whether each interval of scan `number` ends in the byte that holds the last bit of its last unit.

    False for a scan that breaks off or follows no code. A progressive scan is not followed: False, too.
    """
    frame, header, restart = reading.frame, reading.meaning.scans[number], reading.meaning.restart
    if frame.progressive:
        return False
    left = units(frame, header.places)
    blocks = _blocks(frame, header)
    for part in intervals(scan):
        mine = min(left, restart) if restart else left
        left -= mine
        data = part.replace(b"\xff\x00", b"\xff")
        if _bytes_used(data, blocks, mine) != len(data):
            return False
    return not left


def restarts_in_turn(scan: bytes, reading: Reading, number: int) -> bool:
    """Whether a scan's restart markers are as many as its interval asks for, and numbered in turn (T.81 E.1.4)."""
    restart = reading.meaning.restart
    wanted = -(-units(reading.frame, reading.meaning.scans[number].places) // restart) - 1 if restart else 0
    return [found[0] - 0xD0 for found in RESTART.findall(scan)] == [turn & 7 for turn in range(wanted)]


def intervals(scan: bytes) -> list[bytes]:
    """The coded bytes between restart markers."""
    return RESTART.split(without_fill(scan))[::2]


def _blocks(frame: Frame, header: Scan) -> list[tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]]:
    """DC and AC codes of each block of one unit."""
    found = []
    for place, numbers, dc, ac in zip(header.places, header.numbers, header.dc, header.ac, strict=True):
        across, down = frame.sampling[place] if len(header.places) > 1 else (1, 1)
        pair = (codes(dc or usual()[0, numbers[0] & 1]), codes(ac or usual()[1, numbers[1] & 1]))
        found += [pair] * (across * down)
    return found


@cache
def codes(table: Table) -> Sequence[tuple[int, int]]:
    """For each sixteen bits that may come next: the bits of code and number together, and the symbol."""
    found = [UNKNOWN] * (1 << LOOK)
    at, symbols = 0, iter(table.values[CODE_LENGTHS:])
    for length, count in enumerate(table.values[:CODE_LENGTHS], 1):
        span = 1 << (LOOK - length)
        for symbol in [next(symbols) for _ in range(count)]:
            found[at : at + span] = [(length + (symbol & 15), symbol)] * len(found[at : at + span])
            at += span
    return found


@cache
def usual() -> dict[tuple[int, int], Table]:
    """The tables decoders take where a slide has none, by class and number: T.81's own (K.3)."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", optimize=False)
    found = shared_tables(walk_jpeg(file.getvalue(), "usual").segments, "usual")
    return {(kind, number): found[DHT, 16 * kind + number] for kind in (0, 1) for number in (0, 1)}


def _bytes_used(
    data: bytes, blocks: Sequence[tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]], count: int
) -> int:
    """Bytes that so many units take; -1 when they run out or follow no code."""
    held, bits, position, total = 0, 0, 0, len(data)
    padded = data + b"\xff" * 8
    for _ in range(count):
        for dc, ac in blocks:
            coefficient = 0
            while coefficient < 64:
                if bits < 32:
                    held = held << 32 | int.from_bytes(padded[position : position + 4].ljust(4, b"\xff"), "big")
                    bits += 32
                    position += 4
                taken, symbol = (ac if coefficient else dc)[held >> (bits - LOOK) & 0xFFFF]
                bits -= taken
                if not taken or position * 8 - bits > total * 8:
                    return -1
                held &= (1 << bits) - 1
                if coefficient:
                    coefficient += 64 if not symbol else (symbol >> 4) + 1
                else:
                    coefficient = 1
    return -(-(position * 8 - bits) // 8)
