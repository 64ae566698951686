"""Several planes over HTTP: chosen by parameter on every address, joined in their colours when nobody chooses."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coverslip.archive.states import State
from coverslip.outcomes import Cleaned
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.pyramid import Pyramid, build
from samples import ome
from service.making import Making
from service.schemas import PlanesOut
from tests.service.conftest import SLIDE, Tiled

Z, CHANNELS, MOMENTS = 3, 2, 2
PATHS = (
    "/slides/{}_files/10/1_0.jpg",
    "/slides/{}_files/10/1_0.png",
    "/slides/{}/zxy/2/0/0.png",
    "/slides/{}/zoomify/TileGroup0/2-0-0.jpg",
    "/slides/{}/region?x=0&y=0&w=256&h=256&fmt=png",
    "/iiif/3/{}/0,0,256,256/max/0/default.png",
    "/iiif/2/{}/0,0,256,256/256,/0/default.jpg",
    "/slides/{}/thumbnail?width=200",
)
"""Every kind of address that shows pixels."""


def _tiled(folder: Path, **options) -> Tiled:
    folder.mkdir()
    source, index = folder / "DOE^JANE.ome.tiff", folder / "slide.pyramid"
    ome.write(source, SLIDE, **options)
    outcome = deidentify(source, folder, policy=load("strict"), key=bytes(32), name="slide")
    assert isinstance(outcome, Cleaned)
    build(outcome.clean, index)
    with Pyramid.open(outcome.clean, index) as pyramid:
        return Tiled(outcome.clean, outcome.certificate, outcome.sha256, index, pyramid.tile_size)


@pytest.fixture(scope="module")
def grey(house, tmp_path_factory):
    """A released slide of three focal planes, two channels and two moments, 16 bits; and its files."""
    tiled = _tiled(tmp_path_factory.mktemp("grey") / "a", z=Z, channels=CHANNELS, t=MOMENTS)
    return replace(house, tiled=tiled).slide(State.RELEASED), tiled


@pytest.fixture(scope="module")
def colour(house, tmp_path_factory):
    """A released z-stack of colour pictures."""
    tiled = _tiled(tmp_path_factory.mktemp("colour") / "a", z=Z, rgb=True, codec="jpeg", identifiers=False)
    return replace(house, tiled=tiled).slide(State.RELEASED), tiled


@pytest.fixture(scope="module")
def client(house):
    """Somebody who is nobody."""
    with house.client() as found:
        yield found


@pytest.fixture(scope="module")
def see(client):
    """The pixels an address gives, and its validator."""

    def see(path, query=""):
        answer = client.get(path + (("&" if "?" in path else "?") + query if query else ""))
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int), answer.headers["etag"]

    return see


@pytest.mark.parametrize("path", PATHS)
def test_planes_and_channels_show_other_pixels_everywhere(see, grey, path):
    """Each focal plane, moment, channel and window is another picture with another validator, whatever the address."""
    here = path.format(grey[0])
    plain = see(here)
    queries = ("z=0", "z=2", "t=1", "channels=0", "channels=1", "window=100,900", "z=0&channels=1&window=100,900")
    seen = [plain, *(see(here, query) for query in queries)]
    assert len({tag for _, tag in seen}) == len(seen)
    assert len({pixels.tobytes() for pixels, _ in seen}) == len(seen)
    for query in ("z=1", "t=0", "channels=0,1", "z=1&t=0"):
        assert (see(here, query)[0] == plain[0]).all()


def test_channels_are_added_in_their_colours(see, grey):
    """DAPI is blue, FITC green; without a wish both are there."""
    here = f"/slides/{grey[0]}/region?x=0&y=0&w=500&h=400&fmt=png"
    both, blue, green = see(here)[0], see(here, "channels=0")[0], see(here, "channels=1")[0]
    assert blue[..., 2].mean() > 20
    assert green[..., 1].mean() > 20
    assert max(blue[..., :2].mean(), green[..., ::2].mean()) < 6
    assert np.abs(both - np.minimum(blue + green, 255)).mean() < 3


def test_joined_tiles_are_made_once_and_kept(client, grey):
    """A tile nobody stores is made on request, in the pool, and comes from memory the second time."""
    here = f"/slides/{grey[0]}_files/10/0_1.jpg?channels=1"
    first, second = client.get(here), client.get(here)
    assert first.content == second.content
    assert "hit" in second.headers["cache-status"]
    assert client.get(here, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    plain = f"/slides/{grey[0]}_files/10/0_1.jpg"
    assert client.get(plain).headers["etag"] == client.get(plain + "?z=1").headers["etag"]
    assert "hit" in client.get(plain + "?z=1").headers["cache-status"]


def test_a_colour_plane_is_its_stored_bytes(client, colour):
    """Any focal plane of a JPEG stack is served as the slide stores it: nothing is decoded for `z`."""
    sid, tiled = colour
    with Pyramid.open(tiled.clean, tiled.index) as pyramid:
        for z in range(Z):
            shown = pyramid.shown(z)
            assert shown.stored(10, 1, 0)
            answer = client.get(f"/slides/{sid}_files/10/1_0.jpg?z={z}")
            assert answer.content == shown.tile(10, 1, 0)
    assert len({client.get(f"/slides/{sid}_files/10/1_0.jpg?z={z}").content for z in range(Z)}) == Z


def test_samples_of_a_colour_stack(see, colour):
    """`channels` are red, green and blue where a plane is a colour picture."""
    here = f"/slides/{colour[0]}_files/10/0_0.png"
    plain, red = see(here, "z=2")[0], see(here, "z=2&channels=0")[0]
    assert (red[..., 0] == plain[..., 0]).all()
    assert not red[..., 1:].any()


WRONG = (
    *("z=3", "t=2", "z=-1", "z=", "z=1.0", "z=1&z=1", "channels=2", "channels=0,0", "channels=", "channels=a"),
    *("window=5", "window=9,9", "window=9,5", "window=0,65536", "window=0,9,0", "channels=0&window=0,9,0,9", "plane=1"),
    "channels=" + ",".join(map(str, range(65))),
)


@pytest.mark.parametrize("query", WRONG)
@pytest.mark.parametrize("path", [*PATHS, "/slides/{}.dzi", "/slides/{}/tilejson.json", "/slides/{}/pixel?x=1&y=1"])
def test_what_is_not_there_is_refused(client, grey, path, query):
    """A plane, channel, window or parameter that does not exist is a typed 400 on every address."""
    answer = client.get(path.format(grey[0]) + ("&" if "?" in path else "?") + query)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")


def test_descriptors_lead_to_the_same_planes(client, grey):
    """OpenSeadragon carries a descriptor's query to its tiles by itself, a TileJSON carries it in its address."""
    sid = grey[0]
    plain, asked = client.get(f"/slides/{sid}.dzi"), client.get(f"/slides/{sid}.dzi?z=2&channels=1")
    assert asked.content == plain.content
    assert asked.headers["etag"] != plain.headers["etag"]
    assert asked.headers["content-type"] == plain.headers["content-type"]
    found = client.get(f"/slides/{sid}/tilejson.json?z=2&channels=1,0").json()
    assert found["tiles"][0].endswith("/zxy/{z}/{x}/{y}.jpg?channels=1,0&z=2")
    assert client.get(f"/slides/{sid}/tilejson.json").json()["tiles"][0].endswith(".jpg")


def test_the_description_lists_the_planes(house, client, grey, colour):
    """Sizes, names of the vocabulary, colours, wavelengths and windows, in both descriptions and with types."""
    with house.client("curator") as curator:
        answers = [curator.get(f"/api/v1/slides/{grey[0]}").json(), client.get(f"/slides/{grey[0]}.json").json()]
        assert curator.get("/api/v1/slides").json()["slides"][0]["planes"] is None
    for answer in answers:
        planes = answer["planes"]
        assert (planes["z"], planes["t"], planes["shown_z"], planes["bits"], planes["color"]) == (3, 2, 1, 16, False)
        assert [channel["name"] for channel in planes["channels"]] == ["DAPI", None]  # the other was somebody's name
        assert [channel["color"] for channel in planes["channels"]] == ["#0000FF", "#00FF00"]
        assert planes["channels"][0]["emission"] == pytest.approx(461)
        assert planes["channels"][0]["window"][0] < planes["channels"][0]["window"][1] < 65535
        assert PlanesOut.model_validate(planes).z_step == pytest.approx(1.5)
    planes = client.get(f"/slides/{colour[0]}.json").json()["planes"]
    assert (planes["z"], planes["color"], len(planes["channels"])) == (3, True, 1)


def test_a_slide_without_tiles_has_no_planes(house):
    """Nothing is known of a slide nobody has processed, and that is no error."""
    sid = house.slide(State.QUEUED)
    with house.client("curator") as curator:
        assert curator.get(f"/api/v1/slides/{sid}").json()["planes"] is None


def test_a_pixel_is_of_the_plane_that_was_asked_for(client, see, grey):
    """Its colour is the one a tile of that plane shows there, in red, green and blue."""
    for query in ("z=2", "z=0&channels=1", "t=1&window=100,900"):
        found = client.get(f"/slides/{grey[0]}/pixel?x=211&y=77&{query}").json()
        assert found["rgb"] == see(f"/slides/{grey[0]}_files/10/0_0.png", query)[0][77, 211].tolist()
        assert set(found) == {"x", "y", "rgb"}


def test_planes_no_browser_shows_are_made_behind_walls(house, client, see, tmp_path_factory, monkeypatch):
    """Each tile of a colour stack in another codec, under every address, is made by the makers and of its own plane."""
    tiled = _tiled(tmp_path_factory.mktemp("coded") / "a", z=Z, rgb=True, codec="deflate")
    sid, orders, make = replace(house, tiled=tiled).slide(State.RELEASED), [], Making.__call__

    def counted(self, order):
        orders.append(order)
        return make(self, order)

    monkeypatch.setattr(Making, "__call__", counted)
    seen = [client.get(f"/slides/{sid}_files/10/1_0.jpg?z={z}") for z in range(Z)]
    assert len(orders) == len({order.pieces[0].data for order in orders}) == len({found.content for found in seen}) == Z
    with Pyramid.open(tiled.clean, tiled.index) as pyramid:
        assert [found.content for found in seen] == [pyramid.shown(z).tile(10, 1, 0) for z in range(Z)]
    assert client.get(f"/slides/{sid}_files/10/1_0.jpg").content == seen[1].content
    for path in PATHS:
        assert (see(path.format(sid), "z=1")[0] == see(path.format(sid))[0]).all()
        assert (see(path.format(sid), "z=2")[0] != see(path.format(sid))[0]).any()


def test_a_histogram_of_each_channel(client, grey, colour):
    """Grey channels have one each, over the steps of their own window; colour pictures have three as ever."""
    found = client.get(f"/slides/{grey[0]}/histogram?z=0").json()
    assert [(channel["channel"], channel["name"]) for channel in found["channels"]] == [(0, "DAPI"), (1, None)]
    assert all(sum(channel["counts"]) == found["pixels"] for channel in found["channels"])
    one = client.get(f"/slides/{grey[0]}/histogram?z=0&channels=1").json()["channels"]
    assert one == found["channels"][1:]
    assert client.get(f"/slides/{grey[0]}/histogram?z=2").json() != found
    assert {"r", "g", "b"} <= client.get(f"/slides/{colour[0]}/histogram?z=2").json().keys()


def test_stored_tiles_of_a_plane(client, grey):
    """The scanner's own grid gives one channel of one focal plane; two at once it does not have."""
    here = f"/slides/{grey[0]}/levels/0/tiles/1/1"
    found = {client.get(f"{here}?z={z}&channels={channel}").content for z in range(Z) for channel in range(CHANNELS)}
    assert len(found) == Z * CHANNELS
    assert client.get(here).content == client.get(f"{here}?z=1&t=0&channels=0").content
    refused = client.get(f"{here}?channels=0,1")
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed-request")
    assert client.get(f"{here}?window=0,9").status_code == 400


def test_the_viewer_page_knows_the_planes(house, client, grey):
    """Page and embedded view carry what the pickers need; a slide of one plane has no pickers."""
    plain = house.slide(State.RELEASED)
    for path in ("/slides/{}", "/slides/{}/viewer", "/embed/{}"):
        assert 'id="planes"' in client.get(path.format(grey[0])).text
        assert 'id="planes"' not in client.get(path.format(plain)).text


def test_planes_of_a_slide_that_is_not_released_stay_hidden(house, grey):
    """A parameter opens nothing: whoever may not look is told the slide does not exist."""
    sid = replace(house, tiled=grey[1]).slide(State.IN_REVIEW)
    with house.client() as nobody, house.client("curator") as curator:
        for path in (*PATHS, "/slides/{}.dzi"):
            here = path.format(sid) + ("&" if "?" in path else "?") + "z=2"
            assert nobody.get(here).status_code == 404
            answer = curator.get(here)
            assert answer.status_code == 200
            assert "private" in answer.headers["cache-control"]
