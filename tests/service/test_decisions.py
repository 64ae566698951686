"""One verdict for many slides."""

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
