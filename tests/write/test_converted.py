"""Converted slides: what other readers see in them, and that nothing else is in them."""

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile

from coverslip import durable
from coverslip.codestreams import icc
from coverslip.errors import Cancelled, DamagedSlide, OutputExists, StorageFailed, StorageFull
from coverslip.formats.converted import READER, ConvertedSlide
from coverslip.geometry import Mpp, Point, Region, Size
from coverslip.progress import Stage
from coverslip.slide import Level, SlideFacts
from coverslip.verify.ledger import check_ledger
from coverslip.verify.pages import pictures
from coverslip.verify.reading import Bytes
from coverslip.verify.tiff_walk import walk
from coverslip.write import converted
from coverslip.write.converted import write_converted
from samples import mirax

Real = Callable[[str], Path]
SLIDES = ["hamamatsu/test3-DAPI.ndpi", "dicom/pyramid-6-levels", "dicom/cmu-1-small-region", "mirax"]
TAGS = {254, 256, 257, 258, 259, 262, 277, 282, 283, 284, 296, 322, 323, 324, 325, 347, 530, 532}
NUMBER = re.compile(rb"[\s\d.,+-]*")


@dataclass(frozen=True)
class Made:
    """A source and what was made of it."""

    slide: ConvertedSlide
    clean: Path


@pytest.fixture(scope="module", params=SLIDES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, real_slide: Real) -> Made:
    """Every kind of slide at hand, converted once."""
    folder = tmp_path_factory.mktemp("converted")
    synthetic = request.param == "mirax"
    source = mirax.write(folder, columns=5, rows=4).path if synthetic else real_slide(request.param)
    slide = READER.open(source)
    write_converted(slide, folder / "clean.tiff")
    return Made(slide, folder / "clean.tiff")


def test_openslide_reads_the_same_facts(made: Made) -> None:
    """Levels have the source's sizes; MPP agrees to a millionth; nobody mistakes the file for a vendor's."""
    with openslide.OpenSlide(made.clean) as clean:
        facts = made.slide.facts
        assert clean.properties["openslide.vendor"] == "generic-tiff"
        assert clean.level_dimensions == tuple((level.size.width, level.size.height) for level in facts.levels)
        assert clean.level_downsamples == pytest.approx([level.downsample for level in facts.levels], rel=1e-9)
        assert facts.mpp is not None
        assert float(clean.properties["openslide.mpp-x"]) == pytest.approx(facts.mpp.x, rel=1e-6)
        assert float(clean.properties["openslide.mpp-y"]) == pytest.approx(facts.mpp.y, rel=1e-6)
        assert not clean.associated_images


def test_pixels_are_the_sources_within_jpeg_tolerance(made: Made) -> None:
    """Every level, its first megapixel: at least 32 dB and a mean difference below one and a half grey values."""
    with openslide.OpenSlide(made.clean) as clean, openslide.OpenSlide(made.slide.files[0]) as source:
        for level, (width, height) in enumerate(clean.level_dimensions):
            size = (min(width, 1000), min(height, 800))
            ours, theirs = (
                np.asarray(s.read_region((0, 0), level, size).convert("RGB"), float) for s in (clean, source)
            )
            squared = np.mean((ours - theirs) ** 2)
            assert squared == 0 or 10 * np.log10(255**2 / squared) >= 32
            assert np.abs(ours - theirs).mean() < 1.5


def test_far_corner_is_in_its_place(made: Made) -> None:
    """The last pixels of each level are the source's last pixels, to within what JPEG does."""
    with tifffile.TiffFile(made.clean) as tiff:
        for number, (level, page) in enumerate(zip(made.slide.facts.levels, tiff.pages, strict=True)):
            size = Size(min(level.size.width, 64), min(level.size.height, 64))
            at = Point(level.size.width - size.width, level.size.height - size.height)
            last = page.asarray()[at.y :, at.x :].astype(int)
            assert np.abs(last - made.slide.read(number, Region(at, size))).mean() < 4


def test_tifffile_sees_one_pyramid(made: Made) -> None:
    """A second library finds one series with all levels, whatever it thinks of the vendor."""
    with tifffile.TiffFile(made.clean) as tiff:
        assert len(tiff.series) == 1
        assert len(tiff.series[0].levels) == len(made.slide.facts.levels)
        assert tiff.is_bigtiff
        assert not tiff.is_svs


def test_only_the_listed_tags_are_there(made: Made) -> None:
    """Structure, resolution, and one line of numbers on the first page."""
    with tifffile.TiffFile(made.clean) as tiff:
        for number, page in enumerate(tiff.pages):
            codes = {tag.code for tag in page.tags}
            assert codes == TAGS | ({270} if number == 0 else set())
            assert page.subfiletype == (1 if number else 0)
            assert (page.tilewidth, page.tilelength) == (256, 256)
        line = tiff.pages[0].description
    assert re.fullmatch(r"coverslip 1(\|(AppMag|MPP( [XY])?) = [\d.]+)*(\|Background = [0-9A-F]{6})?", line)


def test_no_value_of_the_source_is_in_the_file(made: Made) -> None:
    """Whatever the inventory saw that is not a plain number is gone, as text and as UTF-16."""
    raw = made.clean.read_bytes()
    values = {e.untrusted_value for e in made.slide.inventory() if not e.path.startswith("facts/")}
    sought = [value for value in values if len(value) >= 6 and not NUMBER.fullmatch(value) and value.strip(b"\0")]
    assert len(sought) > 10
    assert [value for value in sought if value != b"FFFFFF" and (value in raw or _wide(value) in raw)] == []


def _wide(value: bytes) -> bytes:
    return value.decode("latin-1").encode("utf-16-le")


def test_tiles_are_bare_jpeg(made: Made) -> None:
    """No application or comment segment in any tile, nor a table: those are shared."""
    raw = made.clean.read_bytes()
    with tifffile.TiffFile(made.clean) as tiff:
        for page in tiff.pages:
            for at, length in zip(page.dataoffsets, page.databytecounts, strict=True):
                tile = raw[at : at + length]
                assert tile[:4] == b"\xff\xd8\xff\xc0"
                assert tile[21:23] == b"\xff\xda"
                assert tile.endswith(b"\xff\xd9")


def test_every_byte_has_an_owner(made: Made) -> None:
    """The file is header, tiles, directories and their values; nothing lies between."""
    with Bytes(made.clean) as file:
        tiff = walk(file)
        ledger, findings = check_ledger(file, tiff, pictures(file, tiff))
    assert sum(ledger.owned.values()) == made.clean.stat().st_size
    assert not findings


def test_twice_gives_the_same_bytes(made: Made, tmp_path: Path) -> None:
    """Threads finish in any order; the file does not show it."""
    write_converted(made.slide, tmp_path / "again.tiff")
    assert (tmp_path / "again.tiff").read_bytes() == made.clean.read_bytes()


class Painted:
    """A slide that is painted on demand: any size, and it counts."""

    def __init__(self, size: Size, *, mpp: Mpp | None = Mpp(0.25, 0.25), scanned: int = 1 << 30) -> None:
        levels = tuple(
            Level(Size(size.width >> by, size.height >> by), Size(256, 256), float(1 << by)) for by in (0, 2)
        )
        self.facts = SlideFacts("painted", "painted", levels, mpp, 40.0, "F0F0F0")
        self.scanned = scanned

    def read(self, level: int, region: Region) -> Any:
        """Noise down to row `scanned`, background below."""
        rows = np.arange(region.origin.y, region.origin.y + region.size.height)
        columns = np.arange(region.origin.x, region.origin.x + region.size.width)
        grey = (rows[:, None] * 7 + columns[None] * 3) % 200
        pixels = np.repeat(grey[..., None], 3, 2).astype(np.uint8)
        pixels[rows >= self.scanned] = 240
        return pixels


@pytest.mark.parametrize(
    "mpp", [Mpp(0.2, 0.3), Mpp(0.5, 0.5), Mpp(0.2281750559028887, 0.9711895910799999), Mpp(1 / 3, 12.5)]
)
def test_resolution_reads_back(tmp_path: Path, mpp: Mpp) -> None:
    """Any resolution, and different ones in x and y, come back to a millionth."""
    write_converted(Painted(Size(600, 300), mpp=mpp), tmp_path / "clean.tiff")
    with openslide.OpenSlide(tmp_path / "clean.tiff") as clean:
        assert float(clean.properties["openslide.mpp-x"]) == pytest.approx(mpp.x, rel=1e-6)
        assert float(clean.properties["openslide.mpp-y"]) == pytest.approx(mpp.y, rel=1e-6)


def test_unknown_resolution_stays_unknown(tmp_path: Path) -> None:
    """Nothing is invented where the source says nothing."""
    write_converted(Painted(Size(600, 300), mpp=None), tmp_path / "clean.tiff")
    with openslide.OpenSlide(tmp_path / "clean.tiff") as clean:
        assert "openslide.mpp-x" not in clean.properties
        assert clean.properties["tiff.ImageDescription"] == "coverslip 1|AppMag = 40|Background = F0F0F0"


def test_unscanned_tiles_are_stored_once(tmp_path: Path) -> None:
    """All tiles of one colour share their bytes, across levels too."""
    write_converted(Painted(Size(4608, 4608), scanned=256), tmp_path / "clean.tiff")
    with tifffile.TiffFile(tmp_path / "clean.tiff") as tiff:
        base, reduced = tiff.pages
        assert len(set(base.dataoffsets)) == 19
        assert set(base.dataoffsets) & set(reduced.dataoffsets)
        assert (base.asarray()[256:] == 240).all()


def test_profile_is_written_when_given(real_slide: Real, tmp_path: Path) -> None:
    """A profile written anew travels with every level, and OpenSlide finds it."""
    with READER.open(real_slide("dicom/cmu-1-small-region")) as slide:
        profile = icc.clean(icc.parse(slide.icc_profile()))
        write_converted(slide, tmp_path / "clean.tiff", icc=profile)
    with tifffile.TiffFile(tmp_path / "clean.tiff") as tiff:
        assert all(page.tags[34675].value == profile for page in tiff.pages)


def test_progress_grows_to_one(tmp_path: Path) -> None:
    """Whoever watches sees a share that never falls."""
    seen: list[float] = []
    write_converted(Painted(Size(3000, 3000)), tmp_path / "clean.tiff", progress=lambda _, done: seen.append(done))
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] == 1.0


def test_cancelled_work_leaves_nothing(tmp_path: Path) -> None:
    """Stopping in the middle takes the half-written file away."""

    def stop(stage: Stage, done: float) -> None:
        if done > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_converted(Painted(Size(4000, 4000)), tmp_path / "clean.tiff", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_pixels_leave_nothing(tmp_path: Path) -> None:
    """Damage found by a worker thread arrives as it is, and no file stays."""

    class Broken(Painted):
        def read(self, level: int, region: Region) -> Any:
            if region.origin.y:
                raise DamagedSlide("no such pixels", where=f"level[{level}]")
            return super().read(level, region)

    with pytest.raises(DamagedSlide):
        write_converted(Broken(Size(3000, 3000)), tmp_path / "clean.tiff")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """What already has the name stays as it is."""
    (tmp_path / "clean.tiff").write_text("mine")
    with pytest.raises(OutputExists):
        write_converted(Painted(Size(300, 300)), tmp_path / "clean.tiff")
    assert (tmp_path / "clean.tiff").read_text() == "mine"


def test_storage_errors_are_ours(tmp_path: Path) -> None:
    """No folder and no room have codes of their own, and no path in their words."""
    with pytest.raises(StorageFailed) as caught:
        write_converted(Painted(Size(300, 300)), tmp_path / "absent" / "clean.tiff")
    assert "absent" not in str(caught.value)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret")
    with pytest.raises(StorageFull), converted._fresh(tmp_path / "clean.tiff"):
        raise full
    assert list(tmp_path.iterdir()) == []


def test_a_failed_fsync_puts_all_storage_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of every other file we write; what could not be made to last is gone."""

    def fails(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageFailed):
        write_converted(Painted(Size(300, 300)), tmp_path / "clean.tiff")
    assert durable.is_in_doubt()
    assert list(tmp_path.iterdir()) == []


def test_readers_do_not_run_ahead_of_a_slow_disk(tmp_path: Path) -> None:
    """Blocks under way are few however slowly they are written, so memory does not depend on the slide's size."""
    ahead: list[int] = []

    class Counting(Painted):
        started = 0

        def read(self, level: int, region: Region) -> Any:
            self.started += 1
            return super().read(level, region)

    slide = Counting(Size(6144, 4096), scanned=0)

    def slowly(stage: Stage, done: float) -> None:
        time.sleep(0 if ahead else 2)
        ahead.append(slide.started - len(ahead))

    write_converted(slide, tmp_path / "clean.tiff", progress=slowly)
    assert slide.started > 24
    assert max(ahead) <= converted.MAX_WORKERS + 2


MEASURE = """
import sys
from pathlib import Path
import psutil
from coverslip.geometry import Size
from coverslip.write.converted import write_converted
from tests.write.test_converted import Painted
process, folder, peaks = psutil.Process(), Path(sys.argv[1]), []
write_converted(Painted(Size(2000, 2000)), folder / "small.tiff")
before = process.memory_info().rss
look = lambda *_: peaks.append(process.memory_info().rss)
write_converted(Painted(Size(8000, 8000)), folder / "large.tiff", progress=look)
print(max(peaks) - before)
"""


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Sixteen times the pixels cost no more memory than what is under way at once.

    In a process of its own: what others left in this one's heap decides what the system sees of it.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    grown = subprocess.check_output([sys.executable, "-c", MEASURE, str(tmp_path)], env=environment)
    assert int(grown) < 60 << 20
