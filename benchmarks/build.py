"""Building a pyramid, beside `vips dzsave` on the same slide in the same run.

    python -m benchmarks.build                        a generated 16 384 × 16 384 Aperio slide, every tile different
    python -m benchmarks.build --size 40000           larger
    python -m benchmarks.build --slide clean.svs      your own

`vips dzsave` is measured with every reader at hand: the pyvips-binary wheel reads the TIFF with libtiff, the `vips` of
the operating system reads it as a slide through OpenSlide. Both write the tile size and overlap we serve.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, cost_of
from coverslip.geometry import Size

_BUILD = (
    "import sys; from pathlib import Path; from coverslip.pyramid import build;"
    "build(Path(sys.argv[1]), Path(sys.argv[2]), complete=sys.argv[3] == 'complete')"
)
_WHEEL = (
    "import sys, pyvips;"
    "pyvips.Image.new_from_file(sys.argv[1], access='sequential')"
    ".dzsave(sys.argv[2], tile_size=int(sys.argv[3]), overlap=0)"
)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=16384, help="side of the generated slide in pixels")
    parser.add_argument("--slide", type=Path, help="a tiled slide instead of a generated one")
    parser.add_argument("--tissue", type=float, default=1.0, help="share of the generated slide that is tissue")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        slide = options.slide or generated(Path(folder), options.size, options.tissue)
        _table(slide, Path(folder))


def generated(folder: Path, side: int, tissue: float) -> Path:
    """An Aperio slide whose tiles all differ, so that nothing wins by repetition."""
    from samples import aperio

    path = folder / "slide.svs"
    aperio.write(path, Size(side, side), identifiers=False, tissue_share=tissue)
    return path


def _table(slide: Path, folder: Path) -> None:
    shutil.copyfile(slide, os.devnull)  # so that every contender finds the slide in the page cache
    length = slide.stat().st_size
    print(f"{'':34}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'bytes/slide':>13}{'files':>8}")
    ours = {kind: _ours(slide, folder / f"{kind}.pyramid", kind) for kind in ("sparse", "complete")}
    for name, command in contenders(slide, folder / "dz"):
        cost = cost_of(command)
        tiles = [path.stat().st_size for path in folder.glob("dz_files/*/*")]
        _line(name, cost, sum(tiles) / length, len(tiles))
        for kind, own in ours.items():
            print(f"{f'  {kind}: we need':34}{f'1/{cost.wall / own.wall:.1f}':>9}{f'1/{cost.cpu / own.cpu:.1f}':>9}")
        shutil.rmtree(folder / "dz_files")
        (folder / "dz.dzi").unlink()


def _ours(slide: Path, pyramid: Path, kind: str) -> Cost:
    cost = cost_of([sys.executable, "-c", _BUILD, str(slide), str(pyramid), kind])
    _line(f"coverslip pyramid, {kind}", cost, pyramid.stat().st_size / slide.stat().st_size, 1)
    return cost


def contenders(slide: Path, target: Path) -> list[tuple[str, list[str]]]:
    """`vips dzsave` with every reader at hand: a name and a command each."""
    from coverslip.pyramid.scene import scene_of
    from coverslip.tiff.structure import open_tiff

    tile = str(scene_of(open_tiff(slide)).source(0).zoom.tile)
    found = [("dzsave, pyvips-binary (libtiff)", [sys.executable, "-c", _WHEEL, str(slide), str(target), tile])]
    vips = shutil.which("vips")
    if vips:
        command = [vips, "dzsave", str(slide), str(target), "--tile-size", tile, "--overlap", "0"]
        found.append(("dzsave, system vips (OpenSlide)", command))
    return found


def deepzoom_generator(slide: Path, folder: Path, tile: int = 256) -> list[str]:
    """OpenSlide's own generator on all cores, into a folder that is not there yet."""
    return [sys.executable, "-m", "benchmarks.peers.deepzoom_folder", str(slide), str(folder), str(tile)]


def _line(name: str, cost: Cost, share: float, files: int) -> None:
    print(f"{name:34}{cost.wall:9.2f}{cost.cpu:9.2f}{cost.peak:10.0f}{share:12.0%} {files:8}")


if __name__ == "__main__":
    main()
