"""Another host, at the other end of a cable: it can be gone without a word."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.kernel import ask_kernel, need

_NETWORK_ONLY: Final = 0x40000000
"""CLONE_NEWNET."""
FAR: Final = "far"
"""Their end of the cable."""


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace of our own, and the address it answers to."""

    name: str
    address: str

    def listen(self) -> socket.socket:
        """A socket that listens there: what it accepts is that host's as well, whichever thread of ours does."""
        with ThreadPoolExecutor(1) as over_there:  # a thread goes there for good, and ends
            return over_there.submit(self._listen).result()

    def vanish(self) -> None:
        """Packets to it are swallowed from now on and none comes from it: nobody is told that it is gone."""
        _ip("-n", self.name, "address", "delete", self._network, "dev", FAR)

    def appear(self) -> None:
        """It is there again."""
        _ip("-n", self.name, "address", "replace", self._network, "dev", FAR)

    @property
    def _network(self) -> str:
        return f"{self.address}/30"

    def _listen(self) -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        with (Path("/run/netns") / self.name).open() as there:
            if libc.setns(there.fileno(), _NETWORK_ONLY):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return socket.create_server((self.address, 0))


@contextmanager
def far_host() -> Iterator[Host]:
    """One host; gone when the block ends."""
    number = uuid.uuid4().int
    name, near = f"cs-{number % 16**8:08x}", f"cs{number % 16**8:08x}"
    # Two addresses of a network of four, of those nobody is given: other workers have others.
    first = 4 * (number % (1 << 14))
    ours, theirs = (f"198.18.{(first + last) >> 8}.{(first + last) & 255}" for last in (1, 2))
    need("ip")
    ask_kernel("ip", "netns", "add", name)
    try:
        ask_kernel("ip", "link", "add", near, "type", "veth", "peer", "name", FAR, "netns", name)
        _ip("address", "add", f"{ours}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "link", "set", FAR, "up")
        host = Host(name, theirs)
        host.appear()
        yield host
    finally:
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
