"""What Celery's worker is forked from: a process with everything loaded, so that one that died is back in a moment.

It is forked itself from whoever looks after the worker, before that one holds a connection, a lock or a thread, which
would not survive it. Loading it all anew took a third of the time until a worker works, and all of the time until one
that died is back.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from coverslip import stopped
from coverslip.confined import libc
from workers import logs

ANSWER: Final = 30.0
"""Seconds until it has forked; then it is given up. A busy machine loads a good second first."""
FORKED: Final = get_context("fork")

log = logs.get("workers.nursery")


class Nursery:
    """That process; what it forks dies with it, and it with us."""

    def __init__(self, load: Callable[[], Callable[[str], int]]) -> None:
        """Begin; `load` is called there once, and what it returns in each process that is forked, with its name.

        Call it from a main thread that is alone.
        """
        self._door, theirs = FORKED.Pipe()
        self._process = FORKED.Process(target=_serve, args=(self._door, theirs, load))
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        """End it with the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        self._door.close()

    def forked(self, name: str) -> Nursling | None:
        """A new process of that name, or None where the nursery is gone; raises `OSError` when there can be none."""
        number = self._asked(name)
        if number is None:
            log.warning("starts anew", worker=name)
            return None
        if not number:
            raise ChildProcessError
        return Nursling(number, lambda: self._asked(None))

    def _asked(self, order: str | None) -> int | None:
        """Its answer; None when it gives none."""
        stopped.wake(self._process.pid or 0)
        with suppress(OSError, EOFError):
            self._door.send(order)
            if self._door.poll(ANSWER):
                return int(self._door.recv())
        self._process.kill()
        return None


class Nursling:
    """A process forked from a nursery; looks like a `Popen`."""

    def __init__(self, pid: int, buried: Callable[[], int | None]) -> None:
        """`buried` waits for its end and says how it was; until then its number is nobody else's."""
        self.pid = pid
        self._buried = buried
        self._handle = os.pidfd_open(pid)
        self._status: int | None = None

    def poll(self) -> int | None:
        """How it left; None while it runs."""
        if self._status is None and select.select([self._handle], [], [], 0)[0]:
            self._ended()
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The same when it has left; raises `TimeoutExpired`."""
        if self._status is None and not select.select([self._handle], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        return self._status if self._status is not None else self._ended()

    def terminate(self) -> None:
        """SIGTERM, while it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGTERM)

    def _ended(self) -> int:
        status = self._buried()
        self._status = -signal.SIGKILL if status is None else status  # it died with who should bury it
        os.close(self._handle)
        return self._status


def _serve(ours: Connection, door: Connection, load: Callable[[], Callable[[str], int]]) -> None:
    """Fork and bury in turn, until nobody asks any more."""
    _be_held()
    ours.close()  # or we would never see that nobody asks
    work = load()
    child = FORKED.Process()
    with suppress(EOFError, ConnectionError):
        while True:
            name: str | None = door.recv()
            if name is None:
                child.join()
                door.send(child.exitcode)
                continue
            child = FORKED.Process(target=_work, args=(door, work, name))
            try:
                child.start()
            except OSError:
                door.send(0)
            else:
                door.send(child.pid)


def _work(door: Connection, work: Callable[[str], int], name: str) -> None:
    _be_held()
    door.close()
    raise SystemExit(work(name))


def _be_held() -> None:
    """End with whoever forked us; a Ctrl-C in the terminal reaches the supervisor alone, and it asks us in order."""
    parent = parent_process()
    assert parent is not None
    assert parent.pid is not None
    libc.die_with_parent(parent.pid)
    os.setsid()
