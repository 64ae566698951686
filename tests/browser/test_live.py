"""An open page finds its way back to the server, whatever stood between them."""

import pytest

from coverslip.geometry import Size
from tests.browser import looking
from tests.browser.conftest import move, sent_in, signed_in, write
from tests.browser.looking import until

pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

COUNT = """window.changes = 0; document.body.addEventListener("coverslip:changed", () => window.changes++)"""


@pytest.fixture(scope="module")
def sid(chromium, coverslip, tmp_path_factory):
    """A slide in review, until the last test here releases it."""
    path = tmp_path_factory.mktemp("live") / "slide.svs"
    write(path, Size(900, 700), seed=6)
    return sent_in(chromium, coverslip, path)


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


def test_an_upload_whose_last_answer_is_lost_arrives(chromium, coverslip, tmp_path):
    """The slide is there, and the page finds out by itself which it is."""
    path, lost = tmp_path / "slide.svs", []
    write(path, Size(800, 700), seed=5)

    def lose(route):
        if "repr-digest" not in route.request.headers or lost:
            route.continue_()
        else:
            lost.append(route.fetch().status)
            route.abort("connectionreset")

    with signed_in(chromium, coverslip) as context:
        page = context.pages[0]
        page.route("**/uploads/*", lose)
        page.goto("/upload")
        page.set_input_files("#files", path)
        looking.reviewed(page)
    assert lost == [204]


def test_who_looks_at_a_slide_sees_what_another_decided(chromium, coverslip, sid):
    """The picture leaves with the slide, and comes again with it; the page has the other's reason."""
    with signed_in(chromium, coverslip) as context:
        page = context.pages[0]
        page.goto(f"/slides/{sid}")
        looking.still(page)
        move(coverslip, sid, "quarantined")
        page.wait_for_selector(".stage-view.waiting", timeout=looking.PATIENCE)
        assert "Reason given: a test" in page.inner_text(".stage-view")
        move(coverslip, sid, "queued")
        page.wait_for_selector("#viewer", timeout=looking.PATIENCE)
        looking.still(page)


def test_a_page_that_hears_nothing_decides_nothing_old(chromium, coverslip, sid):
    """It says so and leads back; there the decision is one of what is seen."""
    with signed_in(chromium, coverslip) as context:
        page = context.pages[0]
        page.route("**/live", lambda route: route.fulfill(status=502, body="no server"))
        page.goto(f"/slides/{sid}")
        with signed_in(chromium, coverslip) as other:
            beside = other.pages[0]
            for to in ("quarantined", "queued"):
                move(coverslip, sid, to)
            beside.goto(f"/slides/{sid}")
            beside.wait_for_selector("#viewer", timeout=looking.PATIENCE)
        page.click("text=Approve and release")
        assert "This has changed since you looked" in page.inner_text("h1")
        page.click("text=Look at the slide again")
        page.click("text=Approve and release")
        page.wait_for_selector(".lead .state-released")
