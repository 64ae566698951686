"""The viewer in a real browser: what it shows, measures, moves and says, judged by where it looks and what is drawn."""

import re

import numpy as np
import pytest
from PIL import Image

from coverslip.geometry import Size
from coverslip.pyramid import PageFacts, Pyramid, build, export_static
from samples import aperio
from service import vendor
from tests.browser.conftest import move, sent_in, write
from tests.browser.looking import SHOWN, still, tissue, until

pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

KEYS = ["+", "-", "0", "1", "6", "n", "←", "→", "↑", "↓", "[", "]", "{", "}", *"blgsypvf?", "Enter", "Esc", "Backspace"]


@pytest.fixture
def page(visit, sids):
    """The first slide's page, signed in and drawn."""
    visit.page.goto(f"/slides/{sids[0]}")
    still(visit.page)
    return visit.page


@pytest.mark.parametrize("size", [(1280, 860), (1280, 480), (390, 844)])
@pytest.mark.parametrize("number", [0, 1])
def test_home_shows_the_whole_slide(visit, sids, size, number):
    """Each corner of the slide is in the viewer and the viewer in the window, turned and resized too."""
    page = visit.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"/slides/{sids[number]}")
    corners = """(() => { const [{ item, place, osd }] = coverslipViews; const { x, y } = item.getContentSize();
      const box = place.getBoundingClientRect();
      return [[0, 0], [x, 0], [0, y], [x, y]].every(([a, b]) => {
        const p = osd.viewport.pixelFromPoint(item.imageToViewportCoordinates(a, b), true);
        return p.x >= 0 && p.y >= 0 && p.x <= box.width && p.y <= box.height; }) && box.bottom <= innerHeight; })()"""
    still(page)
    assert page.evaluate(corners)
    page.evaluate("coverslipViews[0].turnTo(90, true); coverslipViews[0].fit(true)")
    still(page)
    assert page.evaluate(corners)
    page.set_viewport_size({"width": size[0] - 30, "height": size[1] - 30})
    page.wait_for_timeout(300)
    still(page)
    assert page.evaluate(corners)


def test_magnification_is_read_and_chosen(page):
    """The picker and the keys lead to the same power, and what is shown follows from objective and zoom."""
    page.select_option("#power-pick", "10")
    (there,) = still(page)
    assert there["zoom"] == pytest.approx(10 / 40, rel=1e-3)
    assert page.inner_text("#power") == "10×"
    page.keyboard.press("5")
    (there,) = still(page)
    assert there["zoom"] == pytest.approx(20 / 40, rel=1e-3)
    page.keyboard.press("n")
    (there,) = still(page)
    assert there["zoom"] == pytest.approx(1, rel=1e-3)
    assert page.inner_text("#power") == "40×"
    bar = page.evaluate("document.getElementById('scale-bar').getBoundingClientRect().width")
    micrometres = float(re.match(r"(\d+) µm", page.inner_text("#scale-text"))[1])
    assert micrometres == pytest.approx(bar * there["mpp"], rel=0.02)


def test_keys_do_what_their_list_says(page):
    """Every key is in the list; those that move, move."""
    page.keyboard.press("?")
    listed = page.locator("#keys kbd").all_inner_texts()
    assert [key for key in KEYS if key not in listed] == []
    page.keyboard.press("Escape")
    (before,) = still(page)
    page.keyboard.press("+")
    page.keyboard.press("]")
    (after,) = still(page)
    assert after["zoom"] > before["zoom"] * 1.5
    assert after["rotation"] == 15
    page.keyboard.press("{")
    page.keyboard.press("ArrowRight")
    (moved,) = still(page)
    assert moved["rotation"] == -75
    assert (moved["x"], moved["y"]) != (after["x"], after["y"])
    assert page.is_visible("#viewer .navigator")
    page.keyboard.press("v")
    assert not page.is_visible("#viewer .navigator")
    for key, place in {"b": "#adjust-panel", "l": "#measure-hint", "s": "#beside-dialog"}.items():
        page.keyboard.press(key)
        page.wait_for_selector(place)
        page.keyboard.press("Escape")


def test_the_picture_is_adjusted(page, tmp_path):
    """Darker is darker on the screen, gamma bends, reset takes it back; nothing reads pixels."""

    def brightness():
        page.wait_for_timeout(200)
        page.locator("#viewer").screenshot(path=tmp_path / "shot.png")
        return np.asarray(Image.open(tmp_path / "shot.png").convert("L"))[:, 400:600].mean()

    plain = brightness()
    page.click("#adjust")
    page.fill("#brightness", "50")
    assert brightness() < plain * 0.7
    page.fill("#brightness", "100")
    page.fill("#gamma", "0.4")
    assert brightness() < plain * 0.9
    page.fill("#rotation", "30")
    (turned,) = still(page)
    assert turned["rotation"] == 30
    page.click("#adjust-reset")
    (back,) = still(page)
    assert back["rotation"] == 0
    assert brightness() == pytest.approx(plain, abs=2)


def test_lengths_and_areas(page):
    """Two clicks 200 pixels apart, and a square of 200 by 200: what is said is what the resolution makes of it."""
    page.select_option("#power-pick", "10")
    (there,) = still(page)
    side = 200 / there["zoom"] * there["mpp"]
    box = page.locator("#viewer").bounding_box()
    x, y = box["x"] + 250, box["y"] + 250
    page.keyboard.press("l")
    page.mouse.click(x, y)
    page.mouse.click(x + 200, y)
    said = page.inner_text("#measure-hint")
    assert float(re.search(r"([\d.]+) µm", said)[1]) == pytest.approx(side, rel=0.01)
    page.keyboard.press("g")
    for dx, dy in ((0, 0), (200, 0), (200, 200), (0, 200)):
        page.mouse.click(x + dx, y + dy)
        page.wait_for_timeout(350)  # two clicks, not a double click
    page.keyboard.press("Enter")
    said = page.inner_text("#measure-hint")
    assert float(re.search(r"([\d.]+) µm²", said)[1]) == pytest.approx(side**2, rel=0.01)
    assert still(page)[0]["zoom"] == there["zoom"]
    assert page.locator("#viewer .measures text").count() == 2
    page.keyboard.press("Backspace")
    assert page.locator("#viewer .measures text").count() == 1


def test_a_length_without_a_pointer(page):
    """Space marks where the cross is, arrows move the slide under it: 240 pixels by three steps of 80."""
    page.select_option("#power-pick", "10")
    (there,) = still(page)
    page.keyboard.press("l")
    assert "Space" in page.inner_text("#measure-hint")
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    (moved,) = still(page)
    page.keyboard.press("Space")
    said = page.inner_text("#measure-hint")
    assert float(re.search(r"([\d.]+) µm", said)[1]) == pytest.approx(
        (moved["x"] - there["x"]) * there["mpp"], rel=0.01
    )
    assert (moved["x"] - there["x"]) * there["zoom"] == pytest.approx(240, rel=0.01)
    page.mouse.move(500, 300)
    assert page.locator("#viewer.by-key").count() == 0


def test_the_panel_is_left_by_a_key(page):
    """Esc closes the sliders from among them, and the button has the focus again."""
    page.keyboard.press("b")
    assert page.evaluate("document.activeElement.id") == "rotation"
    page.keyboard.press("Escape")
    assert page.is_hidden("#adjust-panel")
    assert page.evaluate("document.activeElement.id") == "adjust"


def test_the_whole_slide_lies_between_the_tools(visit, sids):
    """On a telephone the bar of tools and the scale lie across: home leaves the slide free of them."""
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 560})
    page.goto(f"/slides/{sids[1]}/viewer")
    still(page)
    free = """(() => { const [{ item, osd, place }] = coverslipViews; const { y } = item.getContentSize();
      const at = (v) => osd.viewport.pixelFromPoint(item.imageToViewportCoordinates(0, v), true).y;
      const box = (name) => document.querySelector(name).getBoundingClientRect();
      return at(0) >= box(".tools").bottom && at(y) <= box(".readout").top; })()"""
    assert page.evaluate(free)
    page.evaluate("coverslipViews[0].turnTo(180, true); coverslipViews[0].fit(true)")
    still(page)
    assert page.evaluate(free.replace("at(0)", "at(y )").replace("at(y)", "at(0)"))


def test_a_permalink_restores_the_view(page):
    """The address leads back to the same place, turn and magnification, in a window of another size too."""
    page.evaluate("coverslipViews[0].look({ x: 900, y: 700, zoom: 0.8, rotation: 45 })")
    page.keyboard.press("+")
    (before,) = still(page)
    address = page.url
    page.goto("/slides")
    page.set_viewport_size({"width": 900, "height": 600})
    page.goto(address)
    (after,) = still(page)
    assert after["x"] == pytest.approx(before["x"], abs=1)
    assert after["y"] == pytest.approx(before["y"], abs=1)
    assert after["zoom"] == pytest.approx(before["zoom"], rel=1e-3)
    assert after["rotation"] % 360 == 45
    page.evaluate("location.hash = '#x=NaN&y=1&zoom=1e9'")
    assert still(page) == [after]


def test_two_slides_move_as_one(page, sids):
    """The same magnification at first, the same step in micrometres after, and each alone when unlocked."""
    page.keyboard.press("s")
    page.click(f"#beside-list a[href*='{sids[1]}']")
    page.wait_for_url(re.compile("beside="))
    one, two = still(page)
    assert one["zoom"] / one["mpp"] == pytest.approx(two["zoom"] / two["mpp"], rel=1e-3)
    page.keyboard.press("5")
    one, two = still(page)
    box = page.locator("#viewer").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 400)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 350, steps=8)
    page.mouse.up()
    three, four = still(page)
    for axis in "xy":
        step = (three[axis] - one[axis]) * one["mpp"]
        assert abs(step) > 10
        assert (four[axis] - two[axis]) * two["mpp"] == pytest.approx(step, rel=0.02)
    assert three["zoom"] / three["mpp"] == pytest.approx(four["zoom"] / four["mpp"], rel=1e-3)
    page.click("#lock")
    page.click("#zoom-out")
    five, six = still(page)
    assert five["zoom"] < three["zoom"]
    assert six["zoom"] == pytest.approx(four["zoom"], rel=1e-6)


@pytest.mark.parametrize(("status", "says"), [(503, "busy"), (409, "not tiled yet"), (0, "connection is lost")])
def test_trouble_is_said_and_mended(chromium, coverslip, sids, status, says):
    """Tiles that do not come are explained in words, asked for again, and the words go when they come."""
    page = chromium.new_context(base_url=coverslip).new_page()

    def refuse(route):
        if status:
            route.fulfill(status=status, headers={"Retry-After": "1"}, body="")
        else:
            route.abort("internetdisconnected")

    hurt = re.compile(r"_files/|\.dzi")
    page.route(hurt, refuse)
    page.goto(f"/slides/{sids[0]}")
    page.wait_for_selector("#viewer-problem:not([hidden])")
    assert says in page.inner_text("#viewer-problem")
    page.unroute(hurt)
    until(page, SHOWN)
    assert not page.is_visible("#viewer-problem")
    page.context.close()


def test_a_withdrawn_slide_says_so(chromium, coverslip, tmp_path):
    """Who looks at a slide that is withdrawn is told at the next tile, and the viewer stops asking."""
    path = tmp_path / "slide.svs"
    write(path, Size(2100, 1400), seed=11)
    sid = sent_in(chromium, coverslip, path)
    move(coverslip, sid, "released")
    page = chromium.new_context(base_url=coverslip, extra_http_headers={"Accept": "*/*"}).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"/slides/{sid}/viewer")
    still(page)
    move(coverslip, sid, "withdrawn")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "HEAD" else None)
    page.keyboard.press("n")
    page.wait_for_selector("#viewer-problem:not([hidden])")
    assert "withdrawn" in page.inner_text("#viewer-problem")
    page.wait_for_timeout(3000)
    assert len(asked) == 1
    page.context.close()


def test_a_link_opens_for_a_stranger(page, chromium, coverslip):
    """Share leads to an address that shows tissue to who is not signed in, and no way further in."""
    page.click("text=Share for 15 minutes")
    page.wait_for_url(re.compile("token="))
    stranger = chromium.new_context(base_url=coverslip, extra_http_headers={"Accept": "*/*"}).new_page()
    complaints = []
    stranger.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    stranger.goto(page.url)
    still(stranger)
    assert tissue(stranger.screenshot()) > 0.05
    assert stranger.locator("a[href*='/slides/']").count() == 0
    assert complaints == []
    stranger.context.close()


def test_a_static_folder_opens_from_a_disk(chromium, tmp_path):
    """Without any server: tissue, scale bar, magnification, and nothing red in the console."""
    if vendor.missing():
        pytest.skip("the pages' libraries are not installed (npm ci)")
    slide = tmp_path / "slide.svs"
    aperio.write(slide, Size(1100, 700))
    build(slide, tmp_path / "slide.pyramid")
    library = vendor.MODULES / vendor.FILES[0][0]
    with Pyramid.open(slide, tmp_path / "slide.pyramid") as pyramid:
        index = export_static(pyramid, tmp_path / "out", library, PageFacts(0.25, 40))
    page = chromium.new_context().new_page()
    complaints = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(index.as_uri())
    until(page, "window.coverslipViewer?.world.getItemAt(0)?.getFullyLoaded()")
    page.wait_for_timeout(300)
    assert tissue(page.screenshot()) > 0.05
    assert re.search(r"\d µm.*×", page.inner_text("#readout"))
    assert complaints == []
    page.context.close()
