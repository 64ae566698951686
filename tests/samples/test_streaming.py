"""Large slides need little memory, and no tile wins by repetition unless asked to."""

import subprocess
import sys

import pytest
import tifffile

from coverslip.geometry import Size
from samples import aperio

PEAK = """
import sys
from pathlib import Path
from coverslip.geometry import Size
from samples import aperio
aperio.write(Path(sys.argv[1]), Size(int(sys.argv[2]), 2048), tissue_share=0.3)
# Not ru_maxrss, which remembers the process this one was forked from.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def stored(path, page):
    with tifffile.TiffFile(path) as tiff:
        found = tiff.pages[page]
        for offset, length in zip(found.dataoffsets, found.databytecounts, strict=True):
            tiff.filehandle.seek(offset)
            yield tiff.filehandle.read(length)


def peak(path, width):
    run = subprocess.run([sys.executable, "-c", PEAK, path, str(width)], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat(tmp_path):
    """A slide as wide as 30 000 pixels stays below 200 MiB and near what a small one needs."""
    small, wide = peak(tmp_path / "small.svs", 2_000), peak(tmp_path / "wide.svs", 30_000)
    assert wide < 200
    assert wide - small < 30


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_every_tile_is_different(tmp_path, share):
    """Blank ones too: glass has grain."""
    planted = aperio.write(tmp_path / "x.svs", Size(6000, 3000), tissue_share=share, identifiers=False)
    tiles = list(stored(planted.path, 0))
    assert len(tiles) == 24 * 12
    assert len(set(tiles)) == len(tiles)


def test_blank_tiles_repeat_when_asked_to(tmp_path):
    """Then glass is one colour, and more than a third of the tiles are the same bytes."""
    planted = aperio.write(
        tmp_path / "x.svs", Size(6000, 3000), tissue_share=0.3, repeated_blank=True, identifiers=False
    )
    tiles = list(stored(planted.path, 0))
    assert max(tiles.count(tile) for tile in set(tiles)) > len(tiles) / 3


def test_tiles_are_as_full_as_real_ones(tmp_path):
    """Tissue tiles of 256 × 256 hold fifteen to twenty-five thousand bytes."""
    planted = aperio.write(tmp_path / "x.svs", Size(2560, 2560), tissue_share=1.0, identifiers=False)
    lengths = sorted(map(len, stored(planted.path, 0)))
    assert 15_000 < lengths[len(lengths) // 2] < 25_000
