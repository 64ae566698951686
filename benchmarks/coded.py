"""Slides whose codec no browser shows: what a build costs, and how long the tiles take that it leaves out.

python -m benchmarks.coded                        generated slides of four kinds, 8192 × 8000
python -m benchmarks.coded --size 16384           larger
python -m benchmarks.coded SLIDE…                 your own
python -m benchmarks.coded --tissue REAL          the pixels of a real slide, as JPEG 2000 of four kinds
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import cost_of
from coverslip.geometry import Size
from coverslip.pyramid import Pyramid

ASKED = 200
"""Tiles of one level."""
_BUILD = (
    "import sys; from pathlib import Path; from coverslip.pyramid import build;"
    "build(Path(sys.argv[1]), Path(sys.argv[2]), complete=sys.argv[3] == 'complete')"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="*", type=Path)
    parser.add_argument("--size", type=int, default=8192, help="width of the generated slides in pixels")
    parser.add_argument("--tissue", type=Path, help="a slide whose first level becomes JPEG 2000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = recoded(Path(folder), options.tissue) if options.tissue else generated(Path(folder), options.size)
        for slide in options.slides or made:
            _build(slide, Path(folder))
            _ask(slide, Path(folder) / "sparse.pyramid")
            for index in Path(folder).glob("*.pyramid"):
                index.unlink()


def generated(folder: Path, width: int) -> Iterator[Path]:
    """One slide per codec, half tissue."""
    from samples import aperio, generic

    size = Size(width, width * 1000 // 1024)
    aperio.write(folder / "j2k.svs", size, codec="j2k-ycbcr", quality=46, identifiers=False)
    yield folder / "j2k.svs"
    generic.write(folder / "j2k-1.tiff", size, codec="j2k", quality=46, downsamples=(1,), identifiers=False)
    yield folder / "j2k-1.tiff"
    for codec in ("deflate", "lzw"):
        generic.write(folder / f"{codec}.tiff", size, codec=codec, downsamples=(1, 4), identifiers=False)
        yield folder / f"{codec}.tiff"


def recoded(folder: Path, slide: Path) -> Iterator[Path]:
    """A real slide's first level and one of a quarter of its side, as JPEG 2000 with tiles of two sizes."""
    import tifffile

    pixels = tifffile.imread(slide, key=0)
    for tile, decibels in ((256, 40), (256, 0), (512, 40), (512, 0)):
        path = folder / f"{tile} {f'{decibels} dB' if decibels else 'lossless'}.tiff"
        form: dict[str, Any] = {"tile": (tile, tile), "compression": "jpeg2000", "photometric": "rgb"}
        form["compressionargs"] = {"level": decibels, "reversible": not decibels}
        with tifffile.TiffWriter(path) as file:
            file.write(pixels, **form)
            file.write(np.ascontiguousarray(pixels[::4, ::4]), **form, subfiletype=1)
        yield path


def _build(slide: Path, folder: Path) -> None:
    length = slide.stat().st_size
    print(f"\n{slide.name}, {length / 1e6:.1f} MB")
    for kind in ("sparse", "complete"):
        index = folder / f"{kind}.pyramid"
        cost = cost_of([sys.executable, "-c", _BUILD, str(slide), str(index), kind])
        figures = f"{cost.wall:7.2f} s {cost.cpu:7.2f} s CPU {cost.peak:5.0f} MiB"
        print(f"  {kind:30}{figures} {index.stat().st_size / 1e6:8.2f} MB = {index.stat().st_size / length:.0%}")


def _ask(slide: Path, index: Path) -> None:
    """Time tiles on request, one after the other, level by level."""
    chance = random.Random(1)
    with Pyramid.open(slide, index) as pyramid:
        for dz_level in reversed(range(pyramid.dz_levels)):
            grid = pyramid.grid.grid(pyramid.grid.largest - dz_level)
            places = [(dz_level, column, row) for row in range(grid.height) for column in range(grid.width)]
            places = [place for place in places if pyramid.on_request(*place)]
            if places:
                taken = [_timed(pyramid, place) for place in chance.choices(places, k=ASKED)]
                usual, most = np.percentile(taken, (50, 95))
                print(f"  1/{1 << pyramid.grid.largest - dz_level} on request: p50 {usual:.1f} ms, p95 {most:.1f} ms")


def _timed(pyramid: Pyramid, place: tuple[int, int, int]) -> float:
    begin = time.perf_counter()
    pyramid.tile(*place)
    return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    main()
