"""What has no tiles or files says why: withdrawn (410), not ready yet (409, with its job), or nothing at all (404)."""

import pytest

from coverslip.archive.states import State
from coverslip.progress import Stage

PIXELS = (
    *("/slides/{}_files/9/0_0.jpg", "/slides/{}.dzi", "/slides/{}/thumbnail", "/slides/{}/region?x=0&y=0&w=9&h=9"),
    *("/iiif/3/{}/info.json", "/iiif/presentation/3/slides/{}/manifest", "/slides/{}/zxy/0/0/0.jpg"),
)
FILES = ("/slides/{}/file", "/slides/{}.szi", "/slides/{}.zip")
PAPERS = ("/api/v1/slides/{}/report", "/slides/{}/certificate", "/slides/{}/certificate.json")
PAGES = ("/slides/{}/viewer", "/embed/{}")
BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def withdrawn(house):
    """A slide that was public."""
    return house.slide(State.WITHDRAWN)


@pytest.mark.parametrize("role", [None, "submitter", "curator", "ops"])
@pytest.mark.parametrize("path", [*PIXELS, *FILES, *PAPERS, *PAGES])
def test_withdrawn_is_gone_everywhere(house, withdrawn, path, role):
    """410 with the same code for everybody, curators too, on every address that gave something."""
    answer = house.client(role).get(path.format(withdrawn))
    assert (answer.status_code, answer.json()["code"]) == (410, "withdrawn")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [*PAGES, "/slides/{}/certificate"])
def test_a_reader_is_told_what_that_means(house, withdrawn, path):
    """The page does not say that it may never have existed."""
    page = house.client(None, **BROWSER).get(path.format(withdrawn))
    assert page.status_code == 410
    assert "withdrawn" in page.text
    assert "never have existed" not in page.text


def test_what_is_left_of_a_withdrawn_slide(house, withdrawn):
    """That it was withdrawn is no secret: its page and its facts stay, without ways to pixels."""
    assert house.client(None, **BROWSER).get(f"/slides/{withdrawn}").status_code == 200
    facts = house.client().get(f"/api/v1/slides/{withdrawn}").json()
    assert facts["state"] == "withdrawn"
    assert facts["links"]["dzi"] is None


@pytest.mark.parametrize("role", ["submitter", "curator", "ops"])
@pytest.mark.parametrize("path", [*PIXELS, *FILES, *PAPERS, "/slides/{}/viewer"])
def test_not_ready_leads_to_the_job(house, path, role):
    """Whoever may see the slide is led to its job, and may follow; the job tells stage and progress."""
    sid = house.slide(State.QUEUED)
    claim = house.archive.catalog.claim(house.archive.catalog.jobs(sid)[-1].id, "worker-1")
    house.archive.catalog.heartbeat(claim, Stage.WRITE, 0.25)
    with house.client(role) as client:
        answer = client.get(path.format(sid))
        assert (answer.status_code, answer.json()["code"]) == (409, "not-ready")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["job"] == answer.headers["Location"] == f"/api/v1/jobs/{claim.job}"
        job = client.get(answer.headers["Location"]).json()
    assert (job["sid"], job["state"], job["stage"], job["done"]) == (sid, "running", "write", 0.25)


@pytest.mark.parametrize("role", [None, "viewer", "other"])
@pytest.mark.parametrize("path", [*PIXELS, *FILES, *PAPERS, *PAGES])
def test_others_learn_nothing_of_it(house, path, role):
    """For everybody else the slide at work is one that does not exist, its job too."""
    sid = house.slide(State.PROCESSING)
    with house.client(role) as client:
        hidden, unknown = client.get(path.format(sid)), client.get(path.format("nothing"))
        assert hidden.status_code == unknown.status_code == 404
        assert hidden.content == unknown.content
        job = client.get(f"/api/v1/jobs/{house.archive.catalog.jobs(sid)[-1].id}")
    assert job.status_code == (401 if role is None else 404)


@pytest.mark.parametrize("state", [State.QUARANTINED, State.REJECTED])
@pytest.mark.parametrize("path", [*PIXELS, *FILES, *PAPERS, "/slides/{}/viewer"])
def test_what_was_set_aside_gives_nothing(house, path, state):
    """There is nothing to wait for and nothing that was public: 404, for a curator as well."""
    assert house.client("curator").get(path.format(house.slide(state))).status_code == 404


@pytest.mark.parametrize("path", [*FILES, *PIXELS])
def test_a_submitter_sees_no_pixels_of_its_own_slide(house, path):
    """In review a slide exists for who sent it in, its pixels and files do not."""
    assert house.client("submitter").get(path.format(house.slide(State.IN_REVIEW))).status_code == 404
