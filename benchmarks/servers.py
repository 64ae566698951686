"""Starting a tile server, waiting for its first tile, and looking at its memory."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

PATIENCE = 60.0
"""Seconds to the first tile."""


class NoAnswer(Exception):
    """A server does not give what it is asked for."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running one."""

    pid: int
    port: int
    first: float
    """Seconds from the start of its process to the first tile."""

    def resident(self) -> float:
        """MiB of the process; mapped files count as far as they are in memory."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0


def ask(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: str | None = None
) -> tuple[HTTPResponse, bytes]:
    """One request on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], port: int, path: str, more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run `command` with `more` in its environment until the block ends; ready when `path` is answered with 200."""
    begin = time.perf_counter()
    with started(command, more) as process:
        _wait(process, port, path, begin + PATIENCE)
        yield Server(process.pid, port, time.perf_counter() - begin)


@contextmanager
def started(command: Sequence[str], more: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` until the block ends."""
    process = subprocess.Popen(command, env=os.environ | dict(more or {}), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, path: str, deadline: float) -> None:
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise NoAnswer(f"it left with status {process.returncode}")
        try:
            if ask(port, path)[0].status == 200:
                return
        except (OSError, HTTPException):
            pass
        time.sleep(0.005)
    raise NoAnswer(path)
