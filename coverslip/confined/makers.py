"""Makers at hand: tiles of pieces no browser shows are made in processes of their own, behind walls, some at a time."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import Final

from coverslip.confined.maker import ANSWER, PATIENCE, READY, packed
from coverslip.confined.spawn import CHECKOUT, bare_environment
from coverslip.confined.supervisor import START_TIMEOUT
from coverslip.errors import ConfinementFailed, DamagedSlide
from coverslip.pyramid.on_request import Order

GRACE: Final = 2
"""Seconds beyond its own limit after which a maker is given up."""
_MOST_PER_PIXEL: Final = 8
"""Bytes of a JPEG, generously: what is longer is none."""


class Makers:
    """A `Make`; at most so many processes, each started when it is needed and kept.

    Safe to share between threads; whoever comes when all are busy waits.
    """

    def __init__(self, most: int, *, strict: bool = False) -> None:
        """Nothing is started; `strict` refuses to work where a required wall does not hold."""
        self._room = threading.BoundedSemaphore(most)
        self._idle: list[_Maker] = []
        self._strict = strict

    def __call__(self, order: Order) -> bytes:
        """The tile. Raises DamagedSlide, also when a piece ended its maker, and ConfinementFailed."""
        with self._room:
            maker = self._free() or _Maker(strict=self._strict)
            with ExitStack() as unless_it_answered:
                unless_it_answered.callback(maker.end)
                try:
                    jpeg = maker.ask(order)
                except OSError as error:  # it died, or was given up
                    raise DamagedSlide("a tile ended its maker") from error
                unless_it_answered.pop_all()
            self._idle.append(maker)
        if not jpeg:
            raise DamagedSlide("a tile cannot be decoded")
        return jpeg

    def close(self) -> None:
        """End all that are idle; those at work end when their tile is done and nobody is there to take it."""
        while (maker := self._free()) is not None:
            maker.end()

    def _free(self) -> _Maker | None:
        while True:
            try:
                maker = self._idle.pop()
            except IndexError:
                return None
            if maker.is_alive:
                return maker
            maker.end()  # the kernel needed its memory, say: no tile is to blame


class _Maker:
    """One process, and the socket to it."""

    def __init__(self, *, strict: bool) -> None:
        """Start it; raises ConfinementFailed when it does not come up."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            number = theirs.fileno()
            how = "strict" if strict else "as far as possible"
            self._process = subprocess.Popen(
                [sys.executable, "-m", "coverslip.confined.maker", str(number), how],
                pass_fds=(number,),
                env=bare_environment(),
                cwd=CHECKOUT,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            self._received(len(READY), time.monotonic() + START_TIMEOUT)
        except OSError as error:
            self.end()
            raise ConfinementFailed("A process that makes tiles did not start.") from error

    @property
    def is_alive(self) -> bool:
        """Whether it waits for an order."""
        return self._process.poll() is None

    def ask(self, order: Order) -> bytes:
        """A JPEG, nothing when a piece is damaged; raises OSError when no sound answer comes in time."""
        deadline = time.monotonic() + PATIENCE + GRACE
        self._socket.settimeout(PATIENCE + GRACE)
        self._socket.sendall(packed(order))
        sound, length = ANSWER.unpack(self._received(ANSWER.size, deadline))
        if length > order.side**2 * _MOST_PER_PIXEL + 4096 or bool(length) != (sound == 1):
            raise OSError("a maker said something else than it was asked")
        return bytes(self._received(length, deadline))

    def end(self) -> None:
        """Kill it; it has nothing to lose."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _received(self, length: int, deadline: float) -> bytearray:
        found = bytearray(length)
        view = memoryview(found)
        while view:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            count = self._socket.recv_into(view)
            if not count:
                raise ConnectionError("a maker is gone")
            view = view[count:]
        return found
