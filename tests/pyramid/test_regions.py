"""Regions at any scale: the pixels an independent reader shows, without seams, within bounds."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from coverslip.errors import AddressInvalid, DamagedSlide, LimitExceeded, StorageFailed, TileNotFound
from coverslip.geometry import Point, Region, Size, TileIndex
from coverslip.pyramid import regions
from coverslip.pyramid.colour import Colour, Encoding, Format, encode, profile_of, to_srgb
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.native import Native
from coverslip.pyramid.readouts import tissue
from coverslip.pyramid.regions import aligned, read_region
from coverslip.pyramid.zoomify import tile_of
from coverslip.pyramid.zxy import max_zoom, tile_at

FULL = Size(1501, 1103)


@pytest.fixture
def pyramid(generated, built):
    """A slide of odd size with stored levels at 1, 4 and 16."""
    return built(generated("aperio", FULL.width, FULL.height))[0]


@pytest.mark.parametrize(
    "region",
    [
        Region(Point(0, 0), FULL),
        Region(Point(255, 255), Size(2, 2)),
        Region(Point(100, 700), Size(900, 403)),
        Region(Point(1500, 1102), Size(1, 1)),
    ],
)
def test_full_scale_is_what_openslide_shows(generated, openslide_levels, pyramid, decibels, region):
    """Without scaling nothing but edge tiles was ever encoded anew."""
    truth = openslide_levels(generated("aperio", FULL.width, FULL.height))[0]
    at, size = region.origin, region.size
    found = np.asarray(read_region(pyramid, region, size))
    assert decibels(found, truth[at.y : at.y + size.height, at.x : at.x + size.width]) >= 38


@pytest.mark.parametrize("share", [0.9, 0.6, 0.5, 0.3, 0.1])
def test_scaled_regions_look_like_the_slide(generated, openslide_levels, pyramid, decibels, share):
    """Close to the full size scaled down in one step."""
    truth = Image.fromarray(openslide_levels(generated("aperio", FULL.width, FULL.height))[0])
    region = Region(Point(130, 90), Size(1000, 800))
    target = Size(round(1000 * share), round(800 * share))
    wanted = truth.resize((target.width, target.height), Image.Resampling.BICUBIC, box=(130, 90, 1130, 890))
    assert decibels(np.asarray(read_region(pyramid, region, target)), np.asarray(wanted)) >= 29


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_neighbours_meet_without_a_seam(pyramid, scale):
    """Two halves side by side are the whole: the filter looks beyond its region."""
    half, height = 180 * scale, 200 * scale
    part = Size(180, 200)
    left = read_region(pyramid, Region(Point(60, 60), Size(half, height)), part)
    right = read_region(pyramid, Region(Point(60 + half, 60), Size(half, height)), part)
    whole = read_region(pyramid, Region(Point(60, 60), Size(2 * half, height)), Size(360, 200))
    joined = np.hstack([np.asarray(left), np.asarray(right)]).astype(int)
    assert np.abs(joined - np.asarray(whole)).max() <= 1


def test_only_the_tiles_touched_are_decoded(pyramid, monkeypatch):
    """A region inside of one tile costs one tile; a small picture of the slide costs a small level."""
    asked = []
    decoded = regions.decoded_tile
    monkeypatch.setattr(regions, "decoded_tile", lambda *where: asked.append(where[1:]) or decoded(*where))
    read_region(pyramid, Region(Point(300, 300), Size(100, 100)), Size(100, 100))
    assert asked == [(0, 1, 1)]
    asked.clear()
    read_region(pyramid, Region(Point(0, 0), FULL), Size(100, 73))
    assert {reduction for reduction, _, _ in asked} == {3}


def test_a_squeezed_strip_is_not_much_work(pyramid, monkeypatch):
    """A region that becomes one column does not make us decode the full size of a large slide."""
    monkeypatch.setattr(regions, "_LEAST_WORK", 1)
    asked = []
    decoded = regions.decoded_tile
    monkeypatch.setattr(regions, "decoded_tile", lambda *where: asked.append(where) or decoded(*where))
    assert read_region(pyramid, Region(Point(0, 0), Size(1501, 1)), Size(1, 1)).size == (1, 1)
    assert len(asked) <= 4


def test_bounds(pyramid):
    """More pixels than allowed are refused before anything is decoded."""
    with pytest.raises(LimitExceeded):
        read_region(pyramid, Region(Point(0, 0), FULL), FULL, max_pixels=FULL.area - 1)
    with pytest.raises(LimitExceeded):
        read_region(pyramid, Region(Point(0, 0), FULL), Size(0, 5))
    with pytest.raises(AddressInvalid):
        read_region(pyramid, Region(Point(1500, 0), Size(2, 2)), Size(2, 2))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 70_000), st.integers(1, 70_000), st.sampled_from([240, 256, 512]), st.data())
def test_every_deep_zoom_tile_is_aligned(width, height, side, data):
    """Any tile of any grid, asked for as IIIF clients do, needs no resampling."""
    zoom = DeepZoom(Size(width, height), side)
    reduction = data.draw(st.integers(0, zoom.largest))
    grid = zoom.grid(reduction)
    column, row = data.draw(st.integers(0, grid.width - 1)), data.draw(st.integers(0, grid.height - 1))
    step = side << reduction
    at = Point(column * step, row * step)
    region = Region(at, Size(min(step, width - at.x), min(step, height - at.y)))
    found = aligned(zoom, region, zoom.extent(reduction, column, row))
    assert found is not None
    assert region.size.halved(found) == zoom.extent(reduction, column, row)


def test_slippy_and_zoomify_addresses():
    """`z` counts from the level of one tile; a Zoomify group is right in either way of rounding, and no other."""
    zoom = DeepZoom(Size(10_241, 8_000), 256)
    assert max_zoom(zoom) == 6
    assert tile_at(zoom, 6, 40, 31) == TileIndex(0, 40, 31)
    for z, x, y in ((7, 0, 0), (6, 41, 0), (6, 0, 32), (-1, 0, 0)):
        with pytest.raises(TileNotFound):
            tile_at(zoom, z, x, y)
    up, down = (
        sum(zoom.grid(r).area for r in range(1, 7)),
        sum(Size(10_241 >> r, 8_000 >> r).ceil_div(Size(256, 256)).area for r in range(1, 7)),
    )
    assert up != down
    for y in range(32):
        wanted = {(up + y * 41 + 7) // 256, (down + y * 41 + 7) // 256}
        for group in range(10):
            if group in wanted:
                assert tile_of(zoom, group, 6, 7, y) == TileIndex(0, 7, y)
            else:
                with pytest.raises(TileNotFound):
                    tile_of(zoom, group, 6, 7, y)


def test_openlayers_counts_a_zoomify_group_by_the_tiles_side():
    """A group of 240 is right where tiles have 240 pixels a side, as many slides' have."""
    zoom = DeepZoom(Size(6_000, 6_000), 240)
    number = sum(zoom.grid(reduction).area for reduction in range(1, 6)) + 9 * 25 + 24
    assert number // 240 != number // 256
    for group in (number // 240, number // 256):
        assert tile_of(zoom, group, max_zoom(zoom), 24, 9) == TileIndex(0, 24, 9)
    with pytest.raises(TileNotFound):
        tile_of(zoom, number // 240 + 1, max_zoom(zoom), 24, 9)


@pytest.mark.parametrize(("codec", "begin"), [("jpeg", b"\xff\xd8"), ("j2k-rgb", b"\xff\x4f\xff\x51")])
def test_native_tiles(generated, codec, begin):
    """A stored tile leaves in the codec it is stored in."""
    native = Native(generated("aperio", 600, 500, codec=codec))
    assert native.tile(0, 1, 1).startswith(begin)
    assert native.levels[0].media_type == ("image/jpeg" if codec == "jpeg" else "image/j2c")
    for place in ((9, 0, 0), (0, 3, 0), (0, 0, 2)):
        with pytest.raises(TileNotFound):
            native.tile(*place)


def test_colour_profiles(generated, tmp_path):
    """The profile is the slide's own; one that is none is refused, a missing file is our own failure."""
    profile = profile_of(generated("aperio", 600, 500))
    picture = Image.new("RGB", (4, 4), (200, 10, 90))
    assert to_srgb(picture, profile).size == (4, 4)
    with pytest.raises(DamagedSlide):
        encode(picture, Encoding(Format.PNG, colour=Colour.SRGB), b"no profile")
    with pytest.raises(StorageFailed):
        profile_of(tmp_path / "nothing")


def test_tissue_is_where_the_colour_is():
    """A stained square on white glass, and a dark one where there is no colour."""
    for stain in ((180, 80, 150), (90, 90, 90)):
        pixels = np.full((60, 80, 3), 245, np.uint8)
        pixels[20:40, 30:60] = stain
        mask = np.asarray(tissue(pixels))
        assert mask[20:40, 30:60].all()
        assert mask.sum() == 20 * 30
