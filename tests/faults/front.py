"""A front end in a process of its own, and a client that breaks connections on purpose."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx

from coverslip.archive import bucket_arrivals
from coverslip.archive.archive import Archive
from coverslip.archive.frames import FRAME
from coverslip.confined import libc
from coverslip.settings import Settings
from service.command import main
from tests.faults.forks import Forked

START_UP = 180.0
"""Seconds; the machine may be busy."""
PATIENCE = 120.0
"""Seconds a client of ours waits for one answer."""
CHUNK = {"Content-Type": "application/offset+octet-stream"}
SMALL_PARTS = "TEST_SMALL_PARTS"
"""In a front end's environment: parts of uploads to a bucket hold half a MiB."""
RESET = struct.pack("ii", 1, 0)


def serve(environment: Mapping[str, str], arguments: tuple[str, ...] = ()) -> None:
    """`python -m service`, in a process that has been forked for it."""
    libc.die_with_parent(os.getppid())
    os.environ.update(environment)
    if SMALL_PARTS in environment:
        bucket_arrivals.PART = 8 * FRAME  # type: ignore[misc]
    sys.argv = ["service", *arguments]
    with open(os.devnull, "r+b") as nowhere:  # noqa: PTH123  what it says is nobody's business here
        for stream in range(3):
            os.dup2(nowhere.fileno(), stream)
    raise SystemExit(main())


class Front:
    """The service in a process of its own, to be killed at will.

    It is forked from a process that has imported everything, so that a restart takes a fraction of a second. With an
    `environment` (libraries to preload) it is a program started anew.
    """

    def __init__(
        self, folder: Path, changes: Mapping[str, str] | None = None, *, small_parts: bool = False, **environment: str
    ) -> None:
        """`changes`: settings beside the folder; `small_parts`: of uploads to a bucket."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        changed = {"max_open_uploads": "100000", **(changes or {})}
        self.settings = Settings(data_dir=folder, **changed)
        self.archive = Archive.open(self.settings, with_vault=True)
        self.key = self.archive.catalog.create_key("submitter", {"submitter"}, "submitter")[1]
        variables = {"COVERSLIP_DATA_DIR": str(folder), "COVERSLIP_PORT": str(self.port)}
        self._variables = variables | {f"COVERSLIP_{name.upper()}": value for name, value in changed.items()}
        if small_parts:
            self._variables[SMALL_PARTS] = "yes"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._client: httpx.Client | None = None

    @property
    def pid(self) -> int:
        """The process, which must run."""
        assert self._process is not None
        return self._process.pid

    @property
    def client(self) -> httpx.Client:
        """Speaks tus with a submitter's key; new after a restart."""
        if self._client is None:
            headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {self.key}"}
            self._client = httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)
        return self._client

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start, and wait for nothing."""
        self._process = self._anew() if self._environment else Forked(serve, self._variables)

    def start(self) -> float:
        """Start and wait until it answers; returns how long that took."""
        begin = time.monotonic()
        self.launch()
        while time.monotonic() - begin < START_UP:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/healthz").status_code == 200:
                    return time.monotonic() - begin
            time.sleep(0.02)
        raise TimeoutError("the service did not start")

    def kill(self) -> None:
        """No goodbye."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _anew(self) -> subprocess.Popen[bytes]:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, **self._variables, **self._environment}
        command = [sys.executable, "-m", "service"]
        return subprocess.Popen(
            command, env=environment, preexec_fn=partial(libc.die_with_parent, os.getpid()), **quiet
        )

    def close(self) -> None:
        """End everything."""
        self.kill()
        self.archive.close()

    def begin(self, data: bytes) -> str:
        """Announce a file; its address."""
        return self.announce(len(data), hashlib.sha256(data).hexdigest())

    def announce(self, size: int, sha256: str) -> str:
        """Announce a file of which only these two are known; its address."""
        answer = self.client.post("/uploads", headers=words(size, sha256))
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, where: str, data: bytes, offset: int) -> httpx.Response:
        """Send bytes as they should be sent."""
        return self.client.patch(where, content=data, headers={**CHUNK, "Upload-Offset": str(offset)})

    def half(self, where: str, size: int, offset: int, data: bytes) -> socket.socket:
        """A PATCH that announces `size` bytes and sends these; the connection stays open."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
        head += f"Authorization: Bearer {self.key}\r\nContent-Type: {CHUNK['Content-Type']}\r\n"
        connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + data)
        return connection


def announcement(data: bytes) -> dict[str, str]:
    """What is said of a file before it is sent."""
    return words(len(data), hashlib.sha256(data).hexdigest())


def words(size: int, sha256: str) -> dict[str, str]:
    """The same of a file of which only these two are known."""
    said = {"filename": b"x.svs", "sha256": sha256.encode()}
    pairs = ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in said.items())
    return {"Upload-Length": str(size), "Upload-Metadata": pairs}


def cut(connection: socket.socket, *, reset: bool) -> None:
    """Close, politely or with RST."""
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()
