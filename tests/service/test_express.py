"""The short way of tiles says exactly what the long way says, and keeps every connection in step."""

import http.client
import socket
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from coverslip.archive.states import State
from coverslip.geometry import TileIndex
from coverslip.pyramid import Pyramid, zxy
from service import links, sessions, shelf
from service.express import Express
from service.quick import Quick

LONG_WAY = "?"
"""An address with a query is never answered at once."""


@pytest.fixture(scope="module")
def released(house):
    """A slide anybody may see."""
    return house.slide(State.RELEASED)


@pytest.fixture
def at_once(monkeypatch):
    """Every answer the short way gave, None for a request it passed on.

    What it believes holds for minutes, so that a slow machine sees the same as a quick one.
    """
    monkeypatch.setattr(shelf, "BELIEVED", 600.0)
    monkeypatch.setattr(sessions, "RECHECK", 600.0)
    found = []
    short = Quick.answer

    def watched(self, *request):
        found.append(short(self, *request))
        return found[-1]

    monkeypatch.setattr(Quick, "answer", watched)
    return found


@pytest.fixture
def curator(house):
    """A browser with a curator's cookie, known for a moment."""
    with house.client() as client:
        form = {"key": house.keys["curator"]}
        assert client.post("/signin", data=form, headers={"Origin": house.url}).status_code == 303
        yield client


def connection(house):
    """A bare connection to the front end."""
    where = urlsplit(house.url)
    return socket.create_connection((where.hostname, where.port), timeout=20)


def request(path, *headers):
    """A GET as bytes."""
    return "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "")).encode()


def answers(sock, count):
    """(status, body) of the next answers on a connection."""
    found = []
    with sock.makefile("rb") as file:
        for _ in range(count):
            status = int(file.readline().split()[1])
            headers = http.client.parse_headers(file)
            found.append((status, file.read(int(headers["Content-Length"]))))
    return found


def warm(client, where, at_once):
    """Ask until the short way answers: an earlier test's look at the slide may just be running out."""
    for _ in range(100):
        assert client.get(where).status_code == 200
        if at_once[-1] is not None:
            return
    raise AssertionError("the short way never answers")


def alike(short, long):
    """Whether two answers are the same but for the second they were given in."""
    dates = {"date": ""}
    if short.headers.get("Cache-Status") != long.headers.get("Cache-Status"):
        dates |= {"cache-status": "", "server-timing": ""}  # only the long way knows what making took
    same = (short.status_code, short.content) == (long.status_code, long.content)
    return same and dict(short.headers) | dates == dict(long.headers) | dates


def test_both_ways_give_the_same_answer(house, released, at_once):
    """Status, headers and body of a released tile, asked for anew and again."""
    where = f"/slides/{released}_files/9/0_0.jpg"
    with house.client() as client:
        warm(client, where, at_once)
        for headers in ({}, {"If-None-Match": '"x"'}, {"If-None-Match": client.get(where).headers["ETag"]}):
            short = client.get(where, headers=headers)
            assert at_once[-1] is not None
            long = client.get(where + LONG_WAY, headers=headers)
            assert at_once[-1] is None
            assert alike(short, long)


def every_address(house, sid):
    """Every tile of a slide under each address that names it."""
    with Pyramid.open(house.tiled.clean, house.tiled.index) as pyramid:
        zoom = pyramid.grid
    for reduction in range(zoom.levels):
        grid, z = zoom.grid(reduction), zxy.max_zoom(zoom) - reduction
        for tile in (TileIndex(reduction, c, r) for c in range(grid.width) for r in range(grid.height)):
            at, side = f"{tile.column}_{tile.row}", zoom.tile << reduction
            x, y, size = tile.column * side, tile.row * side, zoom.extent(reduction, tile.column, tile.row)
            region = f"{x},{y},{min(side, zoom.size.width - x)},{min(side, zoom.size.height - y)}"
            yield f"/slides/{sid}_files/{zoom.largest - reduction}/{at}.jpeg"
            yield f"/iiif/3/{sid}/{region}/{size.width},{size.height}/0/default.jpg"
            yield f"/iiif/3/{sid}/{x},{y},{side},{side}/{size.width},/0/default.jpg"
            yield f"/iiif/2/{sid}/{region}/{size.width},/0/default.jpg"
            yield f"/iiif/2/{sid}/{region}/{size.width},{size.height}/0/default.jpg"
            if z >= 0:
                yield f"/slides/{sid}/zxy/{z}/{tile.column}/{tile.row}.jpg"
                yield f"/slides/{sid}/zoomify/TileGroup0/{z}-{tile.column}-{tile.row}.jpg"


def test_every_address_of_a_tile(house, released, at_once):
    """IIIF, slippy map, Zoomify and pinned addresses: answered at once or not, the answer is the same."""
    quick = 0
    with house.client() as client:
        version = client.get(f"/slides/{released}_files/9/0_0.jpg").headers["ETag"].strip('"').split("-")[0]
        for path in every_address(house, released):
            for where in (path, f"/v/{version[:16]}{path}"):
                client.get(where + LONG_WAY)  # what is made on request is in memory now
                short, said = client.get(where), at_once[-1]
                long = client.get(where + LONG_WAY)
                quick += said is not None
                assert said is None or alike(short, long), where
                assert short.status_code == 200
                again = client.get(where, headers={"If-None-Match": short.headers["ETag"]})
                assert (again.status_code, again.content) == (304, b"")
    assert quick > 100


@pytest.mark.parametrize(
    "path",
    [
        "/iiif/3/{}/0,0,256,256/256,255/0/default.jpg",
        "/iiif/3/{}/1,0,256,256/256,256/0/default.jpg",
        "/iiif/3/{}/0,0,512,256/256,128/0/default.jpg",
        "/iiif/2/{}/0,0,0,0/1,/0/default.jpg",
        "/iiif/2/{}/0,0,5,5/0,/0/default.jpg",
        "/iiif/3/{}/99999,0,256,256/256,256/0/default.jpg",
        "/slides/{}/zxy/0/7/7.jpg",
        "/slides/{}/zxy/9/0/0.jpg",
        "/slides/{}/zoomify/TileGroup5/0-0-0.jpg",
        "/v/0123456789abcdef/slides/{}_files/9/0_0.jpg",
    ],
)
def test_what_is_no_tile_goes_the_long_way(house, released, at_once, path):
    """Regions that are not exactly one tile, and tiles that are not there, are nothing to answer at once."""
    with house.client() as client:
        warm(client, f"/slides/{released}_files/9/0_0.jpg", at_once)
        client.get(path.format(released))
    assert at_once[-1] is None


def test_a_known_curator_goes_the_short_way(house, curator, at_once):
    """A cookie verified a moment ago opens a slide in review, with the headers of the long way."""
    where = f"/slides/{house.slide(State.IN_REVIEW)}_files/9/0_0.jpg"
    curator.get(where + LONG_WAY)
    short = curator.get(where)
    assert at_once[-1] is not None
    assert short.status_code == 200
    assert alike(short, curator.get(where + LONG_WAY))


@pytest.mark.parametrize("headers", [{}, {"Cookie": "coverslip=forged"}, {"Authorization": "Bearer x"}])
def test_nobody_else_sees_a_slide_in_review(house, curator, at_once, headers):
    """Without a good cookie the short way gives nothing, even just after a curator looked."""
    where = f"/slides/{house.slide(State.IN_REVIEW)}_files/9/0_0.jpg"
    curator.get(where)
    curator.get(where)
    assert at_once[-1] is not None
    with house.client(**headers) as client:
        assert client.get(where).status_code in (401, 404)
    assert at_once[-1] is None


def test_a_viewers_cookie_is_not_enough(house, at_once):
    """A verified cookie of another role gives nothing either."""
    where = f"/slides/{house.slide(State.IN_REVIEW)}_files/9/0_0.jpg"
    with house.client() as client:
        client.post("/signin", data={"key": house.keys["viewer"]}, headers={"Origin": house.url})
        assert [client.get(where).status_code for _ in range(2)] == [404, 404]
    assert at_once[-1] is None


def test_answers_come_in_the_order_asked(house, released):
    """Tiles and descriptors in one breath: each answer where its question stood."""
    tile, descriptor = f"/slides/{released}_files/9/0_0.jpg", f"/slides/{released}.dzi"
    with house.client() as client:
        expected = {path: client.get(path).content for path in (tile, descriptor)}
    paths = [tile, descriptor, tile, tile, descriptor, tile]
    with connection(house) as sock:
        sock.sendall(b"".join(map(request, paths)))
        assert answers(sock, len(paths)) == [(200, expected[path]) for path in paths]


def test_close_is_honoured(house, released):
    """Who asks for the connection to end after the tile gets that, at once."""
    tile = f"/slides/{released}_files/9/0_0.jpg"
    with house.client() as client:
        client.get(tile)
        assert client.get(tile, headers={"Connection": "close"}).headers["Connection"] == "close"
    with connection(house) as sock:
        sock.settimeout(2)
        sock.sendall(request(tile, "Connection: close"))
        assert answers(sock, 1)[0][0] == 200
        assert sock.recv(1) == b""


def test_a_body_nobody_wants_is_dropped(house, released):
    """A GET with a body gets its tile, and the next request on the connection is understood."""
    tile = f"/slides/{released}_files/9/0_0.jpg"
    with connection(house) as sock:
        for _ in range(2):
            sock.sendall(request(tile, "Content-Length: 5") + b"GET /")
            sock.sendall(request(tile))
            assert [status for status, _ in answers(sock, 2)] == [200, 200]


def test_who_does_not_read_is_waited_for(house, released, at_once, monkeypatch):
    """Four thousand tiles asked for and none read, for longer than an idle connection is kept: few are prepared, the
    rest of the house goes on meanwhile, and in the end all come."""
    tile = f"/slides/{released}_files/9/0_0.jpg"
    made = Express.connection_made

    def impatient(self, transport):
        made(self, transport)
        self.timeout_keep_alive = 0.1

    with house.client() as client:
        expected = client.get(tile).content
        monkeypatch.setattr(Express, "connection_made", impatient)
        with connection(house) as sock:
            sock.sendall(request(tile) * 4000)
            time.sleep(0.5)
            assert client.get(tile).status_code == 200
            assert sum(answer is not None for answer in at_once) < 2000
            assert answers(sock, 4000) == [(200, expected)] * 4000


def test_a_tile_that_is_not_in_memory(house, released, monkeypatch):
    """When the disk has to be asked, the answer comes the long way, and is the same."""
    pyramid = Pyramid.open(house.tiled.clean, house.tiled.index)
    monkeypatch.setattr(Pyramid, "tile_at_hand", lambda *_: None)
    answer = house.client().get(f"/slides/{released}_files/9/0_0.jpg")
    assert answer.content == pyramid.tile(9, 0, 0)


SITE = "https://viewer.example"
ALONG = {"If-Modified-Since": "never"}
"""A condition nobody can answer at once, and which is ignored where it is looked at."""


@pytest.fixture(scope="module")
def open_house(house_with):
    """A front end that two other sites may read."""
    return house_with(cors_origins=f"https://other.example,{SITE}")


@pytest.mark.parametrize("origin", [None, SITE, "https://evil.example", "null"])
@pytest.mark.parametrize("path", ["/slides/{}_files/9/0_0.jpg", "/iiif/3/{}/0,0,256,256/256,256/0/default.jpg"])
def test_an_allow_list_is_looked_up(open_house, at_once, origin, path):
    """Who may read is told by both ways alike, and that the answer depends on who asks."""
    where = path.format(open_house.slide(State.RELEASED))
    with open_house.client(**({"Origin": origin} if origin else {})) as client:
        warm(client, where, at_once)
        short, long = client.get(where), client.get(where, headers=ALONG)
    assert [one is None for one in at_once[-2:]] == [False, True]
    assert alike(short, long)
    assert short.headers["Vary"] == "Origin"
    assert short.headers.get("Access-Control-Allow-Origin") == (SITE if origin == SITE else None)


def ways_in(house, sid):
    """What opens a slide in review: (what stands before an address, behind it, headers)."""
    token = house.client("curator").post(f"/api/v1/slides/{sid}/links").json()["token"]
    return {
        "key": ("", "", {"Authorization": f"Bearer {house.keys['curator']}"}),
        "lent": (f"/t/{token}", "", {}),
        "token": ("", f"?token={token}", {}),
        "lent to a stranger": (f"/t/{token}", "", {"Cookie": "coverslip=forged"}),
    }


@pytest.mark.parametrize("way", ["key", "lent", "token", "lent to a stranger"])
def test_every_way_in_is_short(house, at_once, way):
    """A key, a lent address and a link's parameter, once looked at: under each address of each tile both ways agree."""
    sid = house.slide(State.IN_REVIEW)
    before, behind, headers = ways_in(house, sid)[way]
    quick = 0
    with house.client(**headers) as client:
        warm(client, f"{before}/slides/{sid}_files/9/0_0.jpg{behind}", at_once)
        version = client.get(f"{before}/slides/{sid}_files/9/0_0.jpg{behind}").headers["ETag"][1:17]
        for path in every_address(house, sid):
            for pinned in ("", f"/v/{version}"):
                where = f"{before}{pinned}{path}{behind}"
                client.get(where, headers=ALONG)  # what is made on request is in memory now
                short, said = client.get(where), at_once[-1]
                long = client.get(where, headers=ALONG)
                assert short.status_code == 200, where
                assert said is None or alike(short, long), where
                quick += said is not None
    assert quick > 100


@pytest.mark.parametrize("way", ["key", "cookie"])
def test_a_revoked_key_opens_no_further_tile(house, at_once, way):
    """However long a process believes: on the very next request a key that somebody else's process revoked is none."""
    where = f"/slides/{house.slide(State.IN_REVIEW)}_files/9/0_0.jpg"
    key_id, house.keys["passing"] = house.archive.catalog.create_key("passing", {"curator"}, "passing")
    with house.client("passing" if way == "key" else None) as client:
        if way == "cookie":
            client.post("/signin", data={"key": house.keys["passing"]}, headers={"Origin": house.url})
        warm(client, where, at_once)
        house.archive.catalog.revoke_key(key_id)
        assert client.get(where).status_code == {"key": 401, "cookie": 404}[way]
    assert at_once[-1] is None


def test_who_asked_before_on_a_connection_opens_nothing(house, at_once):
    """A proxy sends everybody's requests down one connection; each is answered for its own headers alone."""
    where = f"/slides/{house.slide(State.IN_REVIEW)}_files/9/0_0.jpg"
    key, forged = house.keys["curator"], "Authorization: Bearer csk_x"
    good = request(where, f"Authorization: Bearer {key}")
    others = [(), (forged,), (f"Cookie: Bearer {key}",), (f"Authorization: {key}",), (f"Authorization: Basic {key}",)]
    with house.client("curator") as client, connection(house) as sock:
        warm(client, where, at_once)
        for other in others:
            sock.sendall(good)
            assert [status for status, _ in answers(sock, 1)] == [200]
            assert at_once[-1] is not None
            sock.sendall(request(where, *other))
            ((status, _),) = answers(sock, 1)
            assert status in (401, 404), other
            assert at_once[-1] is None


@pytest.mark.parametrize("way", ["key", "cookie"])
def test_what_is_believed_ends_in_time(house, at_once, monkeypatch, way):
    """Also on the connection it is believed on: then the catalogue is asked again."""
    where = f"/slides/{house.slide(State.IN_REVIEW)}_files/9/0_0.jpg"
    with house.client("curator" if way == "key" else None) as client:
        if way == "cookie":
            client.post("/signin", data={"key": house.keys["curator"]}, headers={"Origin": house.url})
        warm(client, where, at_once)
        assert client.get(where).status_code == 200
        assert at_once[-1] is not None
        now = time.monotonic() + sessions.RECHECK
        monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now))
        assert client.get(where).status_code == 200
    assert at_once[-1] is None


def test_another_keys_end_is_asked_for_once(house, at_once):
    """A revocation costs those who are still in one look at the catalogue, and nothing else."""
    where = f"/slides/{house.slide(State.IN_REVIEW)}_files/9/0_0.jpg"
    key_id, _ = house.archive.catalog.create_key("passing", {"curator"}, "passing")
    with house.client("curator") as client:
        warm(client, where, at_once)
        house.archive.catalog.revoke_key(key_id)
        assert [client.get(where).status_code for _ in range(2)] == [200, 200]
    assert [one is None for one in at_once[-2:]] == [True, False]


@pytest.mark.parametrize("way", ["lent", "token"])
def test_a_link_ends_on_the_short_way_too(house, at_once, monkeypatch, way):
    """What was remembered of a link is forgotten in its last second; another slide it never opened."""
    sid, other = house.slide(State.IN_REVIEW), house.slide(State.IN_REVIEW)
    before, behind, _ = ways_in(house, sid)[way]
    with house.client() as client:
        warm(client, f"{before}/slides/{sid}_files/9/0_0.jpg{behind}", at_once)
        assert client.get(f"{before}/slides/{other}_files/9/0_0.jpg{behind}").status_code == 404
        now = time.time()
        monkeypatch.setattr(links.time, "time", lambda: now + links.LIFETIME + 1)
        assert client.get(f"{before}/slides/{sid}_files/9/0_0.jpg{behind}").status_code == 404
    assert at_once[-1] is None


def test_a_bad_key_is_told_so_whatever_it_asks_for(house):
    """401 with RFC 6750's reason, for a slide that is hidden and for one that does not exist, in the same words."""
    hidden = house.slide(State.IN_REVIEW)
    answers = []
    for sid in (hidden, "nothing"):
        for path in ("/slides/{}_files/9/0_0.jpg", "/iiif/3/{}/info.json", "/v/0123456789abcdef/slides/{}.dzi"):
            answers.append(house.client(Authorization="Bearer csk_x").get(path.format(sid)))
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {
        'Bearer realm="coverslip", error="invalid_token"'
    }
    assert len({answer.content for answer in answers}) == 1


def test_withdrawal_reaches_the_short_way(house, at_once, monkeypatch):
    """A slide served a moment ago is gone (410) once its second of belief is over."""
    sid = house.slide(State.RELEASED)
    where = f"/slides/{sid}_files/9/0_0.jpg"
    with house.client() as client:
        monkeypatch.setattr(shelf, "BELIEVED", 1.0)
        warm(client, where, at_once)
        house.archive.transition(sid, State.WITHDRAWN, "curator", "asked to")
        for _ in range(100):
            if (status := client.get(where).status_code) == 410:
                break
            assert status == 200
        assert at_once[-1] is None or status == 200


def test_both_ways_count(house, released):
    """`/metrics` counts requests and bytes of either way."""

    def figures():
        text = house.client("ops").get("/metrics").text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("coverslip_tile_"))
        return float(lines["coverslip_tile_requests_total"]), float(lines["coverslip_tile_bytes_total"])

    with house.client() as client:
        requests, sent = figures()
        lengths = [len(client.get(f"/slides/{released}_files/9/0_0.jpg{more}").content) for more in ("", "", LONG_WAY)]
    assert figures() == (requests + 3, sent + sum(lengths))
