"""OpenSlide's DeepZoomGenerator writing every tile into a folder, on all cores: what its own example program does.

python -m benchmarks.peers.deepzoom_folder SLIDE FOLDER TILE
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

from benchmarks.peers.decoding import QUALITY

_opened: list[DeepZoomGenerator] = []


def write(slide: str, folder: Path, side: int) -> None:
    """The DZI folder of a slide: each process opens the slide once and takes rows of tiles."""
    generator = _generator(slide, side)
    rows = [(level, row) for level, (_, height) in enumerate(generator.level_tiles) for row in range(height)]
    for level in range(generator.level_count):
        (folder / f"slide_files/{level}").mkdir(parents=True)
    (folder / "slide.dzi").write_text(generator.get_dzi("jpeg"))
    with ProcessPoolExecutor(os.cpu_count(), initializer=_open, initargs=(slide, side)) as pool:
        for _ in pool.map(_row, *zip(*((str(folder), level, row) for level, row in rows), strict=True), chunksize=4):
            pass


def _generator(slide: str, side: int) -> DeepZoomGenerator:
    return DeepZoomGenerator(OpenSlide(slide), tile_size=side, overlap=0, limit_bounds=False)


def _open(slide: str, side: int) -> None:
    _opened.append(_generator(slide, side))


def _row(folder: str, level: int, row: int) -> None:
    for column in _columns(level):
        tile = _opened[0].get_tile(level, (column, row))
        tile.save(f"{folder}/slide_files/{level}/{column}_{row}.jpeg", quality=QUALITY)


def _columns(level: int) -> Iterator[int]:
    return iter(range(_opened[0].level_tiles[level][0]))


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
