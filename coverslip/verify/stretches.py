"""What of a value says something of its own: thumbnails inside it share tables and frame headers with every JPEG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from coverslip.errors import DamagedSlide
from coverslip.verify.forms import WINDOW, windows
from coverslip.verify.jpeg_tables import is_sound, tables_of
from coverslip.verify.jpeg_walk import DHT, DQT, DRI, SOS

APART: Final = b"\x01"
"""What to put between stretches that are read as one: no half of a character, no letter."""
MAX_STRETCHES: Final = 256
"""That are read one by one, and that samples are taken of."""
_SHARED = re.compile(rb"\xff([\xc0\xc2\xc4\xda\xdb\xdd])([\x00-\x07].)", re.DOTALL)
"""What a segment that JPEGs share begins with: its marker and its length."""
_COMPONENTS: Final = (1, 2, 3, 4)


def stretches(value: bytes) -> tuple[bytes, ...]:
    """What stands between the segments that JPEGs share.

    Only what is one to the last byte counts, for two bytes by chance look like the beginning of one.
    """
    kept, position = [], 0
    for match in _SHARED.finditer(value):
        end = match.start() + 2 + int.from_bytes(match[2], "big")
        whole = match.end() < end <= len(value)
        if match.start() >= position and whole and _is_shared(match[1][0], value[match.end() : end]):
            kept.append(value[position : match.start()])
            position = end
    return tuple(stretch for stretch in (*kept, value[position:]) if stretch)


def to_read(apart: Sequence[bytes]) -> tuple[bytes, ...]:
    """Each stretch, for a text ends where one ends; of very many the last are read as one."""
    if len(apart) <= MAX_STRETCHES:
        return tuple(apart)
    return (*apart[:MAX_STRETCHES], APART.join(apart[MAX_STRETCHES:]))


def samples(apart: Sequence[bytes]) -> set[bytes]:
    """Samples of the stretches of a binary value; a short one beside others is how any JPEG begins."""
    if len(apart) == 1:
        return windows(apart[0])
    long = [stretch for stretch in apart if len(stretch) >= WINDOW]
    return {sample for stretch in long[:MAX_STRETCHES] for sample in windows(stretch)}


def _is_shared(marker: int, payload: bytes) -> bool:
    """Whether a segment says how its JPEG is coded, and nothing else (T.81 B.2)."""
    if marker in (DQT, DHT):
        return _are_tables(marker, payload)
    if marker == DRI:
        return len(payload) == 2
    return _is_scan(payload) if marker == SOS else _is_frame(payload)


def _are_tables(marker: int, payload: bytes) -> bool:
    try:
        tables = tuple(tables_of(marker, payload, "value"))
    except DamagedSlide:
        return False
    return all(is_sound(table, 12, progressive=True, baseline=False) for table in tables)


def _is_scan(payload: bytes) -> bool:
    number, selectors = payload[0], payload[2:-3:2]
    return number in _COMPONENTS and len(payload) == 4 + 2 * number and not any(each & 0xCC for each in selectors)


def _is_frame(payload: bytes) -> bool:
    if len(payload) < 6 or payload[0] not in (8, 12) or payload[5] not in _COMPONENTS:
        return False
    sides, tables = payload[7::3], payload[8::3]
    sampled = all(side >> 4 in _COMPONENTS and side & 15 in _COMPONENTS for side in sides)
    return len(payload) == 6 + 3 * payload[5] and sampled and max(tables) < 4
