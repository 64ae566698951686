"""A whole Coverslip on loopback (broker, worker, service) and Debian's chromium in front of it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from service import vendor

CHROMIUM = Path("/usr/bin/chromium")
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
    settings = {"DATA_DIR": str(folder), "PORT": str(port), "DEMO": "1", "SWEEP_EVERY": "0.5"}
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
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


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
