"""A link in front of an address: viewers that add nothing to what a description names see the slide all the same."""

import pytest

from coverslip.archive.states import State


@pytest.fixture(scope="module")
def reviewed(house):
    """A slide that is not public, and a link to it."""
    sid = house.slide(State.IN_REVIEW)
    return sid, house.client("curator").post(f"/api/v1/slides/{sid}/links").json()


def addresses(content):
    """Every address a description names."""
    if isinstance(content, dict):
        return [found for value in content.values() for found in addresses(value)]
    if isinstance(content, list):
        return [found for value in content for found in addresses(value)]
    return [content] if isinstance(content, str) and content.startswith("http://127.0.0.1") else []


@pytest.mark.parametrize("way", ["path", "query"])
def test_a_manifest_leads_to_the_pixels(house, reviewed, way):
    """From the manifest to the tile, as Mirador goes: no address in it forgets the link."""
    sid, link = reviewed
    plain = f"/iiif/presentation/3/slides/{sid}/manifest"
    where = link["manifest"] if way == "path" else f"{plain}?token={link['token']}"
    with house.client() as client:
        manifest = client.get(where)
        assert manifest.headers["Cache-Control"] == "private, no-store"
        named = addresses(manifest.json())
        assert len(named) > 5
        assert all(f"/t/{link['token']}/" in address for address in named)
        service = next(address for address in named if address.endswith(f"/iiif/3/{sid}"))
        redirect = client.get(service)
        info = client.get(redirect.headers["Location"]).json()
        assert info["id"] == service
        side = info["tiles"][0]["width"]
        tile = client.get(f"{info['id']}/0,0,{side},{side}/{side},{side}/0/default.jpg")
        thumbnail = client.get(next(address for address in named if address.endswith("/thumbnail")))
    for picture in (tile, thumbnail):
        assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/jpeg")
    assert f"/t/{link['token']}/" in tile.headers["Link"]


def test_deep_zoom_beside_its_descriptor(house, reviewed):
    """The tiles of a descriptor lie where clients look: beside it, also under a pinned address."""
    sid, link = reviewed
    with house.client() as client:
        descriptor = client.get(link["dzi"])
        version = descriptor.headers["ETag"].strip('"').removesuffix("-dzi")
        tile = client.get(link["dzi"].replace(".dzi", "_files/9/0_0.jpg"))
        pinned = client.get(f"/t/{link['token']}/v/{version}/slides/{sid}_files/9/0_0.jpg")
    assert [answer.status_code for answer in (descriptor, tile, pinned)] == [200, 200, 200]
    assert tile.content == pinned.content


@pytest.mark.parametrize("rest", ["/slides/{}.dzi", "/iiif/3/{}/info.json", "/slides/{}_files/9/0_0.jpg"])
def test_only_its_own_slide(house, reviewed, rest):
    """A link opens one slide; another one, and a made-up link, are not found."""
    sid, link = reviewed
    other = house.slide(State.IN_REVIEW)
    with house.client() as client:
        assert client.get(f"/t/{link['token']}{rest.format(sid)}").status_code == 200
        assert client.get(f"/t/{link['token']}{rest.format(other)}").status_code == 404
        assert client.get(f"/t/{link['token'][:-2]}xx{rest.format(sid)}").status_code == 404
        assert client.get(f"/t/{link['token']}/t/{link['token']}{rest.format(sid)}").status_code == 404


@pytest.mark.parametrize("rest", ["", "/file", ".zip", ".json", "/certificate", "/transitions"])
def test_nothing_but_pixels(house, reviewed, rest):
    """Neither files nor pages nor decisions are lent, not even to somebody who may have them elsewhere."""
    sid, link = reviewed
    with house.client("curator") as client:
        assert client.get(f"/t/{link['token']}/slides/{sid}{rest}").status_code == 404
        assert client.post(f"/t/{link['token']}/slides/{sid}{rest}", data={"to": "released"}).status_code == 404


def test_a_released_slide_needs_no_link(house):
    """Once everybody may look, descriptions name the plain addresses, so that caches share them."""
    sid = house.slide(State.IN_REVIEW)
    link = house.client("curator").post(f"/api/v1/slides/{sid}/links").json()
    house.archive.transition(sid, State.RELEASED, "curator")
    with house.client() as client:
        info = client.get(link["iiif"]).json()
    assert info["id"] == f"{house.url}/iiif/3/{sid}"
