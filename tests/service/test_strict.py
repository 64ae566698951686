"""What is asked is taken at its word: unknown parameters are 400, an impossible Accept is 406, and nothing else is."""

import pytest

from coverslip.archive.states import State
from service.accept import accepts

JSON = (
    *("/api/v1/slides", "/api/v1/slides/{}", "/api/v1/slides/{}/events", "/api/v1/slides/{}/report", "/api/v1/queues"),
    *("/slides.json", "/slides/{}.json", "/slides/{}/certificate.json", "/ops.json", "/keys.json", "/signin.json"),
    *("/api/v1/dead-letters", "/api/v1/pauses", "/slides/{}/levels", "/slides/{}/tilejson.json"),
)
OTHER = {
    "/slides/{}.dzi": "application/xml",
    "/slides/{}_files/9/0_0.jpg": "image/jpeg",
    "/slides/{}_files/9/0_0.png": "image/png",
    "/slides/{}/zxy/0/0/0.webp": "image/webp",
    "/slides/{}/thumbnail": "image/jpeg",
    "/slides/{}/file": "image/tiff",
    "/slides/{}.szi": "application/zip",
    "/slides/{}.zip": "application/zip",
    "/iiif/3/{}/full/max/0/default.png": "image/png",
}
KINDS = {**dict.fromkeys(JSON, "application/json"), **OTHER}


@pytest.fixture(scope="module")
def released(house):
    """A slide anybody may see."""
    return house.slide(State.RELEASED)


@pytest.mark.parametrize("path", KINDS)
def test_an_unknown_parameter_is_refused(house, released, path):
    """400, for a slide that exists and for one that does not, before anything else is looked at."""
    with house.client("admin") as client:
        for query in ("nosuch=1", "facets=stain", "utm_source=x"):
            answer = client.get(f"{path.format(released)}?{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request"), query
        assert client.get(path.format(released)).status_code == 200


def test_parameters_not_there_yet_are_not_ignored(house):
    """Who filters by what we cannot filter by is told so, and not given everything."""
    with house.client() as client:
        for name in ("collection", "subject", "stain", "organ", "bbox", "sort", "fields"):
            assert client.get(f"/api/v1/slides?{name}=x").status_code == 400
        assert client.get("/api/v1/slides?state=released&limit=1&q=a").status_code == 200


@pytest.mark.parametrize("path", KINDS)
def test_what_a_caller_takes(house, released, path):
    """406 for who takes other kinds only; browsers, curl, old Java and who says nothing get what there is."""
    kind, where = KINDS[path], path.format(released)
    family = kind.partition("/")[0]
    with house.client("admin") as client:
        for _ in range(2):  # the second time a tile goes the short way
            taken = ("", "*/*", kind, f"{family}/*", f"{kind};q=0.1", f"text/html,{family}/*;q=0.5", f"x/y, {kind}")
            taken += ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "nonsense")
            for accept in taken:
                assert client.get(where, headers={"Accept": accept}).status_code == 200, accept
            for accept in ("text/csv", f"{kind};q=0", f"*/*, {kind}; q=0.000", "x/y;q=1, z/*", f"*/*;q=0, {family}/x"):
                answer = client.get(where, headers={"Accept": accept})
                assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable"), accept


def test_linked_data_for_who_asks(house, released):
    """info.json comes as what is asked for; a range of one's own is no refusal."""
    with house.client() as client:
        for accept, kind in (("application/ld+json", "application/ld+json"), ("application/json", "application/json")):
            answer = client.get(f"/iiif/3/{released}/info.json", headers={"Accept": accept})
            assert answer.headers["Content-Type"].startswith(kind)


def test_a_long_accept_is_read_and_not_remembered():
    """A header of kilobytes leaves nothing behind."""
    long = ",".join(f"x/y{number}" for number in range(1000))
    assert not accepts(long, "image/jpeg")
    assert accepts(f"{long},image/*", "image/jpeg")
