"""Slides read through OpenSlide: facts, pixels, refusals."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest

from coverslip.errors import CoverslipError, DamagedSlide, InputError, LimitExceeded, NotOneSlide, UnsupportedSlide
from coverslip.formats.contract import Probe
from coverslip.formats.converted import READER, ConvertedSlide
from coverslip.formats.landing import REACH, TOLERANCE, entry, error
from coverslip.geometry import Mpp, Point, Region, Size
from coverslip.slide import Route
from coverslip.write.cuts import blocks
from samples import leica, mirax

Real = Callable[[str], Path]
NDPI = "hamamatsu/test3-DAPI.ndpi"
PYRAMID = "dicom/pyramid-6-levels"
REGION = "dicom/cmu-1-small-region"


@pytest.fixture(scope="module")
def miraxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MIRAX slide."""
    return mirax.write(tmp_path_factory.mktemp("mirax")).path


@pytest.fixture
def ndpi(real_slide: Real) -> ConvertedSlide:
    """The real NDPI, open."""
    return READER.open(real_slide(NDPI))


def test_facts_of_ndpi(ndpi: ConvertedSlide) -> None:
    """Vendor, levels, MPP and magnification are what OpenSlide says."""
    facts = ndpi.facts
    assert (facts.vendor, facts.container, ndpi.route) == ("hamamatsu", "hamamatsu", Route.CONVERTED)
    assert facts.size == Size(3968, 4864)
    assert [level.downsample for level in facts.levels] == [1, 2, 4, 8, 16, 32, 64]
    assert facts.mpp == Mpp(0.2281750559028887, 0.2281750559028887)
    assert facts.magnification == 40
    assert facts.background is None


def test_facts_of_mirax(miraxed: Path) -> None:
    """A slide that states its background keeps it."""
    with READER.open(miraxed) as slide:
        assert slide.facts.vendor == "mirax"
        assert slide.facts.background == "FFFFFF"
        assert slide.facts.magnification == 20


def test_dicom_by_folder_and_by_any_instance(real_slide: Real) -> None:
    """A series opens the same through its folder and through each of its files."""
    folder = real_slide(PYRAMID)
    facts = {READER.open(place).facts for place in (folder, *sorted(folder.iterdir()))}
    assert len(facts) == 1
    assert [level.size.width for level in facts.pop().levels] == [9385, 4692, 2346, 1173, 586, 293]


def test_folder_with_two_series_is_refused(real_slide: Real, tmp_path: Path) -> None:
    """Nobody guesses which of two slides was meant."""
    for number, folder in enumerate((PYRAMID, REGION)):
        shutil.copy(min(real_slide(folder).iterdir(), key=lambda file: file.stat().st_size), tmp_path / f"{number}.dcm")
    with pytest.raises(NotOneSlide):
        READER.open(tmp_path)


@pytest.mark.parametrize("name", [NDPI, PYRAMID, REGION])
def test_detects(real_slide: Real, name: str) -> None:
    """What OpenSlide reads and nobody else takes is taken."""
    assert READER.detect(Probe(real_slide(name), b"")) is None


@pytest.mark.parametrize("name", ["aperio/CMU-1-Small-Region.svs", "generic-tiff/CMU-0-small.tiff"])
def test_leaves_slides_to_their_own_readers(real_slide: Real, name: str) -> None:
    """What has a reader of its own is declined, with the reason."""
    why = READER.detect(Probe(real_slide(name), b""))
    assert why is not None
    assert "own" in why


def test_declines_what_openslide_does_not_know(tmp_path: Path) -> None:
    """A text file and an empty folder are declined, and opening them says unsupported."""
    text = tmp_path / "notes.txt"
    text.write_text("nothing to see")
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (text, empty, tmp_path / "absent.ndpi"):
        assert READER.detect(Probe(place, b"")) is not None
        with pytest.raises(UnsupportedSlide):
            READER.open(place)


def test_reads_what_openslide_reads(ndpi: ConvertedSlide) -> None:
    """Pixels are OpenSlide's on every level where the downsample is whole."""
    with openslide.OpenSlide(ndpi.path) as oracle:
        for level, facts in enumerate(ndpi.facts.levels):
            at = Point(facts.size.width // 3, facts.size.height // 3)
            size = Size(min(200, facts.size.width - at.x), min(100, facts.size.height - at.y))
            place = (round(at.x * facts.downsample), round(at.y * facts.downsample))
            expected = np.asarray(oracle.read_region(place, level, (size.width, size.height)).convert("RGB"))
            assert np.array_equal(ndpi.read(level, Region(at, size)), expected)


def test_reads_stored_pixels_where_the_downsample_is_no_whole_number(real_slide: Real) -> None:
    """A plain OpenSlide read is resampled by up to an eighth of a pixel there; the writer's blocks are not."""
    with READER.open(real_slide(PYRAMID)) as slide, openslide.OpenSlide(slide._entry) as oracle:
        level = slide.facts.levels[2]
        stored = np.asarray(oracle.read_region((0, 0), 2, oracle.level_dimensions[2]).convert("RGB")).astype(int)
        for block in blocks(level):
            at, size = block.origin, block.size
            expected = stored[at.y : at.y + size.height, at.x : at.x + size.width]
            assert np.abs(slide.read(2, block) - expected).max() <= 2
        place = (round(1352 * level.downsample), 0)
        plain = np.asarray(oracle.read_region(place, 2, (256, 900)).convert("RGB"))
        assert np.abs(plain - stored[:900, 1352:1608]).max() > 10


@pytest.mark.parametrize("downsample", [1.0, 2.0, 2.0003749486912317, 3.97, 4.001824299513856, 16.04])
def test_entries_lie_before_and_land(downsample: float) -> None:
    """A read never begins after the wanted pixel, nor further before than it may; whole downsamples cost nothing."""
    for at in (0, 1, 255, 256, 2048, 9999):
        found = entry(at, downsample)
        assert max(0, at - REACH) <= found <= at
        reach = np.arange(max(0, at - REACH), at + 1)
        assert error(np.array([found]), downsample)[0] <= max(TOLERANCE, error(reach, downsample).min())
        assert downsample != int(downsample) or found == at


def test_unscanned_area_has_the_background_colour(miraxed: Path) -> None:
    """Outside the scan OpenSlide is transparent; the slide's background stands there, not black."""
    with READER.open(miraxed) as slide:
        beyond = Region(Point(slide.facts.size.width + 10, 0), Size(8, 8))
        assert (slide.read(0, beyond) == 255).all()


def test_threads_read_the_same_pixels(ndpi: ConvertedSlide) -> None:
    """Reads from several threads give what one thread reads."""
    regions = [Region(Point(x, y), Size(300, 300)) for x in range(0, 3600, 900) for y in range(0, 3600, 900)]
    alone = [ndpi.read(0, region) for region in regions]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda region: ndpi.read(0, region), regions * 2))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 2, together, strict=True))


def test_too_large_a_read_is_refused(ndpi: ConvertedSlide) -> None:
    """Nothing is allocated for a region nobody can mean."""
    with pytest.raises(LimitExceeded):
        ndpi.read(0, Region(Point(0, 0), Size(1 << 20, 1 << 20)))


def test_a_claim_nothing_stored_bears_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole glass of eight gigapixels in a file of 60 kB would be minutes of white; the same small scan passes."""
    assert READER.open(leica.write(tmp_path / "small.scn")).facts.vendor == "leica"
    monkeypatch.setattr(leica, "GLASS", Size(26_000_000, 76_000_000))
    with pytest.raises(LimitExceeded) as caught:
        READER.open(leica.write(tmp_path / "large.scn"))
    assert caught.value.where == "level[0]"


def _said(caught: CoverslipError) -> str:
    chain = [caught, caught.__cause__, None if caught.__suppress_context__ else caught.__context__]
    return " ".join(str(link) for link in chain if link is not None)


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.9])
def test_cut_off_slides_give_typed_errors(real_slide: Real, tmp_path: Path, keep: float) -> None:
    """A slide that ends early raises our errors only, and none of them quotes OpenSlide, which quotes paths."""
    whole = real_slide(NDPI).read_bytes()
    cut = tmp_path / "SMITH-JOHN-1234567.ndpi"
    cut.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(InputError) as caught:
        _read_all(cut)
    assert "SMITH" not in _said(caught.value)
    assert caught.value.code in ("damaged-slide", "unsupported-slide")


def test_corrupt_pixels_give_a_typed_error(real_slide: Real, tmp_path: Path) -> None:
    """A stream that does not decode is damage, at a level, not a library's exception."""
    raw = bytearray(real_slide(NDPI).read_bytes())
    raw[50_000:60_000] = bytes(10_000)
    broken = tmp_path / "broken.ndpi"
    broken.write_bytes(raw)
    with pytest.raises(DamagedSlide) as caught:
        _read_all(broken)
    assert caught.value.where.startswith("level[")


def test_dicom_that_ends_early_gives_a_typed_error(real_slide: Real, tmp_path: Path) -> None:
    """A cut instance is refused by name of the part, not with pydicom's words."""
    source = max(real_slide(PYRAMID).iterdir(), key=lambda file: file.stat().st_size)
    for length in (200, 700, 1500):
        cut = tmp_path / f"{length}.dcm"
        cut.write_bytes(source.read_bytes()[:length])
        with pytest.raises(InputError):
            _read_all(cut)


def _read_all(path: Path) -> None:
    with READER.open(path) as slide:
        slide.inventory()
        for number, level in enumerate(slide.facts.levels):
            for top in range(0, level.size.height, 1024):
                height = min(1024, level.size.height - top)
                slide.read(number, Region(Point(0, top), Size(level.size.width, height)))
