"""Tiles nobody stores: made when they are asked for, once, under every address, and refused when too many wait."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest
import tifffile

from coverslip.archive.states import State
from coverslip.geometry import Size
from coverslip.pyramid import Pyramid, build
from samples import aperio
from service import asking, quick
from service.routes import exports, tiles


@pytest.fixture(scope="module")
def sparse(house, tmp_path_factory):
    """A released slide large enough for a level that is made on request, and the pyramid that stores it."""
    folder = tmp_path_factory.mktemp("sparse")
    clean, index = folder / "slide.svs", folder / "slide.pyramid"
    aperio.write(clean, Size(2100, 1100), identifiers=False)
    build(clean, index)
    build(clean, folder / "complete.pyramid", complete=True)
    with Pyramid.open(clean, index) as pyramid:
        assert pyramid.on_request(pyramid.dz_levels - 2, 1, 1)
    sid = replace(house, tiled=replace(house.tiled, clean=clean, index=index)).slide(State.RELEASED)
    with Pyramid.open(clean, folder / "complete.pyramid") as complete:
        yield sid, complete


def test_a_tile_on_request_is_the_stored_one(house, sparse):
    """The first answer says it was made, the next that it was kept; both are what a complete pyramid stores."""
    sid, complete = sparse
    with house.client() as client:
        first, again = (client.get(f"/slides/{sid}_files/11/0_1.jpg") for _ in range(2))
        assert first.content == again.content == complete.tile(11, 0, 1)
        assert first.headers["Cache-Status"] == "coverslip; fwd=miss; stored"
        assert first.headers["Server-Timing"].startswith("derive;dur=")
        assert first.headers["ETag"] == again.headers["ETag"]
        known = client.get(f"/slides/{sid}_files/11/0_1.jpg", headers={"If-None-Match": first.headers["ETag"]})
        assert known.status_code == 304


def test_another_codec_is_another_tag(house, sparse, monkeypatch):
    """What is made on request or derived names its codecs in its tag: after an upgrade nobody is told that theirs is
    still right. What is stored does not."""
    sid, _ = sparse
    made = ["_files/11/0_0.jpg", "_files/11/0_0.png", "/thumbnail", "/region?x=0&y=0&w=9&h=9", ".szi"]
    stored = ["_files/12/0_0.jpg", ".dzi"]
    with house.client() as client:
        before = {path: client.head(f"/slides/{sid}{path}").headers["ETag"] for path in made + stored}
        for module in (quick, tiles, asking, exports):
            monkeypatch.setattr(module, "made_by", lambda: "f" * 8)
        after = {path: client.head(f"/slides/{sid}{path}").headers["ETag"] for path in made + stored}
        assert {path for path in before if before[path] != after[path]} == set(made)
        for path in made:
            assert before[path].split("-")[0] == after[path].split("-")[0], "a pinned address stays"
            headers = {"If-None-Match": before[path]}
            for _ in range(2):
                assert client.get(f"/slides/{sid}{path}", headers=headers).status_code == 200


def test_one_tile_under_two_addresses_is_made_once(house, sparse):
    """What DeepZoom had made, the native grid's neighbour zxy finds in memory."""
    sid, complete = sparse
    with house.client() as client:
        assert client.get(f"/slides/{sid}_files/11/1_0.jpg").status_code == 200
        other = client.get(f"/slides/{sid}/zxy/{zoom_of(client, sid)}/1/0.jpg")
        assert other.content == complete.tile(11, 1, 0)
        assert other.headers["Cache-Status"] == "coverslip; hit"


def zoom_of(client, sid):
    """The zxy zoom of the level below the largest."""
    return client.get(f"/slides/{sid}/tilejson.json").json()["maxzoom"] - 1


def test_an_export_makes_them_on_the_way(house, sparse):
    """Its length is not known beforehand, so it is sent in chunks; every tile is in it."""
    import io
    import zipfile

    sid, complete = sparse
    with house.client() as client:
        answer = client.get(f"/slides/{sid}.szi")
        again = client.head(f"/slides/{sid}.szi", headers={"Range": "bytes=0-1"})
    assert "Content-Length" not in answer.headers
    assert again.headers["Accept-Ranges"] == "none"
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert again.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.read(f"{sid}/{sid}_files/11/3_1.jpg") == complete.tile(11, 3, 1)


@pytest.fixture(scope="module")
def coded(house, tmp_path_factory):
    """A released slide of JPEG 2000, the pyramid that stores all of it, and the same slide with one tile gone."""
    folder = tmp_path_factory.mktemp("coded")
    clean, index, broken = folder / "slide.svs", folder / "slide.pyramid", folder / "broken.svs"
    aperio.write(clean, Size(700, 500), codec="j2k-ycbcr", tile=128, downsamples=(1, 4), identifiers=False)
    build(clean, index)
    build(clean, folder / "complete.pyramid", complete=True)
    with tifffile.TiffFile(clean) as file:
        at, length = file.pages[0].dataoffsets[7], file.pages[0].databytecounts[7]
    data = bytearray(clean.read_bytes())
    data[at : at + length] = bytes(length)
    broken.write_bytes(data)
    build(broken, folder / "broken.pyramid")
    sids = [
        replace(house, tiled=replace(house.tiled, clean=path, index=found, tile_size=128)).slide(State.RELEASED)
        for path, found in ((clean, index), (broken, folder / "broken.pyramid"))
    ]
    with Pyramid.open(clean, folder / "complete.pyramid") as complete:
        yield *sids, complete


def test_a_base_no_browser_shows_is_made_on_request(house, coded):
    """The largest level and the one below, under every protocol, once; their validators hold."""
    sid, _, complete = coded
    largest = complete.grid.largest
    with house.client() as client:
        first, again = (client.get(f"/slides/{sid}_files/{largest}/1_1.jpg") for _ in range(2))
        assert first.content == again.content == complete.tile(largest, 1, 1)
        assert first.headers["Content-Type"] == "image/jpeg"
        assert first.headers["Cache-Status"] == "coverslip; fwd=miss; stored"
        assert again.headers["Cache-Status"] == "coverslip; hit"
        known = client.get(f"/slides/{sid}_files/{largest}/1_1.jpg", headers={"If-None-Match": first.headers["ETag"]})
        assert known.status_code == 304
        for address in (
            f"/slides/{sid}/zxy/{zoom_of(client, sid) + 1}/1/1.jpg",
            f"/iiif/3/{sid}/128,128,128,128/128,128/0/default.jpg",
        ):
            assert client.get(address).content == first.content
        below = client.get(f"/slides/{sid}_files/{largest - 1}/0_0.jpg")
        assert below.content == complete.tile(largest - 1, 0, 0)
        region = client.get(f"/slides/{sid}/region?x=100&y=100&w=200&h=100")
        assert region.status_code == 200


def test_the_front_end_does_not_decode_it_itself(house, coded):
    """A process behind walls does, and is kept for the next."""
    sid, _, complete = coded
    with house.client() as client:
        assert client.get(f"/slides/{sid}_files/{complete.grid.largest}/2_2.jpg").status_code == 200
    commands = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert 1 <= sum("coverslip.confined.maker" in command for command in commands) <= 2


def test_a_damaged_tile_of_it_says_so_at_its_place(house, coded):
    """That one address and what is made of it; all others are served."""
    _, broken, complete = coded
    largest = complete.grid.largest
    with house.client() as client:
        for place in (f"{largest}/1_1", f"{largest - 1}/0_0"):
            answer = client.get(f"/slides/{broken}_files/{place}.jpg")
            assert (answer.status_code, answer.json()["code"]) == (500, "pyramid-invalid")
        assert client.get(f"/slides/{broken}_files/{largest}/1_0.jpg").content == complete.tile(largest, 1, 0)


def test_a_storm_of_them_is_answered_or_refused(house, sparse):
    """Fifty at once: each is the right tile or a 503 that says when to come back."""
    sid, complete = sparse
    places = [(column, row) for column in range(4) for row in range(2)] * 6

    def ask(place):
        with house.client() as client:
            return place, client.get(f"/slides/{sid}_files/11/{place[0]}_{place[1]}.jpg")

    with ThreadPoolExecutor(16) as pool:
        for place, answer in pool.map(ask, places):
            if answer.status_code == 503:
                assert int(answer.headers["Retry-After"]) > 0
            else:
                assert answer.content == complete.tile(11, *place)
