"""What a sparse build makes of levels whose tiles are otherwise made on request: those at the right and bottom rim.

Tiles there are padded by the slide and cropped by DeepZoom, so served tiles do not make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from coverslip.geometry import Size
from coverslip.pyramid.chain import Chain, Made
from coverslip.pyramid.feed import CodedFeed, HalfFeed
from coverslip.pyramid.on_request import affordable, inner, whole
from coverslip.pyramid.source import Source

_BATCH: Final = 8

Cells = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class RimCells:
    """Some tiles of the rim: one unit of work."""

    chain: Chain
    reduction: int
    cells: Cells = field(repr=False)

    def __call__(self) -> tuple[list[Made], None]:
        """Make them as a complete build would."""
        return [self.chain.single(self.reduction, column, row) for column, row in self.cells], None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a sparse build does not make of a chain."""

    inside: dict[int, Size]
    """By reduction: columns and rows that are made on request."""
    rest: Chain | None
    """What is to be made all the same, but for rims; None when nothing is."""


def left_out(chain: Chain, source: Source) -> LeftOut:
    """What of a chain can be made on request.

    A level between two that the slide holds, and a level that it holds in a codec no browser shows, when few enough
    stored tiles have to be decoded for one of theirs.
    """
    feed, next_is_held = chain.feed, chain.last + 1 in source.held
    match feed:
        case HalfFeed(level=level) if next_is_held and chain.last == feed.reduction:
            return LeftOut({chain.last: inner(chain.zoom, level)}, None)
        case CodedFeed(level=level, recipe=recipe) if affordable(level, recipe, 1):
            own = whole(chain.zoom, level)
            if chain.last == feed.reduction:
                return LeftOut({chain.last: own}, None)
            if next_is_held and chain.last == feed.reduction + 1 and affordable(level, recipe, 4):
                return LeftOut({feed.reduction: own, chain.last: inner(chain.zoom, level)}, None)
            return LeftOut({feed.reduction: own}, replace(chain, left_out=own))
    return LeftOut({}, chain)


def rim_cells(chain: Chain, reduction: int, inside: Size) -> Iterator[RimCells]:
    """The tiles of one level of a chain outside the first `inside` columns and rows, in batches."""
    grid = chain.zoom.grid(reduction)
    right = ((column, row) for row in range(grid.height) for column in range(inside.width, grid.width))
    bottom = ((column, row) for row in range(inside.height, grid.height) for column in range(inside.width))
    cells = (*right, *bottom)
    for first in range(0, len(cells), _BATCH):
        yield RimCells(chain, reduction, cells[first : first + _BATCH])
