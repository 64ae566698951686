"""DeepZoom's addresses, and how they meet the slide's levels.

Four planes of coordinates meet here, and mixing two of them is the classic mistake:

* **dz_level** counts from the smallest: 0 is one pixel, the largest is `ceil(log2(max(width, height)))`.
* **reduction** counts from the largest: 0 is the full size, each step halves it. `reduction = largest - dz_level`.
  A slide's own *level* counts from the largest too, but its steps are whatever the scanner chose (often 4).
* **tile** addresses are `(column, row)` from the top left, in that order, also in file names (`column_row.jpg`).
* **pixels** of one dz_level are `ceil(size / 2**reduction)`; the tiles on the right and bottom edge are cropped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from coverslip.geometry import Size

NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"


@dataclass(frozen=True, slots=True)
class DeepZoom:
    """The grid of a deep-zoom pyramid without overlap."""

    size: Size
    tile: int
    """Side of a tile in pixels."""

    @property
    def largest(self) -> int:
        """The dz_level with the full size."""
        return (max(self.size.width, self.size.height) - 1).bit_length()

    @property
    def levels(self) -> int:
        """How many dz_levels there are."""
        return self.largest + 1

    def reduced(self, reduction: int) -> Size:
        """Pixels after `reduction` halvings."""
        return self.size.halved(reduction)

    def grid(self, reduction: int) -> Size:
        """Columns and rows after `reduction` halvings."""
        return self.reduced(reduction).ceil_div(Size(self.tile, self.tile))

    def extent(self, reduction: int, column: int, row: int) -> Size:
        """Pixels of one served tile: the tile size, less at the right and bottom edge."""
        size = self.reduced(reduction)
        return Size(min(self.tile, size.width - column * self.tile), min(self.tile, size.height - row * self.tile))

    def xml(self) -> str:
        """The `.dzi` descriptor."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<Image xmlns="{NAMESPACE}" Format="jpg" Overlap="0" TileSize="{self.tile}">'
            f'<Size Width="{self.size.width}" Height="{self.size.height}"/></Image>\n'
        )

    def json(self) -> str:
        """The same descriptor as JSON, the form OpenSeadragon takes."""
        image = {
            "xmlns": NAMESPACE,
            "Format": "jpg",
            "Overlap": "0",
            "TileSize": str(self.tile),
            "Size": {"Width": str(self.size.width), "Height": str(self.size.height)},
        }
        return json.dumps({"Image": image})
