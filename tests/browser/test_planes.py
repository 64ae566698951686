"""The pickers of focal planes and channels: what is chosen is drawn, said, kept in the address and within reach."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from coverslip.geometry import Size
from samples import ome
from tests.browser.conftest import move, sent_in
from tests.browser.looking import still, until
from tests.browser.test_access import axe, objections

__all__ = ["axe"]
pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

SETTLED = """coverslipViews.every(({ osd, place, item }) => osd.world.getItemCount() === 1 && item.getFullyLoaded()
  && !place.classList.contains("loading"))"""
ASKED = "coverslipViews.map(({ place }) => new URL(place.dataset.dzi, location).search)"


@pytest.fixture(scope="module")
def stacked(chromium, coverslip, tmp_path_factory):
    """A released slide of five focal planes and three channels."""
    path = tmp_path_factory.mktemp("stacked") / "slide.ome.tiff"
    ome.write(path, Size(650, 450), z=5, channels=3, identifiers=False)
    sid = sent_in(chromium, coverslip, path)
    move(coverslip, sid, "released")
    return sid


@pytest.fixture
def page(chromium, coverslip, stacked):
    """The slide's viewer, as a stranger opens it; nothing red in the console."""
    context = chromium.new_context(base_url=coverslip, viewport={"width": 1280, "height": 860})
    found = context.new_page()
    found.set_default_timeout(60_000)
    complaints = []
    found.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    found.goto(f"/slides/{stacked}/viewer")
    still(found)
    yield found
    assert complaints == []
    context.close()


def _settled(page):
    page.wait_for_timeout(150)  # a slider rests before tiles are asked for
    until(page, SETTLED)


def _picture(page):
    """What is drawn, without the tools over it."""
    canvas = page.locator("#viewer .openseadragon-canvas canvas").first
    encoded = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded.split(",")[1]))).convert("RGB")).astype(int)


def test_a_focal_plane_is_chosen(page):
    """Slider and keys draw other pixels, say where one is, and lead back to the same picture."""
    assert page.locator("#planes input").count() == 1  # z has a slider, the only moment has none
    assert "3 of 5" in page.inner_text("#planes")
    middle = _picture(page)
    page.fill("#plane-z", "4")
    _settled(page)
    top = _picture(page)
    assert np.abs(top - middle).mean() > 1
    assert "5 of 5 (+3 µm)" in page.inner_text("#planes")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(",")
    page.keyboard.press(",")
    _settled(page)
    assert np.array_equal(_picture(page), middle)
    page.keyboard.press(",")
    _settled(page)
    assert "2 of 5 (−1.5 µm)" in page.inner_text("#planes")
    assert page.get_attribute("#plane-z", "aria-valuetext") == "2 of 5 (−1.5 µm)"
    assert np.abs(_picture(page) - middle).mean() > 1


def test_a_channel_is_switched_off(page):
    """What was blue is gone, by pointer and by key; one channel stays on whatever is pressed."""
    toggles = page.locator("#planes .channels button")
    assert toggles.all_inner_texts()[0] == "DAPI"
    assert toggles.count() == 3
    every = _picture(page)
    toggles.nth(0).click()
    _settled(page)
    without = _picture(page)
    assert every[..., 2].mean() - without[..., 2].mean() > 5
    assert abs(every[..., 1].mean() - without[..., 1].mean()) < 1
    assert toggles.nth(0).get_attribute("aria-pressed") == "false"
    page.keyboard.press("w")
    _settled(page)
    assert np.array_equal(_picture(page), every)
    for key in "wer":
        page.keyboard.press(key)
    _settled(page)
    assert [toggles.nth(at).get_attribute("aria-pressed") for at in range(3)] == ["false", "false", "true"]
    assert page.evaluate(ASKED) == ["?channels=2"]


def test_where_one_looks_stays_where_it_is(page):
    """Other planes are laid over the same place, and the overview follows."""
    page.keyboard.press("5")
    (before,) = still(page)
    page.keyboard.press(".")
    page.keyboard.press("e")
    _settled(page)
    assert still(page) == [before]
    assert page.evaluate("coverslipViewer.navigator.world.getItemCount()") == 1


def test_the_address_keeps_the_planes(page, chromium):
    """What is shown anyway is not in it; what was chosen comes back in another window, and is no other's word."""
    assert page.evaluate("location.hash") == ""
    page.keyboard.press(".")
    page.keyboard.press("e")
    _settled(page)
    assert page.evaluate("location.hash") == "#z=3&channels=0,2"
    shown, address = _picture(page), page.url
    page.keyboard.press("5")
    still(page)
    assert page.evaluate("location.hash").endswith("&z=3&channels=0,2")
    page.goto("/slides")
    page.goto(address)
    still(page)
    assert page.evaluate(ASKED) == ["?z=3&channels=0,2"]
    assert np.array_equal(_picture(page), shown)
    page.evaluate("location.hash = '#z=99&channels=7,x&t=-1'")
    _settled(page)
    assert page.evaluate(ASKED) == [""]
    assert "3 of 5" in page.inner_text("#planes")


def test_a_slide_of_one_plane_has_no_pickers(visit, sids):
    """Nothing to choose, nothing in the way, and no keys for it in the list."""
    page = visit.page
    page.goto(f"/slides/{sids[0]}/viewer")
    still(page)
    assert page.locator("#planes").count() == 0
    before = page.url
    for key in ",.<>wertio":
        page.keyboard.press(key)
    page.keyboard.press("?")
    assert "focal plane" not in page.inner_text("#keys")
    assert page.url == before


def test_beside_a_slide_without_planes(visit, sids, stacked):
    """The pickers are those of the view one last touched; the other slide has none."""
    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(f"/slides/{sids[0]}/viewer?beside={stacked}")
    still(page)
    assert page.is_hidden("#planes")
    page.locator("#viewer-2").click(position={"x": 200, "y": 500})
    page.wait_for_selector("#planes:not([hidden])")
    page.keyboard.press(".")
    _settled(page)
    assert page.evaluate(ASKED) == ["", "?z=3"]
    assert "z2=3" in page.evaluate("location.hash")


@pytest.mark.parametrize(("width", "height"), [(1280, 860), (390, 844)])
def test_axe_and_a_telephone(page, axe, width, height):
    """Pickers are within the window, large enough for a finger, and nothing of them is an obstacle."""
    page.set_viewport_size({"width": width, "height": height})
    still(page)
    for part in ("#planes", "#plane-z", *(f"#planes .channels button:nth-child({at})" for at in (1, 2, 3))):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
        assert box["height"] >= 32
    assert objections(page, axe) == []
    for one, other in (("#planes", ".readout"), ("#planes", ".tools"), ("#planes", ".caption")):
        a, b = page.locator(one).bounding_box(), page.locator(other).bounding_box()
        apart = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
        assert apart or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"], (one, other)
    page.locator("#planes .channels button").nth(1).click()
    _settled(page)
    assert page.evaluate(ASKED) == ["?channels=0,2"]
