"""Who cannot see, point or aim: axe looks at every page as a curator and as a stranger gets it."""

import pytest

from tests.browser import elsewhere
from tests.browser.looking import still, until

pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

ASK = """axe.run(document, {resultTypes: ["violations"]}).then((said) => said.violations
  .filter((rule) => ["serious", "critical"].includes(rule.impact))
  .map((rule) => `${rule.id}: ${rule.nodes[0].html.slice(0, 120)}`))"""


@pytest.fixture(scope="session")
def axe():
    """The checker's source."""
    if elsewhere.missing():
        pytest.skip("axe is not installed (make test, or npm ci in tests/browser/viewers)")
    return elsewhere.AXE.read_text("utf-8")


def objections(page, axe):
    """What axe finds serious or worse on the page as it is now."""
    until(page, "document.readyState === 'complete'")
    page.evaluate(axe)
    return page.evaluate(ASK)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(chromium, coverslip, released, sids, axe, width, scheme):
    """Lists, forms, slides in several states, certificate, viewer, its dialogs and panels, refusals."""
    context = chromium.new_context(base_url=coverslip, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(120_000)
    plain = ("/slides", "/slides?state=withdrawn", "/upload", "/ops", "/signin", "/slides/unknown")
    for path in (*plain, f"/slides/{released}", f"/slides/{sids[0]}/certificate", f"/embed/{released}"):
        page.goto(path)
        assert objections(page, axe) == [], path
    page.goto(f"/slides/{sids[0]}")
    still(page)
    page.locator("#purge summary").click()
    assert objections(page, axe) == []
    page.goto(f"/slides/{sids[0]}/viewer?beside={sids[1]}")
    still(page)
    for key in ("?", "s", "b", "l"):
        page.keyboard.press(key)
        assert objections(page, axe) == [], key
        page.keyboard.press("Escape")
    context.close()


def test_axe_finds_nothing_serious_for_a_stranger(chromium, coverslip, released, axe):
    """The same for who is not signed in, where the pages offer less."""
    context = chromium.new_context(base_url=coverslip, extra_http_headers={"Accept": "*/*"})
    page = context.new_page()
    page.set_default_timeout(120_000)
    for path in ("/slides", "/signin", f"/slides/{released}", f"/slides/{released}/certificate"):
        page.goto(path)
        assert objections(page, axe) == [], path
    context.close()
