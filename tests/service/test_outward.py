"""What answers about slides tell the rest of the world: who may read them, their licence, how to cite them."""

import asyncio
import functools

import httpx
import pytest

from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.settings import Settings
from service.main import create_app

SITE = "https://viewer.example"


@pytest.fixture(scope="module")
def installed(house, tmp_path_factory):
    """The folder of an installation, and a slide there in a state: `slide(state)`, the same one each time."""
    folder = tmp_path_factory.mktemp("open")
    archive = Archive.open(Settings(data_dir=folder), with_vault=True)
    yield folder, functools.cache(type(house)("", archive, house.tiled).slide)
    archive.close()


@pytest.fixture(scope="module")
def asked(installed):
    """Ask a front end with other settings: `asked(settings, method, "/slides/{sid}.dzi", headers)`."""
    folder, slide = installed

    def ask(given, method, path, state=State.RELEASED, **headers):
        settings, sid = Settings(data_dir=folder, **given), slide(state)

        async def go():
            transport = httpx.ASGITransport(create_app(settings))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path.format(sid=sid), headers=headers)

        return asyncio.run(go())

    return ask


READS = ("/slides/{sid}.dzi", "/slides/{sid}_files/9/0_0.jpg", "/iiif/3/{sid}/info.json", "/slides/{sid}/file")


@pytest.mark.parametrize("path", [*READS, "/slides/nothing.dzi", "/api/v1/slides/{sid}"])
def test_listed_sites_may_read(asked, path):
    """A listed origin is named, sees our headers, and caches keep its answers apart; refusals are readable too."""
    answer = asked({"cors_origins": f"https://other.example, {SITE}/"}, "GET", path, Origin=SITE)
    assert answer.headers["Access-Control-Allow-Origin"] == answer.headers["Timing-Allow-Origin"] == SITE
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("origins", "origin"), [("", SITE), (SITE, "https://evil.example"), (SITE, SITE + ".evil"), (SITE, "null")]
)
@pytest.mark.parametrize("path", READS)
def test_others_may_not(asked, origins, origin, path):
    """Nobody by default, and nobody who is not on the list."""
    answer = asked({"cors_origins": origins}, "GET", path, Origin=origin)
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert ("Origin" in answer.headers.get("Vary", "")) is bool(origins)


def test_a_star_is_for_everybody(asked):
    """`*` does not depend on who asks, so nothing varies; pages and the sign-in stay ours."""
    answer = asked({"cors_origins": "*"}, "GET", "/slides/{sid}.dzi")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in answer.headers
    for path in ("/signin.json", "/healthz"):
        other = asked({"cors_origins": "*"}, "GET", path, Origin=SITE)
        assert "Access-Control-Allow-Origin" not in other.headers


def test_preflight(asked):
    """A listed site learns that it may send a key and a range; another learns nothing; without a list there is none."""
    headers = {"Origin": SITE, "Access-Control-Request-Method": "GET"}
    allowed = asked({"cors_origins": SITE}, "OPTIONS", "/iiif/3/{sid}/info.json", **headers)
    assert allowed.status_code == 204
    assert {"Authorization", "Range"} <= set(allowed.headers["Access-Control-Allow-Headers"].split(", "))
    other = asked({"cors_origins": "https://other.example"}, "OPTIONS", "/slides/{sid}.dzi", **headers)
    assert not any(name.startswith("access-control") for name in other.headers)
    assert asked({}, "OPTIONS", "/slides/{sid}.dzi", **headers).status_code == 405


def test_licence_and_citation(asked):
    """Released slides say both, tiles are spared, and what is not released says neither."""
    given = {"license_url": "https://creativecommons.org/licenses/by/4.0/", "cite_as": "https://doi.org/10.1/x"}
    for path in ("/slides/{sid}.dzi", "/slides/{sid}/file", "/slides/{sid}/region?x=0&y=0&w=9&h=9"):
        link = asked(given, "GET", path).headers["Link"]
        assert f'<{given["license_url"]}>; rel="license"' in link
        assert f'<{given["cite_as"]}>; rel="cite-as"' in link
    assert "Link" not in asked(given, "GET", "/slides/{sid}_files/9/0_0.jpg").headers
    assert "Link" not in asked(given, "GET", "/slides/{sid}.dzi", State.WITHDRAWN).headers
    assert asked(given, "GET", "/iiif/3/{sid}/info.json").json()["rights"] == given["license_url"]


def test_the_public_address_is_named(asked):
    """Behind a proxy every address we name begins with the public one; a Host that is none is refused."""
    said = asked({"public_base_url": "http://slides.example/"}, "GET", "/iiif/3/{sid}/info.json").json()
    assert said["id"].startswith("http://slides.example/iiif/3/")
    assert asked({}, "GET", "/iiif/3/{sid}/info.json", Host='evil"><').status_code == 400
