"""A whole Coverslip on loopback (broker, worker, service) and Debian's chromium in front of it."""

import functools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from coverslip.geometry import Size
from samples import aperio
from service import vendor
from tests.browser import elsewhere, looking

CHROMIUM = next(filter(Path.exists, map(Path, ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium"))), None)
"""The same engine without a window nobody sees takes two thirds of the time."""
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_UP = 180.0
"""Seconds everything may take to come up on a busy machine."""


@pytest.fixture(scope="session")
def coverslip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo with a worker behind it."""
    if vendor.missing():
        pytest.skip("the pages' libraries are not installed (npm ci)")
    vendor.copy()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("coverslip")
    settings = {
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "DEMO": "1",
        "SWEEP_EVERY": "2",
        "CORS_ORIGINS": "*",
        "EMBED_ORIGINS": "http://127.0.0.1:*",
    }
    environment = {**os.environ, **{f"COVERSLIP_{name}": value for name, value in settings.items()}}
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([sys.executable, "-m", "workers", "all"], env=environment, stdout=log, stderr=log)
        try:
            yield _answering(f"http://127.0.0.1:{port}", running)
        finally:
            running.terminate()
            running.wait(60)


def _answering(url: str, running: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_UP
    while time.monotonic() < deadline:
        assert running.poll() is None, "it left before it answered"
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return url
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("it did not answer in time")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's chromium, asking nobody anything."""
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def closed(chromium: Browser) -> Iterator[None]:
    """Whatever a test leaves open goes with it: a page that nobody looks at any more draws, asks and animates on."""
    yield
    for context in chromium.contexts:
        context.close()


SIZES = (Size(2600, 1900), Size(1500, 2100))


def write(path: Path, size: Size, **how: Any) -> None:
    """A slide to look at. It names nobody: the search for a thousand names costs more than all else done with it."""
    aperio.write(path, size, identifiers=False, traps=(), **how).sidecar.unlink()


def sent_in(chromium: Browser, coverslip: str, path: Path) -> str:
    """A slide's id once it is in review, sent as a person sends it."""
    with signed_in(chromium, coverslip) as context:
        page = context.pages[0]
        page.goto("/upload")
        page.set_input_files("#files", path)
        looking.reviewed(page)
        address = page.get_attribute("#tray .say a", "href")
        assert address
        return address.rsplit("/", 1)[1]


@pytest.fixture(scope="session")
def sids(chromium: Browser, coverslip: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two slides of different shape, in review."""
    found = []
    for number, size in enumerate(SIZES):
        path = tmp_path_factory.mktemp("viewer") / f"{number}.svs"
        write(path, size, seed=number, magnification=(40, 20)[number])
        found.append(sent_in(chromium, coverslip, path))
    return found


@pytest.fixture(scope="session")
def released(chromium: Browser, coverslip: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A slide anybody may look at; its tiles are not of the size every client takes for granted."""
    path = tmp_path_factory.mktemp("released") / "slide.svs"
    write(path, Size(2300, 1700), seed=7, tile=240)
    sid = sent_in(chromium, coverslip, path)
    move(coverslip, sid, "released")
    return sid


@pytest.fixture(scope="session")
def refused(chromium: Browser, coverslip: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of something that is no slide."""
    path = tmp_path_factory.mktemp("refused") / "letter.svs"
    path.write_text("Dear colleague")
    with signed_in(chromium, coverslip) as context:
        page = context.pages[0]
        page.goto("/upload")
        page.set_input_files("#files", path)
        page.wait_for_selector("#tray .state-rejected", timeout=looking.PATIENCE)
        address = page.get_attribute("#tray .say a", "href")
        assert address
        return address.rsplit("/", 1)[1]


def move(coverslip: str, sid: str, to: str) -> None:
    """Move a slide as a curator's program does, and wait until everybody knows."""
    told(coverslip, f"slides/{sid}/transitions", 200, {"to": to, "reason": "a test"})
    time.sleep(1.2)  # for a second a front end believes what it knew of a slide


def told(coverslip: str, path: str, status: int, said: object = None) -> Any:
    """What the interface answers to the demo's administrator."""
    origin = {"Origin": coverslip}
    answer = httpx.post(f"{coverslip}/api/v1/{path}", json=said, headers=origin, cookies=administrator(coverslip))
    assert answer.status_code == status, answer.text
    return answer.json()


@functools.cache
def administrator(coverslip: str) -> dict[str, str]:
    """The cookie that the demo gives whoever opens a page of it."""
    return dict(httpx.get(f"{coverslip}/slides", headers={"Accept": "text/html"}).cookies)


@contextmanager
def signed_in(chromium: Browser, coverslip: str) -> Iterator[BrowserContext]:
    """A browser profile with the cookie of the demo's administrator."""
    context = chromium.new_context(base_url=coverslip)
    context.add_cookies(
        [{"name": name, "value": said, "url": coverslip} for name, said in administrator(coverslip).items()]
    )
    page = context.new_page()
    page.set_default_timeout(240_000)
    yield context
    context.close()


@pytest.fixture
def link(coverslip: str, sids: list[str]) -> str:
    """A link token of the first slide in review; made for each test, because it holds for a quarter of an hour."""
    token: str = told(coverslip, f"slides/{sids[0]}/links", 201)["token"]
    return token


@pytest.fixture(scope="session")
def viewers() -> Iterator[str]:
    """The origin of pages with other people's viewers."""
    if elsewhere.missing():
        pytest.skip("other people's viewers are not installed (make test, or npm ci in tests/browser/viewers)")
    with elsewhere.serving() as origin:
        yield origin


@dataclass
class Visit:
    """A page and everything it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        """Keep what a console shows in red."""
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture
def visit(chromium: Browser, coverslip: str) -> Iterator[Visit]:
    """A fresh browser profile; the test fails when the console saw an error."""
    context = chromium.new_context(base_url=coverslip, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    found = Visit(context.new_page())
    found.page.on("console", found.heard)
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    yield found
    context.close()
    assert found.complaints == []
