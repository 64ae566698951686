"""The whole program over HTTP, with ears and eyes everywhere: broker, processes, logs, answers, disk."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest
import redis

from coverslip.archive.archive import Archive
from coverslip.archive.records import SlideRecord
from coverslip.confined import libc
from coverslip.settings import Settings
from tests.faults.rig import environment
from tests.vault.sending import Sent
from workers.programs import Program
from workers.valkey import Valkey

WORK = "tests.vault.work:deidentify"
RUN = "from workers.run import run; from coverslip.settings import Settings; run(Settings(), 'tests.workers.slow_app')"
ROLES = ("submitter", "curator", "ops", "viewer", "admin")
EVERY = 0.05
"""Seconds between two looks at the processes."""


@dataclass
class Heard:
    """Everything that was seen from outside, as haystacks to search."""

    broker: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    """Address, status, headers and body of every answer."""
    processes: set[bytes] = field(default_factory=set)
    """Arguments, environment and names of open files of every process of ours, at any moment."""
    names: set[str] = field(default_factory=set)
    """Of files below the data folder and of ours in the temporary folder, at any moment."""
    looks: int = 0


class Ear:
    """Every command the broker sees."""

    def __init__(self, valkey: Valkey, heard: Heard) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(valkey.socket))
        self._line.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen, args=(heard,), daemon=True)
        self._thread.start()

    def _listen(self, heard: Heard) -> None:
        with suppress(OSError):
            while data := self._line.recv(1 << 16):
                heard.broker.append(data)

    def close(self) -> None:
        """Listen no longer."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._line.close()


class Eye:
    """Arguments, environment, open files and file names, again and again while work goes on."""

    def __init__(self, folder: Path, tops: Callable[[], list[int]], heard: Heard) -> None:
        self._folder, self._tops, self._heard = folder, tops, heard
        self._temporary = Path(tempfile.gettempdir())
        self._before = _names_in(self._temporary)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stopping.wait(EVERY):
            self._heard.looks += 1
            for top in self._tops():
                with suppress(psutil.Error):
                    for process in (psutil.Process(top), *psutil.Process(top).children(recursive=True)):
                        self._heard.processes.update(_told_by(process.pid))
            self._heard.names.update(name for _, dirs, files in os.walk(self._folder) for name in (*dirs, *files))
            self._heard.names.update(_names_in(self._temporary) - self._before)

    def close(self) -> None:
        """Look no longer."""
        self._stopping.set()
        self._thread.join()


def _told_by(pid: int) -> Iterator[bytes]:
    for name in ("cmdline", "environ", "comm"):
        with suppress(OSError):
            yield Path(f"/proc/{pid}/{name}").read_bytes()
    with suppress(OSError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                yield str(handle.readlink()).encode("utf-8", "surrogateescape")


def _names_in(folder: Path) -> set[str]:
    with suppress(OSError):
        return {path.name for path in folder.iterdir()}
    return set()


class House:
    """Service, worker and broker as processes of their own; use as a context manager."""

    def __init__(self, folder: Path, sockets: Path, database_url: str = "", **changes: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url, self.folder, self.logs = f"http://127.0.0.1:{self.port}", folder / "data", folder / "logs"
        self.logs.mkdir()
        self.valkey = Valkey(sockets / "valkey.sock")
        usual = {
            "lease": timedelta(seconds=20), "heartbeat": timedelta(seconds=0.5), "sweep_every": timedelta(seconds=0.5),
            "retry_delay": timedelta(0), "shutdown_grace": timedelta(seconds=1), "max_attempts": 1, "concurrency": 3,
            "child_memory": 1 << 30, "child_wall": timedelta(seconds=18), "log_level": "DEBUG",
            "max_upload_bytes": 1 << 50, "keep_originals": timedelta(0), "port": self.port,
        }  # fmt: skip
        self.settings = Settings(
            data_dir=self.folder, database_url=database_url, broker_url=self.valkey.url, **{**usual, **changes}
        )
        self.archive = Archive.open(self.settings, with_vault=True)
        self.keys = {role: self.archive.catalog.create_key(role, {role}, role)[1] for role in ROLES}
        self.heard = Heard()
        self._clients: dict[str, httpx.Client] = {}
        self._stack = ExitStack()
        self._service: subprocess.Popen[bytes] | None = None
        self._worker: Program | None = None

    def __enter__(self) -> Self:
        self._stack.callback(self.archive.close)
        self._stack.enter_context(self.valkey)
        ear = Ear(self.valkey, self.heard)
        self._stack.callback(ear.close)
        self._start()
        eye = Eye(self.folder, self._tops, self.heard)
        self._stack.callback(eye.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        variables = environment(self.settings)
        with (self.logs / "service.log").open("wb") as log:
            self._service = subprocess.Popen(
                [sys.executable, "-m", "service"], env={**os.environ, **variables}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=partial(libc.die_with_parent, os.getpid()),
            )  # fmt: skip
        self._stack.callback(self._service.wait)
        self._stack.callback(self._service.kill)
        log_name = str(self.logs / "worker.log")
        both = f"h = os.open({log_name!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY); os.dup2(h, 1); os.dup2(h, 2)"
        code = f"import os; {both}; {RUN}"
        self._worker = Program(
            [sys.executable, "-c", code], environment={**variables, "CANARY_WORK": WORK}, grace=20
        )  # fmt: skip
        self._stack.callback(self._worker.kill)
        self._worker.start()
        self.until(self._answers)

    def _tops(self) -> list[int]:
        pids = [
            self._service.pid if self._service else None,
            self._worker.pid if self._worker else None,
            self.valkey.pid,
        ]
        return [pid for pid in pids if pid is not None]

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False

    def until(self, holds: Callable[[], bool], seconds: float = 300) -> None:
        """Wait for something."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.1)

    def ask(self, method: str, address: str, role: str = "curator", **options: Any) -> httpx.Response:
        """One request; its answer is remembered whole."""
        if role not in self._clients:
            headers = {"Authorization": f"Bearer {self.keys[role]}"} if role in self.keys else {}
            self._clients[role] = self._stack.enter_context(
                httpx.Client(base_url=self.url, headers=headers, timeout=120)
            )
        answer = self._clients[role].request(method, address, **options)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.heard.answers.append(f"{answer.status_code}\n{head}\n".encode() + answer.content)
        return answer

    def announce(self, metadata: dict[str, str], size: int) -> httpx.Response:
        """Say that a file will come."""
        pairs = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": pairs}
        return self.ask("POST", "/uploads", "submitter", headers=headers)

    def send(self, address: str, data: bytes, offset: int = 0) -> httpx.Response:
        """Send bytes of an announced file."""
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)}
        headers["Content-Type"] = "application/offset+octet-stream"
        return self.ask("PATCH", address, "submitter", content=data, headers=headers)

    def upload(self, sent: Sent) -> str:
        """Bring a file in; the slide's id."""
        digest = {"sha256": hashlib.sha256(sent.data).hexdigest()}
        announced = self.announce(sent.metadata | digest, len(sent.data))
        assert announced.status_code == 201, announced.text
        return self.send(announced.headers["Location"], sent.data).headers["Coverslip-Slide"]

    def slide(self, sid: str) -> SlideRecord:
        """The slide as it stands."""
        return self.archive.catalog.slide(sid)

    def kept_by_broker(self) -> bytes:
        """Every key and what it holds."""
        with redis.Redis(unix_socket_path=str(self.valkey.socket)) as client:
            return b"".join(repr((key, client.dump(key))).encode() for key in client.scan_iter())

    def tables(self) -> bytes:
        """Every row but the vault's."""
        return _sqlite(self.folder) if not self.settings.database_url else _postgres(self.settings.database_url)


def _sqlite(folder: Path) -> bytes:
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        assert "vault" in names
        rows = (row for name in names if name != "vault" for row in connection.execute(f"SELECT * FROM {name}"))
        return "".join(map(repr, rows)).encode()


def _postgres(url: str) -> bytes:
    import psycopg

    with psycopg.connect(url) as connection:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        names = [name for (name,) in connection.execute(query)]
        assert "vault" in names
        rows = (row for name in names if name != "vault" for row in connection.execute(f'SELECT * FROM "{name}"'))
        return "".join(map(repr, rows)).encode()


@pytest.fixture
def house(tmp_path: Path, socket_dir: Path) -> Iterator[Callable[..., House]]:
    """Starts the program; each test once."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(House(tmp_path, socket_dir, **changes))
