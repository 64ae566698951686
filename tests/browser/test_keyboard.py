"""Who has no pointer: every page from its first control to its last, and a slide's whole way, by keys alone."""

import pytest

from tests.browser.looking import still, until

pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

HERE = """(() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const shown = [node, node.closest("label"), node.closest(".row")].filter(Boolean);
  const seen = shown.some((one) => ["outlineStyle"].some((name) => getComputedStyle(one)[name] !== "none")
    && parseFloat(getComputedStyle(one).outlineWidth) > 0);
  window.reached ??= new Set();
  const before = window.reached.has(node);
  window.reached.add(node);
  return { seen, before, what: `${node.tagName} ${node.id || node.textContent.trim().slice(0, 20)}` };
})()"""
LEFT = """[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
  .filter((node) => node.getClientRects().length && !node.disabled && node.tabIndex >= 0
    && getComputedStyle(node).visibility !== "hidden" && node.checkVisibility()
    && !(node.type === "radio" && !node.checked) && !window.reached.has(node))
  .map((node) => node.outerHTML.slice(0, 80))"""
MOST = 200


def focused(page):
    """What has the focus."""
    return page.evaluate("document.activeElement?.id || document.activeElement?.textContent.trim()")


def test_tab_reaches_every_control(visit, released, sids, refused):
    """No control is left out, none holds the focus, and whatever has it shows it."""
    page = visit.page
    plain = ("/slides", "/upload", "/ops", "/keys", "/signin")
    for path in (*plain, *(f"/slides/{sid}" for sid in (released, sids[0], refused))):
        page.goto(path)
        until(page, "document.readyState === 'complete'")
        if path.endswith(sids[0]):
            still(page)
        for _ in range(MOST):
            page.keyboard.press("Tab")
            at = page.evaluate(HERE)
            if at is None or at["before"]:
                break
            assert at["seen"], (path, at["what"])
        assert page.evaluate(LEFT) == [], path


def test_a_slide_is_judged_by_keys_alone(visit, sids):
    """Search, open, look, think of a reason, leave it, go back: and while the list of keys is open no key decides."""
    page = visit.page
    page.goto("/slides?state=in_review")
    page.keyboard.press("/")
    assert focused(page) == "search"
    page.keyboard.type(sids[1])
    page.keyboard.press("Enter")
    page.wait_for_url("**q=**")
    page.keyboard.press("j")
    assert focused(page) == sids[1]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/slides/{sids[1]}")
    still(page)
    page.keyboard.press("x")
    assert focused(page) == "reason"
    page.keyboard.type("a key is no reason")
    page.keyboard.press("Tab")
    assert focused(page) == "Quarantine"
    page.keyboard.press("Tab")
    assert focused(page) == "Reject"
    page.keyboard.press("?")
    assert page.is_visible("#keys")
    page.keyboard.press("a")
    page.wait_for_timeout(500)
    page.keyboard.press("Escape")
    assert page.is_hidden("#keys")
    assert focused(page) == "Reject"
    assert page.is_visible("#side .state-in_review")
    page.keyboard.press("u")
    page.wait_for_url("**/slides")


def test_work_is_paused_by_keys_alone(visit):
    """Who is called at night finds the button with the first keys after the pages' names, and gets back what was."""
    page = visit.page
    page.goto("/ops")
    for wanted in ("Pause all work", "Resume all work"):
        for _ in range(MOST):
            page.keyboard.press("Tab")
            if focused(page) == wanted:
                break
        assert focused(page) == wanted
        page.keyboard.press("Enter")
        page.wait_for_selector("text=All work is paused." if wanted[0] == "P" else "text=Pause all work")
