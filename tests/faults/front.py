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
from contextlib import suppress
from pathlib import Path

import httpx

from coverslip.archive.archive import Archive
from coverslip.confined import libc
from coverslip.settings import Settings

START_UP = 60.0
CHUNK = {"Content-Type": "application/offset+octet-stream"}
RESET = struct.pack("ii", 1, 0)


class Front:
    """`python -m service`, to be killed at will; `command` may put another program before it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Settings(data_dir=folder, max_open_uploads=100_000)
        self.archive = Archive.open(self.settings, with_vault=True)
        self.key = self.archive.catalog.create_key("submitter", {"submitter"}, "submitter")[1]
        variables = {"COVERSLIP_DATA_DIR": str(folder), "COVERSLIP_PORT": str(self.port)}
        self._environment = {**os.environ, **variables, "COVERSLIP_MAX_OPEN_UPLOADS": "100000", **environment}
        self._process: subprocess.Popen[bytes] | None = None
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
            self._client = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        return self._client

    def start(self) -> float:
        """Start and wait until it answers; returns how long that took."""
        begin = time.monotonic()
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-m", "service"]
        self._process = subprocess.Popen(command, env=self._environment, preexec_fn=libc.die_with_parent, **quiet)
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

    def close(self) -> None:
        """End everything."""
        self.kill()
        self.archive.close()

    def begin(self, data: bytes) -> str:
        """Announce a file; its address."""
        said = {"filename": b"x.svs", "sha256": hashlib.sha256(data).hexdigest().encode()}
        pairs = ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in said.items())
        headers = {"Upload-Length": str(len(data)), "Upload-Metadata": pairs}
        answer = self.client.post("/uploads", headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, where: str, data: bytes, offset: int) -> httpx.Response:
        """Send bytes as they should be sent."""
        return self.client.patch(where, content=data, headers={**CHUNK, "Upload-Offset": str(offset)})

    def half(self, where: str, data: bytes, offset: int, count: int) -> socket.socket:
        """A PATCH that announces all of `data` and sends `count` bytes; the connection stays open."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
        head += f"Authorization: Bearer {self.key}\r\nContent-Type: {CHUNK['Content-Type']}\r\n"
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data[:count])
        return connection


def cut(connection: socket.socket, *, reset: bool) -> None:
    """Close, politely or with RST."""
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()
