"""What tests of pages in a browser ask again and again."""

import io
import time

import numpy as np
from PIL import Image

ENDS = ", ".join(f"#tray .state-{state}" for state in ("in_review", "rejected", "quarantined", "failed"))
"""Where a line of the upload page's tray comes to rest."""
PATIENCE = 240_000
"""Milliseconds a slide may take on a busy machine."""
SHOWN = "window.coverslipViews?.every(({ item }) => item?.getFullyLoaded())"
WHERE = "JSON.parse(JSON.stringify(coverslipViews.map((view) => ({ ...view.where, mpp: view.mpp[0] }))))"


def until(page, expression, seconds=120):
    """Ask again until it is true; playwright's own wait would need `eval`, which our content policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def reviewed(page):
    """The first slide of the tray has come to rest, and in review: any other end is said at once, with its code."""
    page.wait_for_selector(ENDS, timeout=PATIENCE)
    assert page.inner_text("#tray .say .state") == "in review", page.inner_text("#tray .say")


def still(page):
    """Every tile is drawn and nothing moves any more: what a person waits for; returns where each view looks."""
    until(page, SHOWN)
    before = None
    while (now := page.evaluate(WHERE)) != before:
        before = now
        page.wait_for_timeout(250)
    return now


def tissue(png):
    """Share of pixels that are coloured as stain is, and not paper, glass or ink of a page."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return float(np.mean((red - green > 25) & (blue - green > 10)))
