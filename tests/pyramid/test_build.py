"""What a build promises besides pixels: same bytes every time, one name or none, little memory, blanks once."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from coverslip.errors import (
    Cancelled,
    DamagedSlide,
    OutputExists,
    PyramidInvalid,
    StorageFailed,
    UnsupportedSlide,
)
from coverslip.progress import Stage
from coverslip.pyramid import Pyramid, build, check
from coverslip.pyramid import pixels as pixel_work


@pytest.fixture
def slide(generated):
    """A small Aperio slide with edges on every level."""
    return generated("aperio", 1537, 1283, tile=240, quality=70)


def test_the_same_slide_gives_the_same_bytes_whatever_the_workers(slide, tmp_path):
    """Threads race, the file does not show it."""
    made = []
    for workers in (1, 2, 5):
        target = tmp_path / f"{workers}.pyramid"
        build(slide, target, workers=workers)
        made.append(target.read_bytes())
    assert made[0] == made[1] == made[2]


def test_the_summary_counts_what_is_there(slide, built):
    """Stored and derived tiles add up, and the levels the slide holds are counted."""
    pyramid, summary = built(slide)
    zoom = pyramid.grid
    assert summary.on_request_tiles == (1537 // 480) * (1283 // 480)
    every = sum(zoom.grid(reduction).area for reduction in range(zoom.levels))
    assert summary.stored_tiles + summary.derived_tiles + summary.on_request_tiles == every
    assert summary.stored_levels == 3
    assert (
        summary.stored_tiles == (1537 // 240) * (1283 // 240) + 1
    )  # whole tiles of level 0 and of the level 4 times smaller
    assert summary.version == pyramid.version


def every_tile(pyramid):
    """Address and bytes of all tiles."""
    for dz_level in range(pyramid.dz_levels):
        grid = pyramid.grid.grid(pyramid.grid.largest - dz_level)
        for row in range(grid.height):
            for column in range(grid.width):
                yield (dz_level, column, row), pyramid.tile(dz_level, column, row)


@pytest.mark.parametrize("size", [(1537, 1283), (960, 960), (1439, 481)])
def test_a_tile_made_on_request_is_the_tile_a_complete_build_stores(generated, built, size):
    """Byte for byte, at every address; and the index that leaves them out is the smaller one."""
    slide = generated("aperio", *size, tile=240, quality=70)
    sparse, left_out = built(slide)
    complete, stored = built(slide, complete=True)
    assert dict(every_tile(sparse)) == dict(every_tile(complete))
    assert stored.on_request_tiles == 0 < left_out.on_request_tiles
    assert left_out.pyramid_bytes < stored.pyramid_bytes
    assert sparse.version != complete.version


def test_a_slide_with_one_level_keeps_all_its_tiles(generated, built):
    """Its second level is needed for the third, so nothing is saved by leaving it out."""
    assert built(generated("generic", 1000, 900, downsamples=(1,)))[1].on_request_tiles == 0


def test_a_tile_on_request_of_a_damaged_one_is_a_typed_error(slide, tmp_path):
    """The error names the tile, and every other tile is served."""
    broken = tmp_path / "broken.svs"
    raw = bytearray(slide.read_bytes())
    with tifffile.TiffFile(slide) as file:
        at = file.pages[0].dataoffsets[0]
    raw[at + 2 : at + 42] = bytes(40)
    broken.write_bytes(raw)
    build(slide, tmp_path / "a.pyramid")
    with Pyramid.open(broken, tmp_path / "a.pyramid") as pyramid:
        below = pyramid.grid.largest - 1
        with pytest.raises(PyramidInvalid) as caught:
            pyramid.tile(below, 0, 0)
        assert caught.value.where == f"tile {below}/0/0"
        assert pyramid.tile(below, 1, 1)


def test_an_rgb_slide_is_served_with_an_adobe_marker(slide, built):
    """Without it every decoder takes red, green and blue for luma and chroma."""
    pyramid, _ = built(slide)
    tile = pyramid.tile(pyramid.grid.largest, 0, 0)
    assert tile[:2] == b"\xff\xd8"
    assert tile[2:4] == b"\xff\xee"
    assert tile[6:11] == b"Adobe"
    assert tile[17] == 0


def test_a_stored_tile_is_the_slides_own_scan(slide, built):
    """Everything after the header is the stored tile without its SOI, byte for byte."""
    pyramid, _ = built(slide)
    with tifffile.TiffFile(slide) as file:
        page = file.pages[0]
        file.filehandle.seek(page.dataoffsets[0])
        stored = file.filehandle.read(page.databytecounts[0])
    assert pyramid.stored(pyramid.grid.largest, 0, 0)
    assert pyramid.tile(pyramid.grid.largest, 0, 0).endswith(stored[2:])


def test_blank_tiles_are_decoded_and_stored_once(generated, tmp_path, monkeypatch):
    """Bit-identical glass costs one decode and one derived tile per level, however much of it there is."""
    decoded = []
    original = pixel_work.simplejpeg.decode_jpeg
    monkeypatch.setattr(
        pixel_work.simplejpeg, "decode_jpeg", lambda jpeg, *a, **k: decoded.append(jpeg) or original(jpeg, *a, **k)
    )
    glass = generated("generic", 2048, 2048, tile=256, downsamples=(1,), tissue_share=0.0, repeated_blank=True)
    summary = build(glass, tmp_path / "glass.pyramid", workers=1)
    assert len(set(decoded)) == len(decoded)
    assert summary.distinct_tiles <= summary.dz_levels


def test_tiles_never_written_are_served_as_white(tmp_path, built, pixels_of):
    """A byte count of zero is a sparse tile: empty glass, stored once, derived as glass."""
    page = np.full((512, 512, 3), 90, np.uint8)
    path = tmp_path / "sparse.tiff"
    tifffile.imwrite(path, page, tile=(128, 128), compression="jpeg", photometric="rgb", compressionargs={"level": 90})
    with tifffile.TiffFile(path) as file:
        counts = file.pages[0].tags["TileByteCounts"]
        sparse = list(file.pages[0].databytecounts)
        at, size = counts.valueoffset, counts.dtype
    sparse[5] = sparse[10] = 0
    with path.open("r+b") as file:
        file.seek(at)
        file.write(np.array(sparse, f"<u{ {3: 2, 4: 4, 16: 8}[int(size)] }").tobytes())
    pyramid, _ = built(path)
    assert (pixels_of(pyramid.tile(9, 1, 1)) == 255).all()
    assert pyramid.tile(9, 1, 1) == pyramid.tile(9, 2, 2)
    assert (pixels_of(pyramid.tile(8, 0, 0))[70:120, 70:120] > 250).all()
    assert (pixels_of(pyramid.tile(8, 0, 0))[:50, :50] < 100).all()


def test_nothing_is_overwritten(slide, tmp_path):
    """A name that is taken stays as it is."""
    target = tmp_path / "taken"
    target.write_bytes(b"mine")
    with pytest.raises(OutputExists):
        build(slide, target)
    assert target.read_bytes() == b"mine"


def test_a_cancelled_build_leaves_nothing_behind(slide, tmp_path):
    """`Cancelled` out of progress stops the work; no half file, no temporary one."""
    seen = []

    def stop(stage, done):
        seen.append((stage, done))
        if len(seen) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        build(slide, tmp_path / "never.pyramid", progress=stop)
    assert len(seen) == 3
    assert list(tmp_path.iterdir()) == []


def test_progress_rises_to_one(slide, tmp_path):
    """Every report is at least the one before, and the last is 1."""
    seen = []
    build(slide, tmp_path / "a.pyramid", progress=lambda stage, done: seen.append((stage, done)))
    assert {stage for stage, _ in seen} == {Stage.PYRAMID}
    shares = [done for _, done in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_damaged_tile_stops_the_build(slide, tmp_path):
    """Bytes that are no JPEG any more are the slide's fault, and leave nothing."""
    broken = tmp_path / "broken.svs"
    raw = bytearray(slide.read_bytes())
    with tifffile.TiffFile(slide) as file:
        at = file.pages[0].dataoffsets[3]
    raw[at : at + 40] = bytes(40)
    broken.write_bytes(raw)
    with pytest.raises(DamagedSlide) as caught:
        build(broken, tmp_path / "never.pyramid", complete=True)
    assert caught.value.where == "ifd[0]"
    assert [path.name for path in tmp_path.iterdir()] == ["broken.svs"]


def test_a_slide_in_strips_is_refused(tmp_path):
    """No tiles, no index: the converted route comes first."""
    path = tmp_path / "strips.tiff"
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    with pytest.raises(UnsupportedSlide):
        build(path, tmp_path / "never.pyramid")


def test_a_folder_that_is_not_there_is_a_storage_error(slide, tmp_path):
    """Our own files' troubles have a name of their own."""
    with pytest.raises(StorageFailed):
        build(slide, tmp_path / "nowhere" / "a.pyramid")


def test_the_digest_of_the_caller_is_taken(slide, tmp_path):
    """The verifier has hashed the slide already; a wrong digest is found by `check`."""
    import hashlib

    right = hashlib.sha256(slide.read_bytes()).digest()
    build(slide, tmp_path / "own.pyramid")
    build(slide, tmp_path / "given.pyramid", slide_digest=right)
    assert (tmp_path / "own.pyramid").read_bytes() == (tmp_path / "given.pyramid").read_bytes()
    with Pyramid.open(slide, tmp_path / "own.pyramid") as pyramid:
        assert pyramid.slide_digest == right
    check(slide, tmp_path / "own.pyramid")


_MEASURE = """
import re, sys
from pathlib import Path
import coverslip.pyramid
if sys.argv[1] == "build":
    coverslip.pyramid.build(Path(sys.argv[2]), Path(sys.argv[3]), workers=2)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def _peak(*arguments):
    """MiB. Not `ru_maxrss`: that begins with the memory of whoever forked."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, arguments)], env=environment, capture_output=True, check=True
    )
    return int(done.stdout) / 1024


def test_memory_does_not_grow_with_the_slide(generated, tmp_path):
    """Sixteen times the pixels, the same peak; and little above an interpreter that has only imported the package."""
    idle = _peak("idle")
    peaks = []
    for side in (768, 3072):
        slide = generated("aperio", side, side, downsamples=(1,))
        peaks.append(_peak("build", slide, tmp_path / f"{side}.pyramid"))
    assert peaks[1] - idle < 40
    assert peaks[1] - peaks[0] < 15


@pytest.mark.parametrize(("source", "derived"), [(40, 70), (76, 76), (95, 80)])
def test_derived_tiles_are_as_good_as_the_source_within_bounds(generated, built, source, derived):
    """The source's quality is read off its quantisation table; ours follows it between 70 and 80, or as told."""
    slide = generated("aperio", 500, 300, tile=240, quality=source, downsamples=(1,))
    assert built(slide)[1].quality == derived
    assert built(slide, quality=33)[1].quality == 33
