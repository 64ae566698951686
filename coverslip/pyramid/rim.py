"""What a sparse build makes of a level that is otherwise made on request: the tiles at its right and bottom rim.

Those are made of tiles the slide pads and DeepZoom crops, so four served tiles do not make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from coverslip.geometry import Size
from coverslip.pyramid.chain import Chain, Made
from coverslip.pyramid.feed import HalfFeed
from coverslip.pyramid.on_request import inner
from coverslip.pyramid.source import Source

_BATCH: Final = 8

Cells = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class RimCells:
    """Some tiles of the rim: one unit of work."""

    chain: Chain
    cells: Cells = field(repr=False)

    def __call__(self) -> tuple[list[Made], None]:
        """Make them as a complete build would."""
        return [self._made(column, row) for column, row in self.cells], None

    def _made(self, column: int, row: int) -> Made:
        feed = self.chain.feed
        block = feed.block(range(column, column + 1), range(row, row + 1))
        return self.chain.encode(feed.reduction, column, row, block.tile(column, row))


def made_on_request(chain: Chain, source: Source) -> Size | None:
    """Columns and rows that can be left out of a chain of one level between two that the slide holds; else None."""
    feed = chain.feed
    if isinstance(feed, HalfFeed) and chain.last == feed.reduction and chain.last + 1 in source.ready:
        return inner(source.zoom, feed.level)
    return None


def rim_cells(chain: Chain, inside: Size) -> Iterator[RimCells]:
    """The tiles of a chain's only level outside the first `inside` columns and rows, in batches."""
    grid = chain.zoom.grid(chain.feed.reduction)
    right = ((column, row) for row in range(grid.height) for column in range(inside.width, grid.width))
    bottom = ((column, row) for row in range(inside.height, grid.height) for column in range(inside.width))
    cells = (*right, *bottom)
    for first in range(0, len(cells), _BATCH):
        yield RimCells(chain, cells[first : first + _BATCH])
