"""How a level is cut into the blocks read at once: small enough for flat memory, large enough for stored tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coverslip.formats.landing import lands_well
from coverslip.geometry import Point, Region, Size
from coverslip.slide import Level

TILE: Final = 256
"""Side of a written tile: what viewers ask for, so the deep-zoom pyramid serves stored tiles as they are."""
BLOCK: Final = 1024
"""Side of an ordinary block."""
MAX_WIDE: Final = 8192
"""Width of a block where the source stores wide strips (NDPI): they are decoded whole whatever part is wanted."""
MAX_STRETCH: Final = 2816
"""How far a block may stretch so that the next begins where reads land on stored pixels (`formats/landing.py`)."""


def blocks(level: Level) -> Iterator[Region]:
    """The level cut into regions that begin on tile borders, row by row."""
    wide = min(max(BLOCK, -(-level.tile.width // TILE) * TILE), MAX_WIDE)
    high = max(TILE, BLOCK * BLOCK // wide // TILE * TILE)
    columns = list(_cuts(level.size.width, wide, level.downsample))
    for top, bottom in _cuts(level.size.height, high, level.downsample):
        for left, right in columns:
            yield Region(Point(left, top), Size(right - left, bottom - top))


def _cuts(length: int, step: int, downsample: float) -> Iterator[tuple[int, int]]:
    start = 0
    while start < length:
        stop = min(length, _stop(start, step, downsample))
        yield start, stop
        start = stop


def _stop(start: int, step: int, downsample: float) -> int:
    """The first tile border from `start + step` on where a read lands well; the ordinary one where none is near."""
    for stop in range(start + step, start + max(step, MAX_STRETCH) + 1, TILE):
        if lands_well(stop, downsample):
            return stop
    return start + step
