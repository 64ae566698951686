"""The way of one slide as a person walks it: upload, wait, look, approve, read the certificate."""

import re

import numpy as np
import pytest

from coverslip.geometry import Size
from samples import aperio
from samples.real import find
from tests.browser.looking import reviewed, tissue, until

pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

SLIDE = "CMU-1-Small-Region.svs"


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A real slide where there is one, a synthetic one with tissue otherwise."""
    if (real := find(f"aperio/{SLIDE}")) is not None:
        return real
    path = tmp_path_factory.mktemp("source") / SLIDE
    aperio.write(path, Size(2000, 1500))
    return path


def drawn(page):
    """The viewer has drawn every tile it wants."""
    until(page, "window.coverslipViewer?.world.getItemAt(0)?.getFullyLoaded()")
    page.wait_for_timeout(300)


def test_from_upload_to_release(visit, source):
    """Upload, follow the state without touching anything, zoom, see tissue, approve, read the certificate."""
    page = visit.page
    page.goto("/upload")
    page.set_input_files("#files", source)
    reviewed(page)
    page.click("#tray .say a")

    drawn(page)
    assert tissue(page.locator("#viewer").screenshot()) > 0.05
    assert re.search(r"\d+ (µm|mm)", page.inner_text("#scale-text"))
    power = page.inner_text("#power")
    for _ in range(3):
        page.click("#zoom-in")
    drawn(page)
    assert page.inner_text("#power") != power
    assert tissue(page.locator("#viewer").screenshot()) > 0.05
    page.click("#turn-right")
    drawn(page)
    assert page.evaluate("window.coverslipViewer.viewport.getRotation()") % 360 == 90
    assert page.locator("#viewer .navigator").is_visible()

    page.keyboard.press("a")
    page.wait_for_selector("#side .state-released")
    assert "identical to the source" in page.inner_text("#side .proofs")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[data-copy$='info.json']")
    page.wait_for_selector("#copied:not(:empty)")
    with page.expect_response(page.url):
        page.evaluate("document.body.dispatchEvent(new CustomEvent('coverslip:changed'))")
    page.wait_for_timeout(300)
    assert page.inner_text("#copied") == "Copied.", "what is said stays when the page asks for news"
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith("/info.json")
    assert page.context.request.get(copied).json()["type"] == "ImageService3"
    page.click("text=Read the certificate")
    assert page.inner_text("h1") == "Certificate of de-identification"
    tall = (
        "[...document.querySelectorAll('.frame')].filter(f => f.offsetHeight > f.firstChild.offsetHeight + 24).length"
    )
    assert page.evaluate(tall) == 0
    assert source.name not in page.content()


def test_a_reload_resumes(visit, tmp_path):
    """A page left in mid-upload finds its upload again when the same file is chosen, and sends only the rest."""
    page = visit.page
    path = tmp_path / "patient-DOE.svs"
    path.write_bytes(np.random.default_rng(1).bytes(36 << 20))
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/upload")
    session = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20 << 20}
    session.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("#files", path)
    until(page, "document.querySelector('#tray progress')?.value > 0.5")
    page.goto("/slides")
    session.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    page.goto("/upload")
    page.wait_for_selector("#unfinished li")
    assert "DOE" not in page.evaluate("JSON.stringify(localStorage)")
    offsets = []
    page.on("request", lambda request: offsets.append(request.headers.get("upload-offset")))
    page.set_input_files("#files", path)
    page.wait_for_selector("#tray .state-rejected, #tray .state-quarantined, #tray .state-failed", timeout=240_000)
    sent = [int(offset) for offset in offsets if offset is not None]
    assert sent
    assert min(sent) >= 16 << 20


def test_many_are_chosen_at_once(visit, sids):
    """All of a page with one click, counted; nobody rejects without a reason; j and k still move."""
    page = visit.page
    page.goto("/slides?state=in_review")
    assert page.is_hidden(".act")
    page.click("[data-all]")
    boxes = page.locator(".slides [name=sid]")
    assert boxes.count() >= len(sids)
    assert page.inner_text("#chosen-count") == f"{boxes.count()} chosen."
    page.locator(f"#pick-{sids[0]}").press("Space")
    assert page.inner_text("#chosen-count") == f"{boxes.count() - 1} chosen."
    page.keyboard.press("j")
    assert "sid" in page.evaluate("document.activeElement.className")
    before = page.url
    page.click(".act >> text=Reject")
    assert page.evaluate("document.activeElement.id") == "reason-many"
    assert page.url == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_and_read(chromium, coverslip, released, sids, refused, width, scheme):
    """No page scrolls sideways nor past its end, every control is large enough to touch, and text has contrast."""
    context = chromium.new_context(base_url=coverslip, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    plain = ("/slides", "/slides?state=failed", "/upload", "/ops", "/keys", "/signin", "/slides/unknown")
    for path in (*plain, *(f"/slides/{sid}" for sid in (released, sids[0], refused))):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(SMALL) == [], path
        assert page.evaluate(CONTRAST) == [], path
        if path.startswith("/slides/") and width > 900:
            assert page.evaluate("document.documentElement.scrollHeight") <= 900, path
    page.goto(f"/slides/{released}/certificate")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALL) == []
    context.close()


def test_a_refusal_explains_itself(visit, refused):
    """The slide's own page has the code, what it means and what to do, large, where the picture would be."""
    page = visit.page
    page.goto(f"/slides/{refused}")
    words = page.inner_text(".stage-view")
    assert "unsupported-slide" in words
    assert "No reader takes this file." in words
    assert "coverslip inspect --why FILE" in page.inner_text(".stage-view .todo code")


SMALL = """[...document.querySelectorAll(
  'button, .button, nav a, summary, td > a, .crumbs a, .links a, .addresses a, .alone a, select, .choice label, .sure')]
  .filter(node => node.getClientRects().length && node.getBoundingClientRect().height < 32)
  .map(node => node.textContent.trim())"""
"""Controls less than 32 px high; links within a sentence are none."""


CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => c.slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const c = rgb(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walk.nextNode(); text; text = walk.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.getClientRects().length) continue;
    if (node.closest('[hidden], dialog, script, template, noscript')) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${text.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
