"""A real front end on loopback with a real catalogue, and slides in every state."""

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn

from coverslip.archive.archive import Archive
from coverslip.archive.records import Claim, Produced, Refused, SetAside
from coverslip.archive.states import State
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.pyramid import Pyramid, build
from coverslip.settings import Settings
from samples import aperio
from service.express import express
from service.main import create_app

START_UP = 120.0
"""Seconds a process of its own may take on a busy machine."""
MANY = {"max_upload_bytes": 64 << 20, "max_open_uploads": 40}
ROLES = ("submitter", "curator", "viewer", "ops", "admin")
SLIDE = Size(700, 500)


@dataclass(frozen=True)
class Tiled:
    """Files of one tiled slide, to be linked into as many slides as a test wants."""

    clean: Path
    certificate: Path
    sha256: str
    index: Path
    tile_size: int


@dataclass
class House:
    """One running front end and the catalogue behind it."""

    url: str
    archive: Archive
    tiled: Tiled
    keys: dict[str, str] = field(default_factory=dict)

    def client(self, role: str | None = None, **headers: str) -> httpx.Client:
        """An HTTP client that holds the key of a role, or none."""
        if role is not None:
            headers["Authorization"] = f"Bearer {self.keys[role]}"
        return httpx.Client(base_url=self.url, headers=headers, timeout=120)

    def slide(self, state: State, owner: str = "submitter") -> str:
        """Bring a slide into a state by the moves the queue and people make, and return its id."""
        sid = self._queued(owner)
        match state:
            case State.QUEUED:
                pass
            case State.PROCESSING:
                self._claim(sid)
            case State.QUARANTINED:
                self.archive.catalog.finish(self._claim(sid), SetAside("unknown-structure", "ifd[4]"))
            case State.REJECTED:
                self.archive.catalog.finish(self._claim(sid), Refused("unsupported-slide"))
            case State.IN_REVIEW:
                self._publish(self._claim(sid))
            case State.RELEASED | State.WITHDRAWN:
                self._publish(self._claim(sid))
                self.archive.transition(sid, State.RELEASED, "curator")
                if state is State.WITHDRAWN:
                    self.archive.transition(sid, State.WITHDRAWN, "curator", "asked to")
            case _:
                raise AssertionError(state)
        return sid

    def review(self, sid: str) -> None:
        """Do what a worker does with a slide that waits."""
        self._publish(self._claim(sid))

    def dead_letter(self) -> str:
        """A job that came to no verdict, of a slide of its own; its id."""
        job = self.archive.catalog.jobs(self._queued("submitter"))[-1].id
        self.archive.catalog.cancel(job, "ops")
        return job

    def _queued(self, owner: str) -> str:
        catalog = self.archive.catalog
        upload = catalog.create_upload(owner, 1, datetime.now(UTC) + timedelta(days=1), "DOE^JANE.svs", {})
        generation = catalog.begin_patch(upload.uid)
        catalog.advance(upload.uid, generation, 1)
        return catalog.finish_upload(upload.uid, generation, "0" * 64, "strict")

    def _claim(self, sid: str) -> Claim:
        claim = self.archive.catalog.claim(self.archive.catalog.jobs(sid)[-1].id, "worker-1")
        assert claim is not None
        return claim

    def _publish(self, claim: Claim) -> None:
        draft = self.archive.storage.root / "tmp" / claim.sid
        draft.mkdir()
        os.link(self.tiled.clean, draft / "slide.svs")
        os.link(self.tiled.index, draft / "slide.pyramid")
        os.link(self.tiled.certificate, draft / "slide.certificate.json")
        produced = Produced(
            clean_name="slide.svs",
            sha256=self.tiled.sha256,
            size_bytes=self.tiled.clean.stat().st_size,
            vendor="aperio",
            route="same-container",
            width=SLIDE.width,
            height=SLIDE.height,
            levels=2,
            tile_size=self.tiled.tile_size,
            mpp_x=0.5,
            mpp_y=0.5,
            magnification=20.0,
            removed=3,
            kept=2,
            replaced=1,
        )
        self.archive.publish(claim, draft, produced)


@pytest.fixture(scope="session")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Tiled:
    """A small slide that went the whole way: de-identified, verified, tiled."""
    folder = tmp_path_factory.mktemp("tiled")
    source, index = folder / "DOE^JANE.svs", folder / "slide.pyramid"
    aperio.write(source, SLIDE, identifiers=False)
    outcome = deidentify(source, folder, policy=load("strict"), key=bytes(32), name="slide")
    assert isinstance(outcome, Cleaned)
    build(outcome.clean, index)
    with Pyramid.open(outcome.clean, index) as pyramid:
        return Tiled(outcome.clean, outcome.certificate, outcome.sha256, index, pyramid.tile_size)


@contextmanager
def _running(settings: Settings) -> Iterator[str]:
    """uvicorn in a thread on a free port."""
    held = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings)
    config = uvicorn.Config(app, http=express(app), log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [held]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{held.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, tiled: Tiled) -> Iterator[House]:
    """A front end with one key per role; each key's owner is called like its role."""
    with _house(Settings(data_dir=tmp_path_factory.mktemp("house"), **MANY), tiled) as found:
        yield found


@pytest.fixture(scope="module")
def house_with(tmp_path_factory: pytest.TempPathFactory, tiled: Tiled) -> Iterator[Callable[..., House]]:
    """The same with settings of one's own: `house_with(cors_origins="*")`."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp
        yield lambda **more: stack.enter_context(_house(Settings(data_dir=folder("house"), **{**MANY, **more}), tiled))


@pytest.fixture(scope="module")
def house_with_bucket(tmp_path_factory: pytest.TempPathFactory, tiled: Tiled, s3_server) -> Iterator[House]:
    """The same where clean slides and originals lie in a bucket."""
    bucket = s3_server("nanio")
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("house"),
        storage=f"s3://{bucket.name}/{secrets.token_hex(8)}/site",
        s3_endpoint=bucket.endpoint,
        s3_key_id=bucket.key_id,
        s3_secret_key=bucket.secret,
        **MANY,
    )
    with _house(settings, tiled) as found:
        yield found


@contextmanager
def _house(settings: Settings, tiled: Tiled) -> Iterator[House]:
    archive = Archive.open(settings, with_vault=True)
    with _running(settings) as url:
        found = House(url, archive, tiled)
        for role in (*ROLES, "other"):
            kind = "submitter" if role == "other" else role
            found.keys[role] = archive.catalog.create_key(role, {kind}, role)[1]
        yield found
    archive.close()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """The address of a loopback demo."""
    with _running(Settings(data_dir=tmp_path, demo=True)) as url:
        yield url


@dataclass
class Process:
    """`python -m service` in a process of its own, to be killed at will."""

    folder: Path
    port: int
    running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        environment = {**os.environ, "COVERSLIP_DATA_DIR": str(self.folder), "COVERSLIP_PORT": str(self.port)}
        self.running = subprocess.Popen(
            [sys.executable, "-m", "service"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_UP
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the service did not start")

    def kill(self) -> None:
        """No goodbye."""
        assert self.running is not None
        self.running.kill()
        self.running.wait()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A front end in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    found = Process(tmp_path / "data", port)
    found.start()
    yield found
    found.kill()


@pytest.fixture
def tus(house: House) -> Callable[..., httpx.Client]:
    """A client that speaks tus, by role."""
    return lambda role="submitter": house.client(role, **{"Tus-Resumable": "1.0.0"})
