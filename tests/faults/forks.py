"""Processes that start in milliseconds: forked from one that imported everything, and shot as any other."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from coverslip.confined import libc
from workers.programs import Program, Running

context = multiprocessing.get_context("forkserver")
# One fork server for all tests of a pytest process: what the first one preloads is what there is.
context.set_forkserver_preload(
    [
        "tests.faults.preload",
        "service.command",
        "service.website",
        "service.pictures",
        "service.sources",
        "workers.run",
    ]
)


class Forked:
    """A function that runs in a process forked for it; looks like a `Popen`."""

    def __init__(self, target: Callable[..., None], *arguments: object) -> None:
        self._process = context.Process(target=target, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """How it left; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The same when it has left; raises `TimeoutExpired`."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0)
        return self._process.exitcode

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


class ForkedProgram(Program):
    """`python -c CODE`, in a process that has been forked for it and has imported what a supervisor works with."""

    def __init__(self, code: str, *, environment: Mapping[str, str], grace: float) -> None:
        super().__init__([sys.executable, "-c", code], environment=environment, grace=grace)

    def _begun(self) -> Running:
        return Forked(_run, self._command[-1], dict(self._environment), str(Path.cwd()))


def _run(code: str, environment: dict[str, str], folder: str) -> None:
    libc.die_with_parent(os.getppid())
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
