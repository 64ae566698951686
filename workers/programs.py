"""Programs we start and answer for: none outlives us, each is asked to leave before it is made to."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from coverslip.confined import libc
from coverslip.errors import ChildNotStarted
from coverslip.interrupts import ASKED_BY

CHECKOUT = Path(__file__).resolve().parent.parent


class Running(Protocol):
    """What we want of a process of ours; `Popen` has it."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """How it left; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The same when it has left; raises `TimeoutExpired`."""

    def terminate(self) -> None:
        """SIGTERM."""


class Program:
    """One program with its own process group."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, grace: float) -> None:
        """`grace`: seconds it may take to leave when asked."""
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {}), "PYTHONPATH": str(CHECKOUT)}
        self._grace = grace
        self._process: Running | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def status(self) -> int | None:
        """How it left; None while it runs or before it started."""
        return None if self._process is None else self._process.poll()

    @property
    def has_left(self) -> bool:
        """Whether it ended of its own accord; one that a signal ended was killed."""
        return self.status is not None and self.status >= 0

    def start(self) -> None:
        """Start it; it is killed when we are."""
        self._process = self._begun()

    def _begun(self) -> Running:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=os.getcwd(),  # noqa: PTH109  settings may be relative to where we were started
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal reaches us alone, and we ask it in order
            # in a main thread that forks nothing else meanwhile
            preexec_fn=partial(libc.die_with_parent, os.getpid()),
        )

    def ask(self) -> None:
        """Ask it to leave, without waiting."""
        if self.pid is not None and self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Ask it to leave, wait, and kill what is left of its group."""
        if self._process is None:
            return
        self.ask()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._grace)
        self.kill()

    def kill(self) -> None:
        """Kill it and its group at once."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def replace(self) -> None:
        """Kill what is left of it and start it again; raises `ChildNotStarted` while the machine gives no process."""
        self.kill()
        try:
            self.start()
        except OSError as error:
            raise ChildNotStarted from error


class Stopping:
    """Becomes true when somebody asks this process to stop."""

    def __init__(self) -> None:
        """Listen to whatever asks a program to end, unless it is ignored, as by nohup; call from the main thread."""
        self.asked = False
        for number in ASKED_BY:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._ask)

    def wait(self, seconds: float) -> bool:
        """Sleep, but not after being asked; whether we were."""
        end = time.monotonic() + seconds
        while not self.asked and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
        return self.asked

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
