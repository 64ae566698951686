"""IIIF addresses by themselves: tiles of any slide, canonical forms, limits."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coverslip.errors import AddressInvalid
from coverslip.geometry import Point, Region, Size
from coverslip.pyramid import iiif
from coverslip.pyramid.deepzoom import DeepZoom

LIMITS = iiif.Limits(4 << 20)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 90_000), st.integers(1, 90_000), st.sampled_from([240, 256, 512]), st.data())
@pytest.mark.parametrize("version", [2, 3])
def test_tiles_of_any_slide(version, width, height, side, data):
    """Whatever the size of a slide, a request for an announced tile is that tile, edges included."""
    zoom = DeepZoom(Size(width, height), side)
    factor = data.draw(st.sampled_from(iiif.info(3, "", zoom, LIMITS)["tiles"][0]["scaleFactors"]))
    reduction = factor.bit_length() - 1
    grid = zoom.grid(reduction)
    column, row = data.draw(st.integers(0, grid.width - 1)), data.draw(st.integers(0, grid.height - 1))
    extent, step = zoom.extent(reduction, column, row), side * factor
    # one pixel wide says nothing about the scale, so 2.1's form without a height cannot
    assume(version == 3 or extent.width > 1)
    across, down = min(step, width - column * step), min(step, height - row * step)
    size = f"{extent.width},{extent.height}" if version == 3 else f"{extent.width},"
    asked = (f"{column * step},{row * step},{across},{down}", size, "0", "default", "jpg")
    request = iiif.parse(version, zoom.size, LIMITS, asked)
    tile = request.tile(zoom)
    # a picture of a few pixels in one direction may be two tiles at once, of the same pixels
    assert tile is not None or extent.width == 1 or extent.height == 1
    assert request.size == extent
    again = iiif.parse(version, zoom.size, LIMITS, _parts(request.canonical(version)))
    assert (again.region, again.size) == (request.region, request.size)


def _parts(canonical):
    region, size, rotation, last = canonical.split("/")
    return region, size, rotation, *last.split(".")


def test_limits():
    """`max` is the largest size within the limits, and nothing larger is given in any way."""
    full, limits = Size(100_000, 50_000), iiif.Limits(1_000_000, 1200)
    largest = iiif.parse(3, full, limits, ("full", "max", "0", "default", "jpg")).size
    assert largest == Size(1200, 600)
    assert iiif.parse(3, full, limits, ("full", "!9000,9000", "0", "default", "jpg")).size == largest
    for size in ("1201,", "pct:50", "1100,1000"):
        with pytest.raises(AddressInvalid):
            iiif.parse(3, full, limits, ("full", size, "0", "default", "jpg"))
    with pytest.raises(AddressInvalid):
        iiif.parse(3, full, iiif.Limits(4 << 20), ("0,0,8000,100", "max", "45", "default", "jpg"))


@pytest.mark.parametrize(
    ("version", "canonical"), [(2, "0,0,700,400/350,/0/default.jpg"), (3, "0,0,700,400/350,200/0/default.jpg")]
)
def test_canonical_forms(version, canonical):
    """2.1 names the width alone where that is enough, 3.0 always both."""
    request = iiif.parse(version, Size(700, 500), LIMITS, ("pct:0,0,100,80", "pct:50", "360", "color", "jpg"))
    assert request.canonical(version) == canonical
    assert request.region == Region(Point(0, 0), Size(700, 400))
