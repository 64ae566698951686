"""Ops and curators stop, prefer, pause and replay work, over the API and by the pages' buttons."""

from coverslip.archive.states import State


def job_of(house, sid):
    """The newest job of a slide."""
    return house.archive.catalog.jobs(sid)[-1].id


def test_a_job_is_shown_preferred_and_cancelled(house):
    """What waits gets another urgency, is stopped at once, and is over then."""
    sid = house.slide(State.QUEUED)
    where = f"/api/v1/jobs/{job_of(house, sid)}"
    with house.client("curator") as client:
        assert client.get(where).json()["state"] == "queued"
        assert client.post(f"{where}/priority", json={"priority": "first"}).json()["priority"] == 2
        assert client.post(f"{where}/priority", json={"priority": "urgent"}).status_code == 422
        assert client.post(f"{where}/cancel").json()["code"] == "cancelled"
        assert client.post(f"{where}/cancel").status_code == 409
        assert client.post(f"{where}/priority", json={"priority": "first"}).status_code == 409
        assert client.get("/api/v1/jobs/nothing").status_code == 404
    assert house.archive.catalog.slide(sid).state is State.FAILED


def test_dead_letters_are_listed_and_replayed(house):
    """One by one or all of one reason; what was replayed is no dead letter any more."""
    first, second = house.dead_letter(), house.dead_letter()
    with house.client("ops") as client:
        found = client.get("/api/v1/dead-letters", params={"code": "cancelled"}).json()
        assert {first, second} <= {letter["job"] for letter in found["letters"]}
        count = found["reasons"]["cancelled"]
        assert client.get("/api/v1/dead-letters", params={"code": "child-crashed"}).json()["letters"] == []
        assert client.post(f"/api/v1/dead-letters/{first}/replay").json() == {"count": 1}
        assert client.post(f"/api/v1/dead-letters/{first}/replay").status_code == 409
        assert client.post("/api/v1/dead-letters/replay", json={"code": "cancelled"}).json() == {"count": count - 1}
        assert client.get("/api/v1/dead-letters").json() == {"letters": [], "reasons": {}}
    assert house.archive.catalog.slide(house.archive.catalog.job(second).sid).state is State.QUEUED


def test_work_is_paused_and_resumed(house):
    """Everything, or one owner's; a name where none belongs is refused."""
    with house.client("ops") as client:
        assert [pause["scope"] for pause in client.post("/api/v1/pauses", json={}).json()] == ["everything"]
        assert house.archive.catalog.hints_due() == ()
        assert len(client.post("/api/v1/pauses", json={"scope": "owner", "name": "bulk"}).json()) == 2
        assert client.post("/api/v1/pauses", json={"scope": "owner"}).status_code == 422
        assert client.post("/api/v1/pauses", json={"name": "bulk"}).status_code == 422
        assert "All work is paused" in client.get("/ops").text
        client.post("/api/v1/pauses/resume", json={"scope": "owner", "name": "bulk"})
        assert client.post("/api/v1/pauses/resume", json={}).json() == []


def test_the_pages_buttons_do_the_same(house):
    """Pause, replay and cancel lead back to where they were pressed."""
    letter, sid = house.dead_letter(), house.slide(State.PROCESSING)
    with house.client("ops", Origin=house.url) as client:
        answer = client.post("/ops/pauses", data={"act": "pause"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/ops")
        assert house.archive.catalog.pauses()
        client.post("/ops/pauses", data={"act": "resume"})
        assert not house.archive.catalog.pauses()
        page = client.get("/ops").text
        assert letter in page
        client.post("/ops/replay", data={"job": letter})
        assert letter not in client.get("/ops").text
        assert client.post(f"/slides/{sid}/cancel").headers["Location"] == f"/slides/{sid}"
    assert house.archive.catalog.events(sid)[-1].action == "cancel-asked"


def test_figures_tell_the_kinds_of_work_apart(house):
    """Each kind has its depth and age, and a pace says when all is done."""
    house.slide(State.QUEUED)
    figures = house.client("ops").get("/api/v1/queues").json()
    assert [kind["kind"] for kind in figures["kinds"]] == ["deidentify", "pyramid"]
    assert figures["kinds"][0]["depth"] == figures["depth"]
    assert figures["eta"] is None or figures["eta"] > 0


def test_a_key_is_made_shown_once_and_revoked(house):
    """The page that makes it shows the secret, no other page does, and it opens nothing once revoked."""
    with house.client("admin", Origin=house.url) as client:
        page = client.post("/keys", data={"owner": "lab 3", "roles": ["viewer", "ops"], "label": "scanner"}).text
        secret = page.split('<code id="secret">')[1].split("<")[0]
        assert secret not in client.get("/keys").text
        (made,) = [key for key in client.get("/keys.json").json() if key["owner"] == "lab 3"]
        assert made["roles"] == ["ops", "viewer"]
        inside = {"Authorization": f"Bearer {secret}"}
        assert client.get("/ops.json", headers=inside).status_code == 200
        assert client.post(f"/keys/{made['id']}/revoke").status_code == 303
        assert client.get("/ops.json", headers=inside).status_code == 401
        for bad in ({"owner": "", "roles": ["ops"]}, {"owner": "x", "roles": []}, {"owner": "x", "roles": ["root"]}):
            assert client.post("/keys", data=bad).status_code == 422
