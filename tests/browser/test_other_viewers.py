"""Other people's viewers, on another origin, open a slide as it is served: tissue, and nothing red in the console."""

import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest

from tests.browser.looking import tissue

pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

VIEWERS = (
    *("openseadragon-iiif", "openseadragon-dzi", "mirador", "mirador-3"),
    *("leaflet", "leaflet-iiif", "openlayers-iiif", "openlayers-zoomify"),
)
"""Pages in tests/browser/viewers, by name."""
LENT = tuple(viewer for viewer in VIEWERS if viewer not in ("openlayers-zoomify", "mirador-3"))
"""Those that open a slide in review from another origin.

OpenLayers' Zoomify asks for its first tile without CORS, which is refused for what is not public. Mirador is here once.
"""
OF_ITS_OWN = "Accessing element.ref was removed in React 19"
"""Mirador 4.0.0 says this in red about the React it brings, whatever it is shown."""
PATIENCE = 120
"""Seconds a viewer may take on a busy machine."""


@dataclass
class Look:
    """What a page showed."""

    tissue: float = 0.0
    complaints: list[str] = field(default_factory=list)
    tiles: int = 0


def looked(chromium, address, coverslip):
    """Open a page and wait until tissue is on it, from more than one tile, or something is wrong."""
    page = chromium.new_page(viewport={"width": 900, "height": 700})
    page.set_default_timeout(1000 * PATIENCE)
    found = Look()

    def arrived(response):
        found.tiles += response.url.startswith(coverslip) and response.headers.get("content-type") == "image/jpeg"
        if response.status >= 400:
            found.complaints.append(f"{response.status} {response.url.removeprefix(coverslip)}")

    def failed(request):
        if request.failure != "net::ERR_ABORTED":  # a viewer may leave a tile it no longer wants
            found.complaints.append(f"{request.failure} {request.url}")

    def heard(said):
        if said.type == "error" and not said.text.startswith(OF_ITS_OWN):
            found.complaints.append(said.text)

    page.on("response", arrived)
    page.on("requestfailed", failed)
    page.on("console", heard)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(address)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        page.wait_for_timeout(250)
        if found.tiles < 2 and not found.complaints:
            continue  # a picture costs more than all else a page does in that time
        found.tissue = tissue(page.locator("#viewer").screenshot())
        if found.tissue > 0.05 or found.complaints:
            break
    page.wait_for_timeout(500)  # a complaint may come a little later
    page.close()
    return found


@pytest.mark.parametrize("viewer", VIEWERS)
def test_a_released_slide_is_shown(chromium, coverslip, viewers, released, viewer):
    """To anybody, from any origin."""
    found = looked(chromium, f"{viewers}/{viewer}.html?{urlencode({'base': coverslip, 'sid': released})}", coverslip)
    assert found.complaints == []
    assert found.tissue > 0.05
    assert found.tiles > 1


@pytest.mark.parametrize("viewer", LENT)
def test_a_slide_in_review_is_shown_to_who_holds_a_link(chromium, coverslip, viewers, sids, link, viewer):
    """The token is carried along to every tile; with another one there is nothing."""
    told = {"base": coverslip, "sid": sids[0], "token": link}
    found = looked(chromium, f"{viewers}/{viewer}.html?{urlencode(told)}", coverslip)
    assert found.complaints == []
    assert found.tissue > 0.05
    refused = looked(chromium, f"{viewers}/{viewer}.html?{urlencode(told | {'token': 'x'})}", coverslip)
    assert refused.tiles == 0
    assert any("404" in said for said in refused.complaints)


def test_a_page_elsewhere_frames_the_viewer(chromium, coverslip, viewers, released, sids, link):
    """Where its origin is named: released slides, and others by a link; no other page of ours shows in a frame."""

    def framed(address):
        return looked(chromium, f"{viewers}/frame.html?{urlencode({'address': coverslip + address})}", coverslip)

    for address in (f"/embed/{released}", f"/embed/{sids[0]}?{urlencode({'token': link})}"):
        found = framed(address)
        assert found.complaints == []
        assert found.tissue > 0.05
    for address in (f"/slides/{released}/viewer", f"/slides/{released}"):
        found = framed(address)
        assert any("frame-ancestors" in said or "ERR_BLOCKED_BY_RESPONSE" in said for said in found.complaints)
        assert found.tissue < 0.01
