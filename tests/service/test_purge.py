"""The end of an original: asked for by a curator, once, with a reason, for good."""

import re
import threading

import pytest

from coverslip.archive.states import State
from coverslip.errors import NotFound, OriginalPurged

BROWSER = {"Accept": "text/html"}


def where(sid):
    return f"/api/v1/slides/{sid}/purge"


def purges(house, sid):
    """The purges in a slide's trail."""
    return [event for event in house.archive.catalog.events(sid) if event.action == "original-purged"]


def test_a_curator_purges(house):
    """Key and name are gone, the clean slide stays, the trail says who and why."""
    sid = house.slide(State.RELEASED)
    uid = house.archive.catalog.slide(sid).uid
    answer = house.client("curator").post(where(sid), json={"reason": "the patient asked"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    said = answer.json()
    assert (said["sid"], said["kept"]) == (sid, False)
    assert said["purged"]
    with pytest.raises(OriginalPurged):
        house.archive.original(uid)
    with pytest.raises(NotFound):
        house.archive.catalog.unseal(uid, "curator")
    (event,) = purges(house, sid)
    assert (event.actor, event.reason) == ("curator", "the patient asked")
    assert house.client().get(f"/slides/{sid}/file").status_code == 200


@pytest.mark.parametrize("state", [State.REJECTED, State.WITHDRAWN])
def test_of_a_slide_that_is_over_nothing_stays(house, state):
    """Its page says so before and after, and so does the answer."""
    sid = house.slide(State.RELEASED if state is State.WITHDRAWN else State.IN_REVIEW)
    house.archive.transition(sid, state, "curator")
    folder = house.archive.where_is(house.archive.catalog.slide(sid))
    with house.client("curator") as client:
        assert "nobody is shown it again" in client.get(f"/slides/{sid}", headers=BROWSER).text
        assert folder is not None
        assert folder.exists()
        answer = client.post(where(sid), json={"reason": "the patient asked"}).json()
        assert (answer["kept"], answer["clean"]) == (False, False)
        assert not folder.exists()
        page = client.get(f"/slides/{sid}", headers=BROWSER).text
        assert "No clean slide is kept." in page
        assert 'id="purge"' not in page


def test_a_withdrawn_slide_can_be_purged_again(house):
    """Its clean files are still there, and the page offers to delete them."""
    sid = house.slide(State.RELEASED)
    with house.client("curator") as client:
        assert client.post(where(sid), json={"reason": "its time is over"}).json()["clean"] is True
        assert 'id="purge"' not in client.get(f"/slides/{sid}", headers=BROWSER).text
        house.archive.transition(sid, State.WITHDRAWN, "curator")
        page = client.get(f"/slides/{sid}", headers=BROWSER).text
        assert "The clean slide is still here." in page
        assert 'id="purge"' in page
        assert client.post(where(sid), json={"reason": "the patient asked"}).json()["clean"] is False


def test_again_changes_nothing(house):
    """The same answer, one line in the trail; also when several ask at the same moment."""
    sid = house.slide(State.REJECTED)
    answers = []

    def ask():
        answers.append(house.client("curator").post(where(sid), json={"reason": "twice"}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(purges(house, sid)) == 1


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 501}, {"reason": None}, "because"])
def test_a_reason_is_needed(house, body):
    """And nothing happens without one."""
    sid = house.slide(State.RELEASED)
    assert house.client("curator").post(where(sid), json=body).status_code == 422
    assert house.archive.catalog.purged(house.archive.catalog.slide(sid).uid) is None


def test_never_by_looking(house):
    """No GET, at no address."""
    sid = house.slide(State.RELEASED)
    with house.client("curator") as client:
        for path in (where(sid), f"/slides/{sid}/purge"):
            assert client.get(path).status_code == 405
            assert client.head(path).status_code == 405
    assert purges(house, sid) == []


@pytest.mark.parametrize("state", [State.QUEUED, State.PROCESSING])
def test_not_while_somebody_works(house, state):
    """The work needs it: 409, and it is there."""
    sid = house.slide(state)
    answer = house.client("curator").post(where(sid), json={"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "state-conflict")
    assert house.archive.catalog.purged(house.archive.catalog.slide(sid).uid) is None


def test_if_match_is_heard(house):
    """Whoever saw an older slide is told so."""
    sid = house.slide(State.IN_REVIEW)
    with house.client("curator") as client:
        seen = client.get(f"/api/v1/slides/{sid}").headers["ETag"]
        house.archive.transition(sid, State.REJECTED, "another")
        headers = {"If-Match": seen}
        assert client.post(where(sid), json={"reason": "x"}, headers=headers).status_code == 412
        headers = {"If-Match": client.get(f"/api/v1/slides/{sid}").headers["ETag"]}
        assert client.post(where(sid), json={"reason": "x"}, headers=headers).status_code == 200


def test_afterwards_it_cannot_be_queued_again(house):
    """410, by its own code; the page offers it no more."""
    sid = house.slide(State.QUARANTINED)
    with house.client("curator") as client:
        assert "Queue again" in client.get(f"/slides/{sid}", headers=BROWSER).text
        client.post(where(sid), json={"reason": "x"})
        answer = client.post(f"/api/v1/slides/{sid}/transitions", json={"to": "queued"})
        assert (answer.status_code, answer.json()["code"]) == (410, "original-purged")
        assert "Queue again" not in client.get(f"/slides/{sid}", headers=BROWSER).text


def test_the_page_asks_for_a_reason_and_a_box(house):
    """Curators only; both are needed, and then the page says when it was."""
    sid = house.slide(State.RELEASED)
    assert "Purge" not in house.client().get(f"/slides/{sid}", headers=BROWSER).text
    assert "Purge" not in house.client("ops").get(f"/slides/{sid}", headers=BROWSER).text
    with house.client("curator") as client:
        page = client.get(f"/slides/{sid}", headers=BROWSER).text
        assert 'name="reason"' in page
        assert 'name="sure" value="yes" required' in page
        for form in ({"reason": "x"}, {"sure": "yes"}, {"reason": "x", "sure": "no"}):
            assert client.post(f"/slides/{sid}/purge", data=form).status_code == 422
        answer = client.post(f"/slides/{sid}/purge", data={"reason": "asked to", "sure": "yes"})
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/slides/{sid}#h-original")
        page = client.get(f"/slides/{sid}", headers=BROWSER).text
        assert "Purged" in page
        assert 'name="sure"' not in page
    assert len(purges(house, sid)) == 1


def test_a_page_that_is_old_purges_nothing(house):
    """It said that the clean slide stays, which of a slide that was withdrawn meanwhile it does not."""
    sid = house.slide(State.RELEASED)
    with house.client("curator") as client:
        page = client.get(f"/slides/{sid}", headers=BROWSER).text
        assert "The clean slide stays." in page
        version = re.search(r'name="version" value="(\d+)"', page)[1]
        house.archive.transition(sid, State.WITHDRAWN, "another", "asked to")
        form = {"reason": "asked to", "sure": "yes", "version": version}
        assert client.post(f"/slides/{sid}/purge", data=form).status_code == 412
        assert not purges(house, sid)
        form["version"] = str(int(version) + 1)
        assert client.post(f"/slides/{sid}/purge", data=form).status_code == 303
    assert len(purges(house, sid)) == 1
