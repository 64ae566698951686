"""Slippy-map addresses, as Leaflet and OpenLayers ask: `z` 0 is the level that fits one tile, `x` and `y` count tiles.

Those clients draw every tile at full size, so tiles at the right and bottom edge are filled up instead of cropped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from coverslip.errors import TileNotFound
from coverslip.geometry import Size, TileIndex
from coverslip.pyramid.deepzoom import DeepZoom


@lru_cache(1024)
def max_zoom(zoom: DeepZoom) -> int:
    """The `z` of the full size."""
    return next(reduction for reduction in range(zoom.levels) if zoom.grid(reduction) == Size(1, 1))


def tile_at(zoom: DeepZoom, z: int, x: int, y: int) -> TileIndex:
    """The served tile, its `level` counted in halvings. Raises TileNotFound."""
    reduction = max_zoom(zoom) - z
    if z < 0 or reduction < 0:
        raise TileNotFound
    grid = zoom.grid(reduction)
    if not (0 <= x < grid.width and 0 <= y < grid.height):
        raise TileNotFound
    return TileIndex(reduction, x, y)


def whole(zoom: DeepZoom, tile: TileIndex) -> bool:
    """Whether the served tile has the full size and needs no filling up."""
    return zoom.extent(tile.level, tile.column, tile.row) == Size(zoom.tile, zoom.tile)


def tilejson(zoom: DeepZoom, tiles: str) -> dict[str, Any]:
    """TileJSON 3.0; a slide lies nowhere on earth, so beside its fields stand the pixels a client needs."""
    return {
        "tilejson": "3.0.0",
        "tiles": [tiles],
        "scheme": "xyz",
        "minzoom": 0,
        "maxzoom": max_zoom(zoom),
        "tilesize": zoom.tile,
        "width": zoom.size.width,
        "height": zoom.size.height,
    }
