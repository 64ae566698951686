"""An open page finds its way back to the server, whatever stood between them."""

import pytest

from tests.browser.looking import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COUNT = """window.changes = 0; document.body.addEventListener("coverslip:changed", () => window.changes++)"""


def test_a_page_whose_proxy_had_no_server_for_a_while_goes_on(chromium, coverslip):
    """Browsers give up at an answer that is no stream, such as proxies give while a service starts again; we do not."""
    context = chromium.new_context(base_url=coverslip)
    page = context.new_page()
    page.route("**/live", lambda route: route.fulfill(status=502, body="no server"))
    page.goto("/slides")
    page.evaluate(COUNT)
    until(page, "!document.getElementById('offline').hidden")
    page.unroute("**/live")
    until(page, "document.getElementById('offline').hidden && window.changes > 0")
    context.close()
