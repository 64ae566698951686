"""The pages: whole without scripts, twinned with JSON, strict about where code comes from."""

import re
import time
from contextlib import contextmanager
from html.parser import HTMLParser

import httpx
import pytest

from coverslip.archive.states import State
from service.rendering import STATES, age, number, size

BROWSER = {"Accept": "text/html"}


class Audit(HTMLParser):
    """Collects what a strict content policy forbids, and whether tags close."""

    def __init__(self):
        super().__init__()
        self.inline = []
        self.open = []
        self.elsewhere = []

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        if tag == "style" or "style" in names or any(name.startswith("on") for name in names):
            self.inline.append(tag)
        if tag == "script" and "src" not in names:
            self.inline.append(tag)
        for name in ("src", "href", "action"):
            if re.match(r"(https?:)?//", names.get(name) or ""):
                self.elsewhere.append(names[name])


@pytest.fixture(scope="module")
def every_state(house):
    """One slide in each state a slide can be brought to."""
    states = set(State) - {State.RECEIVED, State.FAILED}
    return {state: house.slide(state) for state in sorted(states)}


def pages(every_state):
    """Addresses of all pages."""
    yield from ("/slides", "/slides?state=failed", "/upload", "/ops", "/signin", "/slides/unknown")
    yield from (f"/slides/{sid}" for sid in every_state.values())
    yield f"/slides/{every_state[State.RELEASED]}/certificate"


def test_pages_carry_no_inline_code(house, every_state):
    """No inline script, style or handler, nothing from another site, and the policy that enforces it."""
    with house.client("admin", **BROWSER) as client:
        for path in pages(every_state):
            answer = client.get(path)
            audit = Audit()
            audit.feed(answer.text)
            assert (audit.inline, audit.elsewhere) == ([], []), path
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Cache-Control"] == "no-store"
            assert len(answer.content) < 200_000


@pytest.mark.parametrize("path", ["/slides", "/upload", "/ops", "/signin"])
def test_twins(house, path):
    """Every page says the same as JSON at `.json`."""
    with house.client("admin") as client:
        assert client.get(path, headers=BROWSER).headers["Content-Type"].startswith("text/html")
        assert client.get(f"{path}.json").headers["Content-Type"] == "application/json"


def test_slide_page_and_its_twin(house, every_state):
    """A slide's page names its state in words; the JSON has facts, links and no owner."""
    with house.client("curator") as client:
        for state, sid in every_state.items():
            page = client.get(f"/slides/{sid}", headers=BROWSER)
            assert page.status_code == 200
            assert STATES[state][0] in page.text
            facts = client.get(f"/slides/{sid}.json").json()
            assert facts["state"] == state
            assert "owner" not in facts
            assert ("Image" in facts) == (state in (State.IN_REVIEW, State.RELEASED))


def test_anonymous_list_shows_what_is_released(house, every_state):
    """Without a key the list holds released slides only, whatever state is asked for, and counts nothing else."""
    with house.client() as client:
        for query in ("", "?state=in_review", "?state=in_review&state=released"):
            found = client.get(f"/api/v1/slides{query}").json()
            assert {slide["state"] for slide in found["slides"]} <= {"released"}
            assert set(found["counts"]) == {"released"}
        text = client.get("/slides", headers=BROWSER).text
    assert every_state[State.RELEASED] in text
    assert every_state[State.IN_REVIEW] not in text


def test_list_pages_by_cursor(house):
    """Following `Link: rel=next` visits every slide once."""
    with house.client("curator") as client:
        total = sum(client.get("/api/v1/slides").json()["counts"].values())
        seen, where = [], "/api/v1/slides?limit=3"
        while where:
            answer = client.get(where)
            seen += [slide["sid"] for slide in answer.json()["slides"]]
            link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("Link", ""))
            where = link and link[1]
    assert len(seen) == len(set(seen)) == total


def test_approve_by_form(house):
    """The button on the page releases, with a cookie, from our own page only."""
    sid = house.slide(State.IN_REVIEW)
    with signed_in(house, "curator") as client:
        foreign = client.post(f"/slides/{sid}/transitions", data={"to": "released"}, headers={"Origin": "http://evil"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign-origin")
        silent = client.post(f"/slides/{sid}/transitions", data={"to": "released"})
        assert silent.status_code == 403
        cross = {"Origin": house.url, "Sec-Fetch-Site": "cross-site"}
        assert client.post(f"/slides/{sid}/transitions", data={"to": "released"}, headers=cross).status_code == 403
        own = client.post(f"/slides/{sid}/transitions", data={"to": "released"}, headers={"Origin": house.url})
        assert (own.status_code, own.headers["Location"]) == (303, f"/slides/{sid}")
    assert house.archive.catalog.slide(sid).state is State.RELEASED


@contextmanager
def signed_in(house, role):
    """A browser that traded its key for a cookie."""
    client = httpx.Client(base_url=house.url)
    answer = client.post("/signin", data={"key": house.keys[role]}, headers={"Origin": house.url})
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    yield client
    client.close()


def test_cookie_opens_tiles_and_revocation_closes_them(house):
    """A cookie is enough for tiles, not after its key is revoked (within seconds) nor when it is altered."""
    sid = house.slide(State.IN_REVIEW)
    key_id, house.keys["passing"] = house.archive.catalog.create_key("passing", {"curator"}, "passing")
    where = f"/slides/{sid}_files/9/0_0.jpg"
    with signed_in(house, "passing") as client:
        assert client.get(where).status_code == 200
        token = client.cookies["coverslip"]
        forged = httpx.get(house.url + where, headers={"Cookie": f"coverslip={token[:-2]}xx"})
        assert forged.status_code == 404
        house.archive.catalog.revoke_key(key_id)
        deadline = time.monotonic() + 60
        while client.get(where).status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert client.get(where).status_code == 404


@pytest.mark.parametrize("there", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_sign_in_leads_home(house, there):
    """`next` never leads off this site."""
    data = {"key": house.keys["curator"], "next": there}
    answer = httpx.post(f"{house.url}/signin", data=data, headers={"Origin": house.url})
    assert answer.headers["Location"] == "/slides"


def test_wrong_key_is_refused_without_an_echo(house):
    """The sign-in page comes back with 401 and without what was typed."""
    answer = httpx.post(f"{house.url}/signin", data={"key": "csk_DOE"}, headers={"Origin": house.url, **BROWSER})
    assert answer.status_code == 401
    assert "csk_DOE" not in answer.text


def test_readers_get_a_page_programs_get_a_problem(house):
    """The same refusal as HTML for a browser and problem+json for a program; both hide what was asked for."""
    page = httpx.get(f"{house.url}/slides/DOE-JANE", headers=BROWSER)
    assert page.status_code == 404
    assert page.headers["Content-Type"].startswith("text/html")
    problem = httpx.get(f"{house.url}/slides/DOE-JANE")
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert "DOE" not in problem.text


def test_live_ticks_when_something_changes(house):
    """The stream greets, then says `changed` after a slide moved."""
    with httpx.stream("GET", f"{house.url}/live", timeout=120) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        house.slide(State.QUEUED)
        assert any(line == "event: changed" for line in lines)


def test_demo_signs_in_browsers_on_this_machine_only(demo):
    """A page opened under a loopback name signs in; a program, or another Host name (DNS rebinding), does not."""
    page = httpx.get(f"{demo}/upload", headers=BROWSER)
    assert page.status_code == 200
    assert "coverslip" in page.cookies
    assert httpx.get(f"{demo}/upload.json").status_code == 401
    rebound = httpx.get(f"{demo}/upload", headers={**BROWSER, "Host": "evil.example"})
    assert rebound.status_code == 303


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1_938_955, "1.9 MB"), (246e6, "246 MB"), (21.5e9, "21.5 GB"), (None, "–")],
)
def test_sizes_have_units(value, text):
    """Bytes are read by people."""
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 s"), (4.25, "4.2 s"), (90, "90 s"), (600, "10 min"), (7200, "2 h"), (1e6, "12 d")]
)
def test_ages_have_units(value, text):
    """So are ages."""
    assert age(value) == text


def test_numbers_keep_their_digits():
    """MPP is printed as it reads, thousands apart."""
    assert [number(0.2533), number(46000), number(20.0), number(None)] == ["0.2533", "46 000", "20", "–"]
