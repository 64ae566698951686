"""Tiles under other addresses, regions, readouts, and the headers that let others use them."""

import io
import xml.etree.ElementTree as ET
from urllib.parse import urlencode

import numpy as np
import openslide
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from coverslip.archive.states import State
from coverslip.pyramid import Pyramid

WIDTH, HEIGHT = 700, 500


@pytest.fixture(scope="module")
def sid(house):
    """A slide anybody may see."""
    return house.slide(State.RELEASED)


@pytest.fixture(scope="module")
def client(house):
    """Somebody without a key."""
    with house.client() as found:
        yield found


@pytest.fixture(scope="module")
def pyramid(house):
    """The slide's pyramid, opened beside the server."""
    with Pyramid.open(house.tiled.clean, house.tiled.index) as found:
        yield found


@pytest.fixture(scope="module")
def truth(house):
    """What an independent reader shows of the whole slide."""
    with openslide.OpenSlide(house.tiled.clean) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))


def pixels(answer):
    """The pixels of an answer."""
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def decibels(one, other):
    """Peak signal to noise ratio."""
    error = float(((one.astype(float) - other) ** 2).mean())
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


@pytest.mark.parametrize(("fmt", "least"), [("png", 99), ("webp", 30)])
def test_tiles_in_other_formats(client, sid, pyramid, fmt, least):
    """A PNG tile has exactly the pixels of the stored JPEG, a WebP tile nearly."""
    level = pyramid.dz_levels - 1
    answer = client.get(f"/slides/{sid}_files/{level}/1_0.{fmt}")
    assert answer.headers["Content-Type"] == f"image/{fmt}"
    stored = np.asarray(Image.open(io.BytesIO(pyramid.tile(level, 1, 0))).convert("RGB"))
    assert decibels(pixels(answer), stored) >= least


def test_native_grid(house, client, sid):
    """The slide's own levels are listed as they are, and a tile is the stored scan with its tables in front."""
    listed = client.get(f"/slides/{sid}/levels").json()["levels"]
    with openslide.OpenSlide(house.tiled.clean) as slide:
        assert [(level["width"], level["height"]) for level in listed] == list(slide.level_dimensions)
        for level in listed:
            answer = client.get(f"/slides/{sid}/levels/{level['index']}/tiles/0/0")
            assert answer.headers["Content-Type"] == level["type"] == "image/jpeg"
            side = min(level["tile_w"], level["width"]), min(level["tile_h"], level["height"])
            shown = np.asarray(slide.read_region((0, 0), level["index"], side).convert("RGB"))
            assert np.array_equal(pixels(answer)[: side[1], : side[0]], shown)
            assert answer.content[-1000:] in house.tiled.clean.read_bytes()
    assert client.get(f"/slides/{sid}/levels/9/tiles/0/0").status_code == 404
    assert client.get(f"/slides/{sid}/levels/0/tiles/0/99").status_code == 404


def test_slippy_map(client, sid, pyramid):
    """`z` 0 fits one tile; every tile of every zoom has the full size; whole tiles are the stored bytes."""
    said = client.get(f"/slides/{sid}/tilejson.json").json()
    side = pyramid.tile_size
    assert (said["minzoom"], said["maxzoom"], said["tilesize"]) == (0, (max(WIDTH, HEIGHT) - 1) // side, side)
    for z in range(said["maxzoom"] + 1):
        level = pyramid.dz_levels - 1 - (said["maxzoom"] - z)
        grid = pyramid.grid.grid(said["maxzoom"] - z)
        for x in range(grid.width):
            for y in range(grid.height):
                address = said["tiles"][0].format(z=z, x=x, y=y)
                answer, stored = client.get(address), pyramid.tile(level, x, y)
                assert pixels(answer).shape == (side, side, 3)
                if Image.open(io.BytesIO(stored)).size == (side, side):
                    assert answer.content == stored
        assert client.get(said["tiles"][0].format(z=z, x=grid.width, y=0)).status_code == 404
    assert client.get(f"/slides/{sid}/zxy/40/0/0.jpg").status_code == 404


def test_slippy_edges_are_filled_up(client, sid, pyramid):
    """Beyond the slide the asked-for ground shows, white by default."""
    z = x = 2
    for ground, colour in (("", 255), ("?bg=000000", 0)):
        found = pixels(client.get(f"/slides/{sid}/zxy/{z}/{x}/0.png{ground}"))
        assert (found[:, WIDTH - x * pyramid.tile_size :] == colour).all()
    assert client.get(f"/slides/{sid}/zxy/{z}/{x}/0.png?bg=red").status_code == 400


@pytest.mark.parametrize(
    "path", ["_files/9/0_0.png", "_files/9/0_0.jpg", "/zoomify/TileGroup0/0-0-0.jpg", "/region?x=0&y=0&w=9&h=9"]
)
def test_a_ground_that_shows_nowhere(client, sid, path):
    """Every derived picture takes `bg`; where it shows nowhere the picture and its tag stay the same."""
    where, more = f"/slides/{sid}{path}", "&" if "?" in path else "?"
    plain, grounded = client.get(where), client.get(f"{where}{more}bg=123456")
    assert plain.content == grounded.content
    assert plain.headers["ETag"] == grounded.headers["ETag"]
    assert client.get(f"{where}{more}bg=wrong").status_code == 400


def test_zoomify(client, sid, pyramid):
    """The descriptor names the slide, and every tile of every tier is the DeepZoom tile, in its group and no other."""
    root = ET.fromstring(client.get(f"/slides/{sid}/zoomify/ImageProperties.xml").text)
    assert (root.attrib["WIDTH"], root.attrib["HEIGHT"]) == (str(WIDTH), str(HEIGHT))
    tiers, count = pyramid.grid.levels, 0
    top = next(r for r in range(tiers) if pyramid.grid.grid(r).area == 1)
    for tier in range(top + 1):
        grid = pyramid.grid.grid(top - tier)
        for y in range(grid.height):
            for x in range(grid.width):
                answer = client.get(f"/slides/{sid}/zoomify/TileGroup0/{tier}-{x}-{y}.jpg")
                assert answer.content == pyramid.tile(pyramid.dz_levels - 1 - top + tier, x, y)
                count += 1
    assert root.attrib["NUMTILES"] == str(count)
    assert client.get(f"/slides/{sid}/zoomify/TileGroup1/0-0-0.jpg").status_code == 404


@pytest.mark.parametrize(
    ("query", "box", "size"),
    [
        ({"x": 10, "y": 20, "w": 300, "h": 200}, (10, 20, 310, 220), (300, 200)),
        ({"x": 10, "y": 20, "w": 300, "h": 200, "level": 0}, (10, 20, 310, 220), (300, 200)),
        ({"x": 5, "y": 10, "w": 150, "h": 100, "units": "um"}, (10, 20, 310, 220), (300, 200)),
        ({"x": 0.005, "y": 0.01, "w": 0.15, "h": 0.1, "units": "mm"}, (10, 20, 310, 220), (300, 200)),
        ({"x": 0, "y": 0, "w": 600, "h": 400, "mpp": 1}, (0, 0, 600, 400), (300, 200)),
        ({"x": 0, "y": 0, "w": 600, "h": 400, "mag": 10}, (0, 0, 600, 400), (300, 200)),
    ],
)
def test_region(client, sid, truth, query, box, size):
    """Pixels, micrometres and millimetres; level, resolution and magnification: the pixels of that place."""
    found = pixels(client.get(f"/slides/{sid}/region?{urlencode(query)}&fmt=png"))
    left, top, right, bottom = box
    wanted = Image.fromarray(truth[top:bottom, left:right]).resize(size, Image.Resampling.BOX)
    assert found.shape[:2] == (size[1], size[0])
    assert decibels(found, np.asarray(wanted)) >= (38 if (right - left, bottom - top) == size else 28)


@pytest.mark.parametrize(
    "query",
    [
        "x=0&y=0&w=10",
        "x=0&y=0&w=0&h=10",
        "x=0&y=0&w=701&h=10",
        "x=-1&y=0&w=10&h=10",
        "x=0&y=0&w=10&h=10&mpp=0.1",
        "x=0&y=0&w=10&h=10&mag=0",
        "x=0&y=0&w=10&h=10&mpp=1&mag=10",
        "x=0&y=0&w=10&h=10&level=7",
        "x=0&y=0&w=10&h=10&units=inch",
        "x=0&y=0&w=10&h=10&fmt=gif",
        "x=0&y=0&w=10&h=10&quality=0",
        "x=0&y=0&w=10&h=10&color=cmyk",
        "x=0&y=0&w=10&h=10&colour=raw",
        "x=0&x=0&y=0&w=10&h=10",
        "x=0;y=0",
        "x=%D9%A3&y=0&w=10&h=10",
        "x=nan&y=0&w=10&h=10",
    ],
)
def test_malformed_regions(client, sid, query):
    """An unknown, doubled, missing or impossible parameter is refused, never ignored."""
    answer = client.get(f"/slides/{sid}/region?{query}")
    assert answer.status_code == 400, answer.text


def test_readouts(client, sid, truth, pyramid):
    """A pixel, the histogram and the tissue bitmap agree with an independent reader."""
    assert client.get(f"/slides/{sid}/pixel?x=300&y=400").json()["rgb"] == truth[400, 300].tolist()
    assert client.get(f"/slides/{sid}/pixel?x=700&y=0").status_code == 400
    counts = client.get(f"/slides/{sid}/histogram").json()
    # tiles at the edge were encoded anew, so a few values moved by one
    moved = np.abs(np.array(counts["g"]) - np.bincount(truth[..., 1].ravel(), minlength=256)).sum()
    assert moved < 0.01 * truth[..., 1].size
    assert counts["pixels"] == WIDTH * HEIGHT
    mask = Image.open(io.BytesIO(client.get(f"/slides/{sid}/tissue").content))
    assert (mask.mode, mask.size) == ("1", (WIDTH, HEIGHT))
    spread = truth.max(2).astype(int) - truth.min(2)
    inside = np.asarray(mask)
    assert spread[inside].mean() > spread[~inside].mean() + 20


def test_colour(client, sid):
    """`embed` carries the profile `/icc` gives, `srgb` changes the values and carries none, `raw` is the default."""
    where = f"/slides/{sid}/region?x=0&y=0&w=200&h=200&fmt=png"
    profile = client.get(f"/slides/{sid}/icc")
    assert profile.status_code == 200
    assert profile.content[36:40] == b"acsp"
    embedded = client.get(f"{where}&color=embed")
    assert Image.open(io.BytesIO(embedded.content)).info["icc_profile"] == profile.content
    assert np.array_equal(pixels(embedded), pixels(client.get(where)))
    converted = client.get(f"{where}&color=srgb")
    assert "icc_profile" not in Image.open(io.BytesIO(converted.content)).info


def test_associated_lists_what_is_kept(client, sid):
    """The label is gone from list and address; what is listed is there."""
    listed = client.get(f"/slides/{sid}/associated").json()["associated"]
    assert "label" not in {picture["name"] for picture in listed}
    assert client.get(f"/slides/{sid}/associated/label").status_code == 404
    for picture in listed:
        found = pixels(client.get(picture["address"]))
        assert found.shape[:2] == (picture["height"], picture["width"])


ALL = (
    "_files/9/0_0.png",
    "/levels",
    "/levels/0/tiles/0/0",
    "/tilejson.json",
    "/zxy/0/0/0.jpg",
    "/zoomify/ImageProperties.xml",
    "/zoomify/TileGroup0/0-0-0.jpg",
    "/region?x=0&y=0&w=10&h=10",
    "/pixel?x=0&y=0",
    "/histogram",
    "/tissue",
    "/icc",
    "/associated",
)


@pytest.mark.parametrize("what", ALL)
def test_conditional_requests(client, sid, what):
    """Everything has a strong tag, answers 304 to it, says how long it may be kept, and takes HEAD but no POST."""
    answer = client.get(f"/slides/{sid}{what}")
    assert answer.status_code == 200
    tag = answer.headers["ETag"]
    again = client.get(f"/slides/{sid}{what}", headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert answer.headers["Cache-Control"] == "public, max-age=60, must-revalidate"
    head = client.head(f"/slides/{sid}{what}")
    assert (head.headers["Content-Length"], head.content) == (str(len(answer.content)), b"")
    assert client.post(f"/slides/{sid}{what}").status_code == 405


@pytest.mark.parametrize("what", [*ALL, "/associated/thumbnail"])
def test_visibility_is_the_tiles(house, client, sid, what):
    """Unreviewed looks unknown to strangers and is not kept for curators; under work 409; withdrawn 410."""
    hidden = house.slide(State.IN_REVIEW)
    one, other = client.get(f"/slides/{hidden}{what}"), client.get(f"/slides/nothing{what}")
    assert (one.status_code, one.content) == (404, other.content)
    seen = house.client("curator").get(f"/slides/{hidden}{what}")
    assert (seen.status_code, seen.headers["Cache-Control"]) == (200, "private, no-store")
    assert seen.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert house.client("curator").get(f"/slides/{house.slide(State.PROCESSING)}{what}").status_code == 409
    assert client.get(f"/slides/{house.slide(State.WITHDRAWN)}{what}").status_code == 410


def test_derived_answers_say_what_they_cost(client, sid):
    """Made once, then from memory, with the time it took."""
    where = f"/slides/{sid}/region?x=1&y=2&w=30&h=40"
    first, second = client.get(where), client.get(where)
    assert first.headers["Cache-Status"] == "coverslip; fwd=miss; stored"
    assert second.headers["Cache-Status"] == "coverslip; hit"
    assert first.headers["Server-Timing"].startswith("derive;dur=")
    assert first.content == second.content


def test_pinned_addresses(house, client, sid, pyramid):
    """The same bytes, immutable, for the right version only, and never for what is not released."""
    version = pyramid.version[:16]
    for what in ("_files/9/0_0.jpg", ".dzi", "/tilejson.json", "/region?x=0&y=0&w=9&h=9", "/file"):
        answer = client.get(f"/v/{version}/slides/{sid}{what}")
        assert answer.headers["Cache-Control"] == "public, max-age=86400, immutable"
        if what != "/tilejson.json":
            assert answer.content == client.get(f"/slides/{sid}{what}").content
        assert client.get(f"/v/{'0' * 16}/slides/{sid}{what}").status_code == 404
        assert client.get(f"/v/{version[:15]}/slides/{sid}{what}").status_code == 404
    said = client.get(f"/v/{version}/slides/{sid}/tilejson.json").json()["tiles"][0]
    assert f"/v/{version}/slides/{sid}/zxy/" in said
    assert client.get(f"/v/{version}/iiif/3/{sid}/info.json").json()["id"].endswith(f"/v/{version}/iiif/3/{sid}")
    hidden = house.slide(State.IN_REVIEW)
    assert client.get(f"/v/{version}/slides/{hidden}.dzi").status_code == 404
    seen = house.client("curator").get(f"/v/{version}/slides/{hidden}.dzi")
    assert seen.headers["Cache-Control"] == "private, no-store"


NAMES = st.sampled_from(["x", "y", "w", "h", "units", "level", "mpp", "mag", "fmt", "quality", "color", "z"])
VALUES = st.one_of(
    st.integers(0, 1000).map(str),
    st.floats(0, 1e6).map(str),
    st.sampled_from(["um", "mm", "png", "srgb", "embed", "webp"]),
    st.text(max_size=6),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from(["region", "pixel", "tissue", "zxy/1/0/0.jpg"]))
def test_nothing_asked_breaks_the_server(client, sid, query, what):
    """Whatever the parameters: an answer, or a refusal that says why."""
    full = {"x": "1", "y": "1", "w": "90", "h": "80"} | query if what == "region" else query
    answer = client.get(f"/slides/{sid}/{what}?{urlencode(full)}")
    assert answer.status_code in {200, 400, 413}, (query, answer.text)
