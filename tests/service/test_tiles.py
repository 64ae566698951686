"""Tiles: right bytes, right headers, and only for who may look."""

import base64
import hashlib
import io
import time
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from coverslip.archive.states import State
from coverslip.pyramid import Pyramid

STRANGERS = (None, "submitter", "viewer", "ops")


@pytest.fixture(scope="module")
def released(house):
    """A slide anybody may see."""
    return house.slide(State.RELEASED)


@pytest.fixture(scope="module")
def reviewed(house):
    """A slide only curators may see."""
    return house.slide(State.IN_REVIEW)


def test_every_tile_decodes_and_is_the_pyramids(house, released):
    """All tiles of all levels come byte for byte from the pyramid and have the size DeepZoom says."""
    pyramid = Pyramid.open(house.tiled.clean, house.tiled.index)
    with house.client() as client:
        for level in range(pyramid.dz_levels):
            grid = pyramid.grid.grid(pyramid.grid.largest - level)
            for column in range(grid.width):
                for row in range(grid.height):
                    answer = client.get(f"/slides/{released}_files/{level}/{column}_{row}.jpg")
                    assert answer.content == pyramid.tile(level, column, row)
                    extent = pyramid.grid.extent(pyramid.grid.largest - level, column, row)
                    assert Image.open(io.BytesIO(answer.content)).size == (extent.width, extent.height)


def test_descriptor(house, released):
    """The DZI names the size, the tile size and no overlap; the JSON form says the same."""
    with house.client() as client:
        root = ET.fromstring(client.get(f"/slides/{released}.dzi").text)
        image = client.get(f"/slides/{released}.json").json()["Image"]
    assert root.attrib["Overlap"] == "0"
    assert root[0].attrib == {"Width": "700", "Height": "500"}
    assert image["Size"] == {"Width": 700, "Height": 500}
    assert str(image["TileSize"]) == root.attrib["TileSize"]


def test_public_headers(house, released):
    """Strong tag, revalidated cache, usable from other origins, nothing to sniff."""
    answer = house.client().get(f"/slides/{released}_files/9/0_0.jpg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "public, max-age=60, must-revalidate"
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_a_stored_tile_says_that_it_was(house, released, monkeypatch):
    """Cache-Status and Server-Timing tell a tile that lay in memory from one that had to be fetched."""
    where = f"/slides/{released}_files/9/0_0.jpg"
    with house.client() as client:
        for _ in range(2):
            answer = client.get(where)
            assert answer.headers["Cache-Status"] == "coverslip; hit; detail=stored"
            assert answer.headers["Server-Timing"] == "stored"
        monkeypatch.setattr(Pyramid, "tile_at_hand", lambda *_: None)
        answer = client.get(where)
    assert answer.headers["Cache-Status"] == "coverslip; fwd=miss; detail=stored"
    assert answer.headers["Server-Timing"].startswith("read;dur=")


@pytest.mark.parametrize("what", ["_files/9/0_0.jpg", ".dzi", "/thumbnail"])
def test_not_modified(house, released, what):
    """If-None-Match: the tag, a list with it, a weak form and `*` give 304 without a body; another tag gives 200."""
    with house.client() as client:
        where = f"/slides/{released}{what}"
        tag = client.get(where).headers["ETag"]
        for given in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            answer = client.get(where, headers={"If-None-Match": given})
            assert (answer.status_code, answer.content) == (304, b"")
        assert client.get(where, headers={"If-None-Match": '"x"'}).status_code == 200


def test_head_has_headers_and_no_body(house, released):
    """HEAD says the length a GET would have."""
    with house.client() as client:
        where = f"/slides/{released}_files/9/0_0.jpeg"
        head, get = client.head(where), client.get(where)
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(get.content))
    assert house.client().post(where).status_code == 405


@pytest.mark.parametrize("place", ["9/99_0", "9/0_99", "40/0_0", "99/0_0"])
def test_outside_the_grid(house, released, reviewed, place):
    """A 404 that a cache may keep for a minute, for a public slide only."""
    answer = house.client().get(f"/slides/{released}_files/{place}.jpg")
    assert (answer.status_code, answer.json()["code"]) == (404, "tile-not-found")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    hidden = house.client("curator").get(f"/slides/{reviewed}_files/{place}.jpg")
    assert hidden.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    "path", ["9/-1_0.jpg", "9/0_0.gif", "9/0_0", "a/0_0.jpg", "9/0_0.jpg/", "../x.jpg", "9/٣_0.jpg"]
)
def test_other_addresses_are_not_tiles(house, released, path):
    """What does not look like a tile's address is 404 before anything is opened."""
    assert house.client().get(f"/slides/{released}_files/{path}").status_code == 404


@pytest.mark.parametrize("role", STRANGERS)
@pytest.mark.parametrize("what", ["_files/9/0_0.jpg", ".dzi", "/thumbnail"])
def test_unreviewed_slides_look_unknown(house, reviewed, role, what):
    """Before the release, nobody but curators can tell the slide from one that does not exist."""
    with house.client(role) as client:
        hidden, unknown = client.get(f"/slides/{reviewed}{what}"), client.get(f"/slides/nothing{what}")
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.content == unknown.content
    assert dict(hidden.headers) | {"date": ""} == dict(unknown.headers) | {"date": ""}


@pytest.mark.parametrize("role", ["curator", "admin"])
def test_curators_see_before_the_release(house, reviewed, role):
    """Curators get tiles nobody may keep."""
    answer = house.client(role).get(f"/slides/{reviewed}_files/9/0_0.jpg")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_not_tiled_yet(house):
    """While a worker is on it: 409 with Retry-After for a curator, 404 for anybody else, never a blank tile."""
    sid = house.slide(State.PROCESSING)
    answer = house.client("curator").get(f"/slides/{sid}_files/9/0_0.jpg")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-ready")
    assert int(answer.headers["Retry-After"]) > 0
    assert house.client().get(f"/slides/{sid}_files/9/0_0.jpg").status_code == 404


@pytest.mark.parametrize("state", [State.QUARANTINED, State.REJECTED])
def test_closed_zones_have_no_tiles(house, state):
    """Not even a curator gets pixels of what was set aside."""
    assert house.client("curator").get(f"/slides/{house.slide(state)}_files/9/0_0.jpg").status_code == 404


def test_release_and_withdrawal_show_within_seconds(house):
    """Hidden, then public, then gone (410), each within seconds and without a restart."""
    sid = house.slide(State.IN_REVIEW)
    where = f"/slides/{sid}_files/9/0_0.jpg"
    with house.client() as client:
        assert client.get(where).status_code == 404
        house.archive.transition(sid, State.RELEASED, "curator")
        assert within(20, lambda: client.get(where).status_code == 200)
        house.archive.transition(sid, State.WITHDRAWN, "curator", "asked to")
        assert within(20, lambda: client.get(where).status_code == 410)


def within(seconds, holds):
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not (done := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return done


@pytest.mark.parametrize(
    "what", ["label", "macro", "overview", "associated/label", "label.jpg", "associated/macro", "associated/overview"]
)
@pytest.mark.parametrize("role", [None, "curator", "admin"])
def test_no_route_leads_to_a_label(house, released, role, what):
    """Label and overview have no address, for nobody."""
    with house.client(role) as client:
        assert client.get(f"/slides/{released}/{what}").status_code == 404
        assert client.get(f"/api/v1/slides/{released}/{what}").status_code == 404


def test_thumbnail(house, released):
    """As wide as asked or the next of a few widths, never wider than the slide, and strict about its parameter."""
    with house.client() as client:
        for asked, width in ((128, 128), (100, 128), (16, 16), (17, 24), (1024, 700)):
            found = client.get(f"/slides/{released}/thumbnail?width={asked}")
            assert Image.open(io.BytesIO(found.content)).size == (width, round(500 * width / 700))
        for wrong in ("width=5", "width=a", "width=1&width=2", "size=3", "width=99999", "width=%D9%A3%D9%A3"):
            assert client.get(f"/slides/{released}/thumbnail?{wrong}").status_code == 400


def test_a_thumbnail_is_made_once(house, released):
    """A thousand widths are thirteen pictures: the second who asks for about as wide a one finds it in memory."""
    with house.client() as client:
        first, again = (client.get(f"/slides/{released}/thumbnail?width={width}") for width in (290, 300))
    assert first.headers["Cache-Status"] == "coverslip; fwd=miss; stored"
    assert again.headers["Cache-Status"] == "coverslip; hit"
    assert (first.content, first.headers["ETag"]) == (again.content, again.headers["ETag"])


def test_the_file_itself(house, released, reviewed):
    """The clean slide comes whole and in ranges, under its id, with its digest; before the release to curators only."""
    data = house.tiled.clean.read_bytes()
    with house.client() as client:
        whole = client.get(f"/slides/{released}/file")
        assert whole.content == data
        assert whole.headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'
        assert base64.b64encode(hashlib.sha256(data).digest()).decode() in whole.headers["Repr-Digest"]
        assert f"{released}.svs" in whole.headers["Content-Disposition"]
        part = client.get(f"/slides/{released}/file", headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, data[100:200])
        assert client.get(f"/slides/{reviewed}/file").status_code == 404
    hidden = house.client("curator").get(f"/slides/{reviewed}/file")
    assert hidden.headers["Cache-Control"] == "private, no-store"
