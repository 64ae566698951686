"""The tiles of a stored level that DeepZoom wants smaller than TIFF keeps them: the right and bottom edge.

A level may also be one pixel short of what DeepZoom computes (scanners round down, DeepZoom rounds up); then the last
column or row is repeated once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from coverslip.pyramid.chain import Made
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.jpeg import JpegForm
from coverslip.pyramid.pixels import Encoding, blank, cut_off
from coverslip.pyramid.source import BLANK, Source, StoredLevel, cut_of, read_tiles

_BATCH: Final = 16

Cells = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class EdgeCells:
    """Some edge tiles of one stored level: one unit of work."""

    fd: int
    level: StoredLevel
    form: JpegForm
    zoom: DeepZoom
    reduction: int
    encoding: Encoding
    cells: Cells = field(repr=False)
    empty: int = BLANK
    """What a pixel shows that was never scanned."""

    def __call__(self) -> tuple[list[Made], None]:
        """Cut, keeping what is left as it was."""
        return [Made(self.reduction, column, row, self._jpeg(column, row)) for column, row in self.cells], None

    def _jpeg(self, column: int, row: int) -> bytes:
        cut = cut_of(self.level, self.zoom, self.reduction, column, row)
        raw = read_tiles(self.fd, self.level, cut.row, range(cut.column, cut.column + 1))[0]
        if not raw:
            return self.encoding.encode(blank(cut.extent.height, cut.extent.width, self.form.components, self.empty))
        jpeg = b"".join((self.form.blob, raw[self.form.skip :]))
        return cut_off(jpeg, self.zoom.tile, self.form, self.level.where, cut)


def edge_cells(fd: int, source: Source, encoding: Encoding) -> Iterator[EdgeCells]:
    """All edge tiles of all stored levels, in batches."""
    for reduction, level in sorted(source.ready.items()):
        assert level.jpeg is not None
        cells = tuple(_cells(source.zoom, reduction))
        for first in range(0, len(cells), _BATCH):
            batch = cells[first : first + _BATCH]
            yield EdgeCells(fd, level, level.jpeg, source.zoom, reduction, encoding, batch, source.empty)


def _cells(zoom: DeepZoom, reduction: int) -> Iterator[tuple[int, int]]:
    """Addresses of tiles smaller than the tile size."""
    size, grid = zoom.reduced(reduction), zoom.grid(reduction)
    if size.width % zoom.tile:
        yield from ((grid.width - 1, row) for row in range(grid.height))
    if size.height % zoom.tile:
        stop = grid.width - (1 if size.width % zoom.tile else 0)
        yield from ((column, grid.height - 1) for column in range(stop))


def blank_tiles(source: Source, encoding: Encoding) -> Iterator[tuple[int, StoredLevel, bytes]]:
    """By reduction: stored levels with tiles the scanner never wrote, and what stands in for those."""
    for reduction, level in sorted(source.ready.items()):
        assert level.jpeg is not None
        if bool((level.counts == 0).any()):
            side = source.zoom.tile
            yield reduction, level, encoding.encode(blank(side, side, level.jpeg.components, source.empty))
