"""OpenSlide and tifffile, which know nothing of our generators, read the slides and see the facts we claim."""

import itertools
import logging

import numpy as np
import openslide
import pytest
import tifffile

from coverslip.geometry import Size
from coverslip.slide import Plane
from samples import ome
from samples.pyramid import Miniature
from samples.tissue import Tissue
from tests.samples.conftest import OME

SIZE = Size(1300, 900)


@pytest.fixture(autouse=True)
def _quiet():
    """tifffile logs values it cannot parse; some of ours are made for that."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def agrees(planted):
    facts = planted.facts
    with openslide.OpenSlide(planted.path) as slide:
        assert slide.properties["openslide.vendor"] == facts.vendor
        assert slide.level_dimensions == facts.levels
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(facts.mpp, rel=1e-5)
        power = slide.properties.get("openslide.objective-power")
        assert (float(power) if power else None) == facts.magnification
        assert sorted(slide.associated_images) == sorted(facts.associated)
        for level, size in enumerate(facts.levels):
            slide.read_region((0, 0), level, size)
        return [np.asarray(slide.associated_images[name]) for name in facts.associated]


def close(pixels, expected, tolerance):
    assert pixels.shape == expected.shape
    assert abs(pixels.astype(int) - expected).mean() < tolerance


def test_openslide_sees_what_the_aperio_writer_claims(made, aperio_name):
    """Vendor, levels, resolution, magnification and associated images, each of which decodes."""
    pictures = agrees(made("aperio", aperio_name))
    assert all(picture.std() > 5 for picture in pictures)


def test_every_aperio_level_decodes_to_the_tissue(made, aperio_name):
    """Each level, wherever tiles end, is the tissue of that place to within the codec's loss."""
    planted = made("aperio", aperio_name)
    tissue = Tissue(SIZE, 0, 0.5)
    base = np.hstack([tissue.crop(0, 0, 1000, 900), tissue.crop(1000, 0, 300, 900)])
    with openslide.OpenSlide(planted.path) as slide:
        for level, (width, height) in enumerate(planted.facts.levels):
            seen = np.asarray(slide.read_region((0, 0), level, (width, height)).convert("RGB"))
            step = round(slide.level_downsamples[level])
            whole = base[: height * step, : width * step].reshape(height, step, width, step, 3)
            close(seen, whole.mean(axis=(1, 3)), 8)


def test_tifffile_reads_every_page_of_an_aperio_slide(made, aperio_name):
    """Base, thumbnail, two levels, label and macro, in that order, with the compressions Aperio uses."""
    planted = made("aperio", aperio_name)
    with tifffile.TiffFile(planted.path) as tiff:
        assert tiff.is_svs
        assert [page.is_tiled for page in tiff.pages] == [True, False, True, True, False, False]
        assert [page.subfiletype for page in tiff.pages] == [0, 0, 0, 0, 1, 9]
        assert tiff.pages[4].compression == 5
        assert tiff.pages[4].predictor == 2
        pictures = [page.asarray() for page in tiff.pages if page.compression != 33003]
        assert all(picture.std() > 5 for picture in pictures)


def test_the_thumbnail_is_the_slide_made_small(made):
    """Its pixels are the averages of the lowest level's, whatever block they came from."""
    with tifffile.TiffFile(made("aperio", "bare").path) as tiff:
        thumbnail, lowest = tiff.pages[1].asarray(), tiff.pages[3].asarray()
    close(thumbnail, lowest, 8)


def test_a_thumbnail_smaller_than_the_lowest_level_is_averaged():
    """Blocks whose borders fall inside a thumbnail's pixel are weighed by what they add to it."""
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 60, 0).repeat(3, 2)
    small = Miniature(Size(30, 18), Size(100, 60))
    for x in range(0, 100, 32):
        for y in range(0, 60, 32):
            small.add(x, y, np.pad(ramp, ((0, 64), (0, 64), (0, 0)))[y : y + 32, x : x + 32])
    bins = np.arange(100) * 30 // 100
    expected = np.array([ramp[0, bins == column, 0].mean() for column in range(30)])
    assert abs(small.pixels()[:, :, 0] - expected).max() <= 0.5


def test_every_ifd_begins_on_an_even_offset(made):
    """TIFF 6.0 asks for word boundaries, and some readers insist."""
    with tifffile.TiffFile(made("aperio", "jpeg").path) as tiff:
        assert all(page.offset % 2 == 0 for page in tiff.pages)


def test_an_aperio_tile_has_no_hint_that_its_colours_are_rgb(made):
    """Aperio writes neither an Adobe marker nor component names, so that decoders which guess get it wrong."""
    with tifffile.TiffFile(made("aperio", "bare").path) as tiff:
        page = tiff.pages[0]
        assert page.photometric == 2
        tiff.filehandle.seek(page.dataoffsets[0])
        tile = tiff.filehandle.read(page.databytecounts[0])
    assert tile[:4] == b"\xff\xd8\xff\xc0"
    assert b"Adobe" not in tile
    assert [tile[12 + 3 * i] for i in range(3)] == [0, 1, 2]
    assert page.jpegtables[:4] == b"\xff\xd8\xff\xdb"


def test_gt450_label_and_macro_have_no_words(made):
    """Only NewSubfileType tells the label and the macro of a GT450 apart."""
    with tifffile.TiffFile(made("aperio", "gt450").path) as tiff:
        assert [page.description for page in tiff.pages[4:]] == ["", ""]
        assert tiff.pages[0].description.startswith("Aperio Leica Biosystems GT450")


def test_openslide_sees_what_the_generic_writer_claims(made, generic_name):
    """Vendor, levels and resolution, wherever OpenSlide knows codec and byte order."""
    planted = made("generic", generic_name)
    if planted.facts.openslide_opens:
        agrees(planted)
        return
    with pytest.raises(openslide.OpenSlideError), openslide.OpenSlide(planted.path) as slide:
        slide.read_region((0, 0), 0, (9, 9))


def test_every_generic_level_decodes_to_the_tissue(made, generic_name):
    """tifffile gives the tissue back from each page, SubIFDs included."""
    planted = made("generic", generic_name)
    tissue = Tissue(SIZE, 0, 0.5)
    base = np.hstack([tissue.crop(0, 0, 1000, 900), tissue.crop(1000, 0, 300, 900)])
    exact = planted.facts.codec in ("deflate", "lzw", "none")
    with tifffile.TiffFile(planted.path) as tiff:
        pages = [*tiff.pages, *(tiff.pages[0].pages or ())]
        assert [page.shape[:2] for page in pages] == [(900, 1300), (450, 650), (225, 325)]
        for step, page in zip((1, 2, 4), pages, strict=True):
            whole = base.reshape(900 // step, step, 1300 // step, step, 3).mean(axis=(1, 3))
            close(page.asarray(), whole, 1 if exact else 8)


def test_ome_tiff_is_read_as_such(made):
    """tifffile finds OME-XML with the right sizes and all three levels."""
    with tifffile.TiffFile(made("generic", "ome").path) as tiff:
        assert tiff.is_ome
        assert tiff.byteorder == ">"
        assert len(tiff.series[0].levels) == 3
        assert 'SizeX="1300" SizeY="900"' in tiff.pages[0].description


def test_openslide_sees_what_the_ome_writer_claims(made, ome_name):
    """The first plane, wherever OpenSlide knows codec and byte order."""
    planted = made("ome", ome_name)
    if planted.facts.openslide_opens:
        agrees(planted)


def test_tifffile_sees_every_plane_of_an_ome_slide(made, ome_name):
    """Axes, levels and pixels: each plane is the tissue of that plane, within the codec's loss."""
    planted = made("ome", ome_name)
    options = OME[ome_name]
    kind = {"bits": options.get("bits", 16), "rgb": options.get("rgb", False)}
    with tifffile.TiffFile(planted.path) as tiff:
        assert tiff.is_ome
        series = max(tiff.series, key=lambda found: found.nbytes)
        assert len(series.levels) == 3
        every = series.asarray()
        axes = [axis for axis in series.axes if axis in "ZCT"]
        for at in itertools.product(*(range(every.shape[number]) for number in range(len(axes)))):
            where = {"Z": 0, "C": 0, "T": 0} | dict(zip(axes, at, strict=True))
            expected = ome.pixels(Size(600, 400), Plane(where["Z"], where["C"], where["T"]), **kind)
            loss = {"jpeg": 6, "j2k": 6}.get(planted.facts.codec, 0)
            close(every[at], expected, loss + 1e-9)


def test_openslide_reads_the_mirax_slide(made):
    """Vendor, levels, resolution and associated images; each level shows the tissue."""
    planted = made("mirax", "")
    agrees(planted)
    tissue = Tissue(Size(2048, 1536), 0, 0.6)
    with openslide.OpenSlide(planted.path) as slide:
        for level in range(3):
            seen = np.asarray(slide.read_region((512, 512), level, (64, 64)).convert("RGB"))
            side = 64 << level
            whole = tissue.crop(512, 512, side, side).reshape(64, 1 << level, 64, 1 << level, 3).mean(axis=(1, 3))
            close(seen, whole, 6)
