"""The viewer alone, the links it is shared by, and SZI downloads: who gets in, for how long, and what they get."""

import io
import time
import zipfile
from datetime import UTC, datetime

import pytest

from coverslip.archive.states import State
from coverslip.errors import SettingsInvalid
from coverslip.settings import Settings
from service import links
from service.links import LIFETIME, LinkTokens
from service.routes.viewer import ancestors

BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def slide(house):
    """A slide in review."""
    return house.slide(State.IN_REVIEW)


@pytest.fixture
def link(house, slide):
    """What a curator is given to hand on."""
    answer = house.client("curator").post(f"/api/v1/slides/{slide}/links")
    assert answer.status_code == 201
    assert answer.headers["Location"] == answer.json()["url"]
    return answer.json()


def test_a_link_shows_one_slide_to_anybody(house, slide, link):
    """Viewer, descriptor and tiles open for whoever holds it; file, certificate and SZI do not, nor another slide."""
    with house.client() as client:
        page = client.get(link["url"])
        assert page.status_code == 200
        assert f'data-dzi="/slides/{slide}.dzi?token={link["token"]}"' in page.text
        ticket = {"token": link["token"]}
        assert client.get(f"/slides/{slide}.dzi", params=ticket).status_code == 200
        tile = client.get(f"/slides/{slide}_files/9/0_0.jpg", params=ticket)
        assert tile.content.startswith(b"\xff\xd8")
        assert tile.headers["Cache-Control"] == "private, no-store"
        assert client.get(f"/slides/{slide}/thumbnail", params=ticket).status_code == 200
        for path in ("", "/certificate"):
            assert client.get(f"/slides/{slide}{path}", params=ticket).status_code == 404, path
        for path in ("/file", ".szi", ".json"):  # a parameter they do not know, whether or not there is such a slide
            assert client.get(f"/slides/{slide}{path}", params=ticket).status_code == 400, path
            assert client.get(f"/slides/nothing{path}", params=ticket).status_code == 400, path
        other = house.slide(State.IN_REVIEW)
        assert client.get(f"/slides/{other}_files/9/0_0.jpg", params=ticket).status_code == 404
        assert client.get(f"/slides/{other}/viewer", params=ticket).status_code == 403
        assert client.get(f"/slides/{slide}/viewer", params=ticket | {"beside": other}).status_code == 404


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: "A" + t[1:], lambda t: "x" * 5000, lambda t: "ü"])
def test_a_spoilt_link_opens_nothing(house, slide, link, spoil):
    """Changed, cut, endless or strange: refused; an unknown slide is refused in the same words."""
    ticket = {"token": spoil(link["token"])}
    with house.client() as client:
        refused = client.get(f"/slides/{slide}/viewer", params=ticket)
        unknown = client.get("/slides/nobody/viewer", params=ticket)
        assert refused.status_code == unknown.status_code == 403
        assert refused.json() == unknown.json()
        assert client.get(f"/slides/{slide}_files/9/0_0.jpg", params=ticket).status_code == 404


def test_a_link_ends_by_itself(house, slide, link, monkeypatch):
    """Fifteen minutes and not longer, whoever asks for more."""
    left = datetime.fromisoformat(link["expires"]) - datetime.now(UTC)
    assert 14 * 60 < left.total_seconds() <= 15 * 60 == LIFETIME
    tokens = LinkTokens(b"k" * 32)
    token = tokens.issue("one", 10**9).token
    assert tokens.allows(token, "one")
    assert not tokens.allows(token, "two")
    assert not LinkTokens(b"j" * 32).allows(token, "one")
    now = time.time()
    monkeypatch.setattr(links.time, "time", lambda: now + LIFETIME + 1)
    assert not tokens.allows(token, "one")


def test_a_link_says_view_and_nothing_else():
    """A token of ours made for something else does not open slides."""
    tokens = LinkTokens(b"k" * 32)
    for said in (["one", "edit", 1 << 40], ["one", "view"], {"sid": "one"}, "one", ["one", "view", "later"]):
        assert not tokens.allows(tokens._signer.dumps(said), "one")
    assert tokens.allows(tokens._signer.dumps(["one", "view", 1 << 40]), "one")


def test_a_withdrawn_slide_is_gone_for_its_holder(house):
    """Leaving review ends the link before its time."""
    sid = house.slide(State.IN_REVIEW)
    token = house.client("curator").post(f"/api/v1/slides/{sid}/links").json()["token"]
    house.archive.transition(sid, State.REJECTED, "curator", "no")
    time.sleep(1.1)  # what the tile route believes
    ticket = {"token": token}
    assert house.client().get(f"/slides/{sid}_files/9/0_0.jpg", params=ticket).status_code == 404
    assert house.client().get(f"/slides/{sid}/viewer", params=ticket).status_code == 404


def test_links_are_written_down(house, slide):
    """Who made one stands in the audit trail; a slide without tiles gets none."""
    answer = house.client("curator", Origin=house.url).post(f"/slides/{slide}/links")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"/slides/{slide}/viewer?token=")
    last = house.archive.catalog.events(slide)[-1]
    assert (last.action, last.actor) == ("link-made", "curator")
    assert house.client("curator").post(f"/api/v1/slides/{house.slide(State.QUEUED)}/links").status_code == 409


def test_side_by_side_shows_two(house, slide):
    """Two viewers for who may look at both; a slide not tiled is not there."""
    other = house.slide(State.RELEASED)
    page = house.client("curator", **BROWSER).get(f"/slides/{other}/viewer?beside={slide}")
    assert page.text.count('class="view"') == 2
    assert house.client().get(f"/slides/{other}/viewer?beside={slide}").status_code == 404
    assert house.client().get(f"/slides/{other}/viewer").text.count('class="view"') == 1
    assert house.client("curator").get(f"/slides/{house.slide(State.QUEUED)}/viewer").status_code == 409


def test_framing_is_for_named_origins(house, slide):
    """Nobody may frame the embeddable viewer unless the settings say who; other pages never."""
    shown = house.slide(State.RELEASED)
    for path in (f"/embed/{shown}", f"/slides/{shown}/viewer", f"/slides/{shown}"):
        policy = house.client(None, **BROWSER).get(path).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
    named = Settings(embed_origins="https://a.example,https://*.b.example:8443")
    assert ancestors(named) == "frame-ancestors 'self' https://a.example https://*.b.example:8443"
    for bad in ("https://a.example; script-src *", "a.example", "https://a.example,", "*", "https://a\nx"):
        with pytest.raises(SettingsInvalid):
            Settings(embed_origins=bad)


def test_an_szi_is_what_a_viewer_gets(house):
    """Length, validator and name are said beforehand; each tile in it is the served one; a HEAD costs no body."""
    sid = house.slide(State.RELEASED)
    with house.client() as client:
        head = client.head(f"/slides/{sid}.szi")
        answer = client.get(f"/slides/{sid}.szi")
        assert int(head.headers["Content-Length"]) == len(answer.content)
        for name in ("ETag", "Content-Length", "Content-Disposition", "Cache-Control", "Content-Type"):
            assert head.headers[name] == answer.headers[name]
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{sid}.szi"'
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            tiles = [name for name in archive.namelist() if name.endswith(".jpg")]
            assert len(tiles) > 10
            for name in tiles:
                assert archive.read(name) == client.get(f"/slides/{name.removeprefix(f'{sid}/')}").content
        again = client.get(f"/slides/{sid}.szi", headers={"If-None-Match": f'"x", W/{answer.headers["ETag"]}'})
        assert (again.status_code, again.content) == (304, b"")
    assert house.client("curator").get(f"/slides/{house.slide(State.QUEUED)}.szi").status_code == 409
