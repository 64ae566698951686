"""The peer most people run: OpenSlide's DeepZoomGenerator.

python -m benchmarks.peers.openslide_deepzoom SLIDE PORT
"""

from __future__ import annotations

import io
import sys

from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

from benchmarks.peers.decoding import QUALITY, Tile, serve


def tiles(slide: str) -> Tile:
    """Tiles of the geometry ours have."""
    source = DeepZoomGenerator(OpenSlide(slide), tile_size=256, overlap=0, limit_bounds=False)

    def tile(level: int, column: int, row: int) -> bytes:
        target = io.BytesIO()
        source.get_tile(level, (column, row)).save(target, "jpeg", quality=QUALITY)
        return target.getvalue()

    return tile


if __name__ == "__main__":
    serve(tiles(sys.argv[1]), int(sys.argv[2]))
