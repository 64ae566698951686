"""Kitware's large-image, which HistomicsUI and others serve tiles with: its TIFF reader, which hands stored JPEGs on.

python -m benchmarks.peers.large_image SLIDE PORT
"""

from __future__ import annotations

import sys

from large_image_source_tiff import TiffFileTileSource

from benchmarks.peers.decoding import QUALITY, Tile, serve


def tiles(slide: str) -> Tile:
    """Tiles of the geometry ours have; its levels begin where the whole slide is one tile."""
    source = TiffFileTileSource(slide, encoding="JPEG", jpegQuality=QUALITY)
    largest = (max(source.sizeX, source.sizeY) - 1).bit_length()
    below = largest - (source.levels - 1)

    def tile(level: int, column: int, row: int) -> bytes:
        return bytes(source.getTile(column, row, level - below))

    return tile


if __name__ == "__main__":
    serve(tiles(sys.argv[1]), int(sys.argv[2]))
