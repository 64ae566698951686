"""Zoomify addresses: tiers from the one that fits a tile to the full size, tiles in groups of 256.

Clients disagree about tiers of odd sizes: OpenSeadragon rounds down, OpenLayers and our levels round up. OpenLayers
also puts as many tiles into a group as a tile has pixels a side. They meet in every tile both know; only the number of
the group can differ, so any of them is taken.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from coverslip.errors import TileNotFound
from coverslip.geometry import Size, TileIndex
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.zxy import max_zoom, tile_at

GROUP: Final = 256


def properties(zoom: DeepZoom) -> str:
    """`ImageProperties.xml`."""
    count = sum(zoom.grid(reduction).area for reduction in range(max_zoom(zoom) + 1))
    return (
        f'<IMAGE_PROPERTIES WIDTH="{zoom.size.width}" HEIGHT="{zoom.size.height}" NUMTILES="{count}" NUMIMAGES="1" '
        f'VERSION="1.8" TILESIZE="{zoom.tile}"/>\n'
    )


def tile_of(zoom: DeepZoom, group: int, tier: int, column: int, row: int) -> TileIndex:
    """The served tile, its `level` counted in halvings. Raises TileNotFound, also for a wrong group."""
    tile = tile_at(zoom, tier, column, row)
    numbers = {_number(grids, tile) for grids in (_rounded_up(zoom), _rounded_down(zoom))}
    if group not in {number // size for number in numbers for size in (GROUP, zoom.tile)}:
        raise TileNotFound
    return tile


def _number(grids: list[Size], tile: TileIndex) -> int:
    """Tiles are numbered row by row, from the smallest tier on."""
    before = sum(grid.area for grid in grids[tile.level + 1 :])
    return before + tile.row * grids[tile.level].width + tile.column


@lru_cache(1024)
def _rounded_up(zoom: DeepZoom) -> list[Size]:
    return [zoom.grid(reduction) for reduction in range(max_zoom(zoom) + 1)]


@lru_cache(1024)
def _rounded_down(zoom: DeepZoom) -> list[Size]:
    tile = Size(zoom.tile, zoom.tile)
    sizes = (Size(max(1, zoom.size.width >> r), max(1, zoom.size.height >> r)) for r in range(max_zoom(zoom) + 1))
    return [size.ceil_div(tile) for size in sizes]
