"""The header of a JPEG that a slide reader opens in the middle of a file: what it makes the reader allocate.

Source: ITU-T T.81 Annex B. Nothing is decoded; a header that cannot be followed passes, as its reader says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.geometry import Size
from coverslip.tiff.structure import FileBytes

MAX_SEGMENTS: Final = 1000
MAX_BLOCKS: Final = 1 << 25
"""Restart intervals of a picture: a reader keeps a position for each."""
MAX_UNDIVIDED: Final = 64 << 20
"""Pixels of a picture without restart intervals: it is decoded whole."""
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOI, _SOS, _DRI = 0xD8, 0xDA, 0xDD


@dataclass(frozen=True, slots=True)
class Frame:
    """What a JPEG's header says."""

    size: Size
    unit: Size
    """Pixels of one coded unit (MCU)."""
    interval: int
    """Units between restart markers; 0 when there are none."""


def frame(data: FileBytes, start: int) -> Frame | None:
    """The header at `start`; None when there is none that can be followed. Raises DamagedSlide for an endless one."""
    at, interval, size, unit = start, 0, Size(0, 0), Size(8, 8)
    for _ in range(MAX_SEGMENTS):
        mark = data[at : at + 4]
        if len(mark) < 2 or mark[0] != 0xFF:
            return None
        if mark[1] == _SOI:
            at += 2
            continue
        if len(mark) < 4:
            return None
        length = struct.unpack(">H", mark[2:])[0]
        body = data[at + 4 : at + 2 + min(length, 64)]
        if mark[1] == _SOS:
            return Frame(size, unit, interval) if size.area else None
        if mark[1] in _FRAMES:
            size, unit = _geometry(body)
        elif mark[1] == _DRI and len(body) >= 2:
            interval = struct.unpack(">H", body[:2])[0]
        at += 2 + max(length, 2)
    raise DamagedSlide("a JPEG header does not end", where="jpeg")


def _geometry(body: bytes) -> tuple[Size, Size]:
    """Picture and unit; sizes out of JPEG's range count as its greatest, which readers put in their place."""
    if len(body) < 6:
        return Size(0, 0), Size(8, 8)
    height, width = (side if 0 < side <= 65500 else 65500 for side in struct.unpack(">HH", body[1:5]))
    factors = [body[7 + 3 * i] for i in range(min(body[5], 4)) if 7 + 3 * i < len(body)]
    if len(factors) < 2:
        return Size(width, height), Size(8, 8)
    return Size(width, height), Size(8 * max(1, *(f >> 4 for f in factors)), 8 * max(1, *(f & 15 for f in factors)))


def check(found: Frame, size: Size, where: str) -> int:
    """The restart intervals of a picture of `size`. Raises LimitExceeded when it cannot be read piece by piece."""
    if not found.interval:
        if size.area > MAX_UNDIVIDED:
            raise LimitExceeded("a picture in one piece is too large to decode", where=where)
        return 1
    blocks = (size.width // (found.unit.width * found.interval) + 1) * (size.height // found.unit.height + 1)
    if blocks > MAX_BLOCKS:
        raise LimitExceeded("a picture has more restart intervals than anybody needs", where=where)
    return blocks
