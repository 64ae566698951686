"""Cost against size: slides of 1, 4 and 16 gigapixels, three tenths tissue, every tile different, and a plot.

    python -m benchmarks.growth                          a table, and docs/growth.png
    python -m benchmarks.growth --gigapixels 1 4         smaller
    python -m benchmarks.growth --folder /tmp/slides     keeps the generated slides there, and finds them again

De-identification and the pyramid, sparse and complete, beside `vips dzsave` of the pyvips-binary wheel into a folder
and into an SZI file. The system's vips, which reads through OpenSlide, and OpenSlide's own DeepZoomGenerator join up to
4 gigapixels: they take minutes.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import build
from benchmarks.measure import Cost, cost_of, middle

PLOT = Path(__file__).resolve().parent.parent / "docs" / "growth.png"
TISSUE = 0.3
SLOW_PEER_UP_TO = 4
"""Gigapixels."""
THRICE_UP_TO = 2
"""Gigapixels: what takes a second or two is run three times, and the run of middle length counts."""
_SZI = (
    "import sys, pyvips;"
    "pyvips.Image.new_from_file(sys.argv[1], access='sequential')"
    ".dzsave(sys.argv[2], tile_size=256, overlap=0, container='szi')"
)
Costs = dict[str, dict[float, Cost]]
"""What each contender cost, by gigapixels."""


def main() -> None:
    """Measure, print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigapixels", type=float, nargs="+", default=[1, 4, 16], help="sizes of the slides")
    parser.add_argument("--folder", type=Path, help="where the slides are kept")
    options = parser.parse_args()
    costs: Costs = {}
    print(f"{'':40}{'gigapixels':>12}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'bytes/slide':>13}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = options.folder or Path(name)
        for size in options.gigapixels:
            slide = kept(folder, size)
            for contender, cost, made in contest(slide, Path(name), size):
                costs.setdefault(contender, {})[size] = cost
                share = made / slide.stat().st_size
                print(
                    f"{contender:40}{size:12g}{cost.wall:9.2f}{cost.cpu:9.2f}{cost.peak:10.0f}{share:13.1%}", flush=True
                )
    plot(costs)


def kept(folder: Path, gigapixels: float) -> Path:
    """The generated slide of this size, made unless it is there."""
    path = folder / f"{gigapixels:g}.svs"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        build.generated(folder, 256 * round(math.sqrt(gigapixels * 1e9) / 256), TISSUE).rename(path)
    return path


def contest(slide: Path, folder: Path, gigapixels: float) -> Iterator[tuple[str, Cost, int]]:
    """Name, cost and bytes made of every contender."""
    shutil.copyfile(slide, "/dev/null")  # so that every contender finds the slide in the page cache
    out = folder / "out"
    cli, common = [sys.executable, "-m", "coverslip"], ["-o", str(out), "--key-file", str(folder / "key")]

    def fresh(command: list[str], made: Path) -> Cost:
        def run() -> Cost:
            shutil.rmtree(made, ignore_errors=True)
            made.unlink(missing_ok=True)
            os.sync()  # what is still to be written of a run before is not this one's cost
            return cost_of(command)

        return middle(run, 3 if gigapixels <= THRICE_UP_TO else 1)

    cost = fresh([*cli, "deidentify", str(slide), *common], out)
    clean = next(out.glob("*.svs"))
    yield "coverslip deidentify", cost, clean.stat().st_size
    pyramid = clean.with_suffix(".pyramid")
    for name, more in (("coverslip pyramid", ()), ("coverslip pyramid --complete", ("--complete",))):
        cost = fresh([*cli, "pyramid", str(clean), *more], pyramid)
        yield name, cost, pyramid.stat().st_size
        pyramid.unlink()
    shutil.rmtree(out)
    for tiles in ("--pyramid", "--complete"):
        cost = fresh([*cli, "deidentify", str(slide), *common, tiles], out)
        yield f"coverslip deidentify {tiles}", cost, sum(path.stat().st_size for path in out.iterdir())
        shutil.rmtree(out)
    for name, command in build.contenders(slide, folder / "dz"):
        if "OpenSlide" not in name or gigapixels <= SLOW_PEER_UP_TO:
            yield name, fresh(command, folder / "dz_files"), _bytes(folder / "dz_files")
            shutil.rmtree(folder / "dz_files")
    if gigapixels <= SLOW_PEER_UP_TO:
        cost = cost_of(build.deepzoom_generator(slide, folder / "generator"))
        yield "OpenSlide DeepZoomGenerator", cost, _bytes(folder / "generator" / "slide_files")
        shutil.rmtree(folder / "generator")
    archive = folder / "dz.szi"
    cost = cost_of([sys.executable, "-c", _SZI, str(slide), str(archive)])
    yield "dzsave to SZI, pyvips-binary", cost, archive.stat().st_size
    archive.unlink()


def _bytes(folder: Path) -> int:
    """What a peer made."""
    return sum(path.stat().st_size for path in folder.glob("*/*"))


def plot(costs: Costs) -> None:
    """CPU and peak memory against size, both on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, by_size in costs.items():
        sizes = list(by_size)
        style = "o-" if name.startswith("coverslip") else "s--"
        left.loglog(sizes, [cost.cpu for cost in by_size.values()], style, label=name)
        right.loglog(sizes, [cost.peak for cost in by_size.values()], style)
    left.set(title="CPU", xlabel="gigapixels", ylabel="seconds")
    right.set(title="peak memory", xlabel="gigapixels", ylabel="MiB")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    figure.savefig(PLOT, dpi=110)
    print(f"drawn: docs/{PLOT.name}")


if __name__ == "__main__":
    main()
