"""`make bench`: what one slide costs, beside the peers, in one run.

    python -m benchmarks                 a generated 40 000 × 40 000 Aperio slide, every tile different
    python -m benchmarks --size 8192     quicker
    python -m benchmarks --tissue 0.3    as much tissue as a real slide has; the rest is glass with grain
    python -m benchmarks --no-serve      without the tile servers

`deidentify` (with its verification) is held against copying the slide, flushing it and checksumming both files;
`deidentify --pyramid` against `vips dzsave`. Everything starts as a fresh process with the slide in the page cache, and
nothing else left to be written; what takes a second or two is run three times, and the run of middle length counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import build, serve
from benchmarks.measure import Cost, cost_of, middle, say

BARS = {"wall": 10.0, "cpu": 8.0, "peak": 150.0}
"""Both steps together against dzsave, as ratios; peak in MiB."""


def main() -> None:
    """Measure, print the tables, and say which bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=40_000, help="side of the generated slide in pixels")
    parser.add_argument("--tissue", type=float, default=1.0, help="share of the generated slide that is tissue")
    parser.add_argument("--no-serve", action="store_true", help="leave the tile servers out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=Path.cwd() / "var" if Path("var").is_dir() else None
    ) as where:
        slide = build.generated(Path(where), options.size, options.tissue)
        os.sync()
        share, megabytes = f"{options.tissue:.0%} tissue", f"{slide.stat().st_size / 1e6:.0f} MB"
        print(f"slide: {options.size} × {options.size}, {share}, {megabytes}, every tile different\n")
        one_slide(slide, Path(where))
    if not options.no_serve:
        print()
        serve.main([])


def one_slide(slide: Path, folder: Path) -> None:
    """De-identification and pyramid beside their peers."""
    out = folder / "out"
    cli = [sys.executable, "-m", "coverslip"]
    common = ["-o", str(out), "--key-file", str(folder / "key")]
    copy = f"cp '{slide}' '{folder}/copy' && sync '{folder}/copy' && sha256sum '{slide}' '{folder}/copy'"

    def fresh(command: list[str]) -> Callable[[], Cost]:
        def run() -> Cost:
            shutil.rmtree(out, ignore_errors=True)
            return cost_of(command)

        return run

    def copying() -> Cost:
        (folder / "copy").unlink(missing_ok=True)
        return cost_of([shutil.which("sh") or "/bin/sh", "-c", copy])

    clean = middle(fresh([*cli, "deidentify", str(slide), *common]))
    made = next(out.glob("*.svs"))
    pyramid = cost_of([*cli, "pyramid", str(made)])
    made.with_suffix(".pyramid").unlink()
    complete = cost_of([*cli, "pyramid", "--complete", str(made)])
    both = middle(fresh([*cli, "deidentify", str(slide), "--pyramid", *common]))
    whole = middle(fresh([*cli, "deidentify", str(slide), "--complete", *common]))
    copied = middle(copying)
    peers = {name: cost_of(command) for name, command in build.contenders(slide, folder / "dz")}
    rows = {"coverslip deidentify": clean, "coverslip pyramid": pyramid, "both": both, "cp, sync, sha256sum": copied}
    rows |= {"coverslip pyramid --complete": complete, "both, complete": whole}
    print(f"{'':34}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}")
    for name, cost in (rows | peers).items():
        print(f"{name:34}{cost.wall:9.2f}{cost.cpu:9.2f}{cost.peak:10.0f}")
    print()
    verdicts(clean, both, copied, peers)
    print("\nEvery tile stored (`--complete`), where the default leaves some to be made on request:")
    against(whole, peers)


def verdicts(clean: Cost, both: Cost, copied: Cost, peers: dict[str, Cost]) -> None:
    """The ratios, each with its bar."""
    say("deidentify / (cp, sync, sha256sum), wall", clean.wall / copied.wall, 1.0)
    against(both, peers)
    say("peak of both, MiB", both.peak, BARS["peak"])


def against(ours: Cost, peers: dict[str, Cost]) -> None:
    """How much dearer each peer is."""
    for name, peer in peers.items():
        say(f"{name} / both, wall", peer.wall / ours.wall, BARS["wall"], more=True)
        say(f"{name} / both, CPU", peer.cpu / ours.cpu, BARS["cpu"], more=True)


if __name__ == "__main__":
    main()
