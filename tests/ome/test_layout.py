"""Which page is which plane: every way the specification gives to say it, and tifffile as the judge."""

import itertools

import numpy as np
import pytest
import tifffile

from coverslip.errors import DamagedSlide, LimitExceeded, UnknownStructure, UnsupportedSlide
from coverslip.geometry import Size
from coverslip.ome.layout import layout
from samples import ome

ORDERS = ["XY" + "".join(rest) for rest in itertools.permutations("ZCT")]


def planes(found):
    """(z, channel, t) page by page."""
    return [(p.plane.z, p.plane.channel, p.plane.t) for p in found.planes]


@pytest.mark.parametrize("style", ["one", "each", "bare"])
@pytest.mark.parametrize("order", ORDERS)
def test_all_orders_in_all_ways(made, opened, order, style):
    """tifffile puts the same pages at the same places: each plane of its array is the plane we say the page is."""
    options = {"z": 2, "channels": 3, "t": 2, "dimensions": order, "style": style, "width": 70, "height": 64}
    slide = opened(**options)
    found = slide.description(slide.pages[0].directory).layout
    with tifffile.TiffFile(made(**options).path) as tiff:
        series = tiff.series[0]
        every = series.asarray()
        for at, plane in enumerate(found.planes):
            where = tuple(
                {"Z": plane.plane.z, "C": plane.plane.channel, "T": plane.plane.t}[axis] for axis in series.axes[:-2]
            )
            assert np.array_equal(every[where], tiff.pages[at].asarray())
            assert np.array_equal(every[where], ome.pixels(Size(70, 64), plane.plane))
    assert sorted(planes(found)) == sorted(itertools.product(range(2), range(3), range(2)))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("<TiffData/>", [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]),
        ('<TiffData PlaneCount="4"/>', [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]),
        (
            '<TiffData IFD="3"/><TiffData IFD="2" FirstC="1"/><TiffData IFD="1" FirstZ="1"/>'
            '<TiffData IFD="0" FirstZ="1" FirstC="1"/>',
            [(1, 1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 0)],
        ),
        (
            '<TiffData IFD="2" PlaneCount="2"/><TiffData IFD="0" FirstZ="1" PlaneCount="2"/>',
            [(1, 0, 0), (1, 1, 0), (0, 0, 0), (0, 1, 0)],
        ),
        ('<TiffData IFD="0" NumPlanes="4"/>', [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]),
    ],
)
def test_defaults_of_the_specification(block, pages, told, expected):
    """One page where only the page is named, all pages where nothing is, and the order is the file's."""
    assert planes(layout(block(inside=told), pages)) == expected


def test_channels_are_counted_as_readers_do(opened):
    """Red, green and blue of a picture are one channel of three samples."""
    rgb = opened(rgb=True, codec="jpeg", z=2)
    found = rgb.description(rgb.pages[0].directory).layout
    assert (found.samples, found.channels, len(found.planes)) == (3, 1, 2)
    grey = opened(channels=3)
    found = grey.description(grey.pages[0].directory).layout
    assert (found.samples, found.channels, len(found.planes)) == (1, 3, 3)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"inside": '<TiffData IFD="4"/>'}, DamagedSlide),
        ({"inside": '<TiffData IFD="0" PlaneCount="5"/>'}, DamagedSlide),
        ({"inside": '<TiffData IFD="1" PlaneCount="4"/>'}, DamagedSlide),
        ({"inside": '<TiffData IFD="0" PlaneCount="2"/><TiffData IFD="1" FirstZ="1" PlaneCount="2"/>'}, DamagedSlide),
        ({"inside": '<TiffData IFD="0" PlaneCount="2"/><TiffData IFD="2" PlaneCount="2"/>'}, DamagedSlide),
        ({"inside": '<TiffData IFD="0" PlaneCount="2"/>'}, DamagedSlide),
        ({"inside": '<TiffData IFD="0" FirstC="2"/>'}, DamagedSlide),
        ({"inside": ""}, DamagedSlide),
        ({"inside": "<MetadataOnly/>"}, DamagedSlide),
        ({"inside": "<BinData/>"}, UnsupportedSlide),
        ({"inside": '<TiffData/><Channel SamplesPerPixel="1"/>'}, DamagedSlide),
        ({"inside": '<TiffData/><Channel SamplesPerPixel="1"/><Channel SamplesPerPixel="2"/>'}, UnknownStructure),
        ({"pixels": 'SizeX="150" SizeY="100" SizeZ="1" SizeC="2" SizeT="1"'}, DamagedSlide),
        ({"pixels": 'SizeX="151" SizeY="100" SizeZ="2" SizeC="2" SizeT="1"'}, DamagedSlide),
        ({"pixels": 'SizeX="150" SizeY="100" SizeZ="9999" SizeC="999" SizeT="1"'}, LimitExceeded),
        ({"pixels": 'SizeX="150" SizeY="100" SizeZ="2" SizeC="2"'}, DamagedSlide),
        ({"root": '<BinaryOnly MetadataFile="x"/>'}, UnsupportedSlide),
        ({"order": "XYZ"}, DamagedSlide),
    ],
    ids=str,
)
def test_a_block_that_contradicts_itself_or_its_pages(block, pages, told, error):
    """Nobody guesses: it is refused, with the error that says which way."""
    with pytest.raises(error):
        layout(block(**told), pages)


def test_a_page_no_image_tells_of_is_not_lost(block, pages):
    """Readers may ignore it, a de-identifier may not: it quarantines."""
    sizes = 'SizeX="150" SizeY="100" SizeZ="1" SizeC="2" SizeT="1"'
    with pytest.raises(UnknownStructure) as refused:
        layout(block(pixels=sizes, inside='<TiffData IFD="0" PlaneCount="2"/>'), pages)
    assert refused.value.where == "ifd[2]"


def test_levels_hang_below_each_plane(opened):
    """Every plane has the same levels, as SubIFDs of its own page."""
    slide = opened(z=2, channels=2, downsamples=(1, 2, 4))
    found = slide.description(slide.pages[0].directory).layout
    for plane in found.planes:
        assert [level.size for level in plane.levels] == [Size(150, 100), Size(75, 50)]
        assert all(level.path.startswith(plane.page.path[:-1]) for level in plane.levels)


@pytest.mark.parametrize("first", [False, True])
def test_pictures_of_the_glass_are_told_by_structure(opened, first):
    """Label and macro are known in front of the planes and behind them; only the label's words say which it is."""
    slide = opened(rgb=True, codec="jpeg", beside=("label", "macro"), beside_first=first)
    found = slide.description(next(page.directory for page in slide.pages if page.is_level)).layout
    assert [(beside.is_label, beside.page.tiled) for beside in found.beside] == [(True, False), (False, False)]
    assert found.planes[0].page.path == ("ifd[2]" if first else "ifd[0]")


def test_a_second_scene_is_no_picture_of_the_glass(block, pages):
    """An image as large as the slide, or of its resolution, may be science."""
    sizes = 'SizeX="150" SizeY="100" SizeZ="1" SizeC="2" SizeT="1"'
    other = f'<Image ID="Image:1"><Pixels DimensionOrder="XYCZT" Type="uint16" {sizes}>'
    inside = f'<TiffData PlaneCount="2"/></Pixels></Image>{other}<TiffData IFD="2" PlaneCount="2"/>'
    with pytest.raises(UnknownStructure) as refused:
        layout(block(pixels=sizes, inside=inside), pages)
    assert refused.value.where == "ome/Image[1]"


def test_older_pyramids_in_the_chain_of_pages(tmp_path):
    """Before 6.0 levels followed the only plane as pages; with several planes nobody could tell whose they are."""
    from contextlib import closing

    from coverslip.formats import ome_tiff
    from samples import generic

    planted = generic.write(tmp_path / "x.ome.tiff", Size(300, 200), ome=True, tile=64, identifiers=False)
    with closing(ome_tiff.open(planted.path)) as slide:
        found = slide.description(slide.pages[0].directory).layout
        assert [page.path for page in found.chained] == ["ifd[1]", "ifd[2]"]
        assert [level.size.width for level in slide.facts.levels] == [300, 150, 75]
        assert planes(found) == [(0, 0, 0)]
