"""One verdict for many slides."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from coverslip.archive.states import State

BROWSER = {"Accept": "text/html"}


def decide(house, role, to, sids, reason=""):
    """What the list's form sends."""
    with house.client(role, Origin=house.url) as client:
        return client.post("/slides/decisions", data={"to": to, "sid": sids, "reason": reason})


@pytest.mark.parametrize("to", ["released", "quarantined", "rejected"])
def test_each_slide_is_moved_by_itself(house, to):
    """Those in review move, with the reason; one that is elsewhere stays, one that nobody knows is no error."""
    here = [house.slide(State.IN_REVIEW) for _ in range(3)]
    elsewhere = house.slide(State.WITHDRAWN)
    answer = decide(house, "curator", to, [*here, elsewhere, "unknown", here[0]], "blurred")
    assert answer.status_code == 303
    told = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
    assert told == {"state": "in_review", "moved": "3", "stayed": "2", "to": to}
    assert {house.archive.catalog.slide(sid).state for sid in here} == {State(to)}
    assert house.archive.catalog.slide(elsewhere).state is State.WITHDRAWN
    assert house.archive.catalog.events(here[0])[-1].reason == "blurred"
    page = house.client("curator", **BROWSER).get(answer.headers["Location"])
    assert "3 slides are" in page.text
    assert "2 had moved on" in page.text


def test_only_people_may_decide_where_people_may(house):
    """A state only a worker brings about is refused before anything moves; a submitter decides nothing."""
    sid = house.slide(State.IN_REVIEW)
    assert decide(house, "curator", "processing", [sid]).status_code == 403
    assert decide(house, "submitter", "released", [sid]).status_code == 403
    assert house.archive.catalog.slide(sid).state is State.IN_REVIEW
    assert "data-all" not in house.client("submitter", **BROWSER).get("/slides").text
    assert "slides are" not in house.client(None, **BROWSER).get("/slides?moved=3&to=released").text


def test_a_form_of_many_is_bounded(house):
    """More slides than a page can hold are refused."""
    assert decide(house, "curator", "released", ["x"] * 501).status_code == 422


def away_and_back(house, sid):
    """Somebody sets a slide aside, and it is worked on anew: the same state, and another decision to make."""
    house.archive.transition(sid, State.QUARANTINED, "another", "a name in the tissue")
    house.archive.catalog.retry(sid, "ops")
    house.review(sid)


def version_on(page):
    """What the forms of a slide's page say was seen."""
    (found,) = set(re.findall(r'name="version" value="(\d+)"', page))
    return found


def test_a_page_that_is_old_decides_nothing(house):
    """Two curators, one slide: what was seen before the other's objection is not what stands there now."""
    sid = house.slide(State.IN_REVIEW)
    where = f"/slides/{sid}"
    with house.client("curator", Origin=house.url, **BROWSER) as client:
        seen = version_on(client.get(where).text)
        away_and_back(house, sid)
        form = {"to": "released", "version": seen}
        answer = client.post(f"{where}/transitions", data=form)
        assert answer.status_code == 412
        assert "changed since you looked" in answer.text
        assert f'href="{where}"' in answer.text
        assert "Sign in" not in answer.text
        assert house.archive.catalog.slide(sid).state is State.IN_REVIEW
        form["version"] = version_on(client.get(where).text)
        assert client.post(f"{where}/transitions", data=form).status_code == 303
    assert house.archive.catalog.slide(sid).state is State.RELEASED


def test_of_many_those_that_came_back_meanwhile_stay(house):
    """Each choice says what was seen of it."""
    first, second = house.slide(State.IN_REVIEW), house.slide(State.IN_REVIEW)
    with house.client("curator", **BROWSER) as client:
        listed = dict(re.findall(r'name="sid" value="((\w+)@\d+)"', client.get("/slides?state=in_review").text))
    chosen = [choice for choice, sid in listed.items() if sid in (first, second)]
    away_and_back(house, first)
    answer = decide(house, "curator", "released", chosen)
    assert "moved=1&stayed=1" in answer.headers["Location"]
    states = [house.archive.catalog.slide(sid).state for sid in (first, second)]
    assert states == [State.IN_REVIEW, State.RELEASED]


@pytest.mark.parametrize("version", ["0", "-1", "x", "1.5", str(1 << 31), "1" * 400])
def test_a_version_is_a_number(house, version):
    """Anything else is refused before it reaches the catalogue, and nothing moves."""
    sid = house.slide(State.IN_REVIEW)
    with house.client("curator", Origin=house.url) as client:
        answers = [
            client.post(f"/slides/{sid}/transitions", data={"to": "released", "version": version}),
            client.post(f"/slides/{sid}/purge", data={"reason": "x", "sure": "yes", "version": version}),
            client.post("/slides/decisions", data={"to": "released", "sid": f"{sid}@{version}"}),
        ]
    assert [answer.status_code for answer in answers] == [422] * 3
    assert house.archive.catalog.slide(sid).state is State.IN_REVIEW
