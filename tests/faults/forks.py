"""Processes that start in milliseconds: forked from one that imported everything, and shot as any other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from coverslip.confined import libc
from workers.programs import Program, Running

context = multiprocessing.get_context("forkserver")
# One fork server for all tests of a pytest process: what the first one preloads is what there is.
context.set_forkserver_preload(
    [
        "tests.faults.warm",
        "service.command",
        "service.website",
        "service.pictures",
        "service.sources",
        "workers.run",
    ]
)


class ForkedProgram(Program):
    """`python -c CODE`, in a process that has been forked for it and has imported what a supervisor works with."""

    def __init__(self, code: str, *, environment: Mapping[str, str], grace: float) -> None:
        super().__init__([sys.executable, "-c", code], environment=environment, grace=grace)
        self._code = code

    def _begun(self) -> Running:
        return _Forked(self._code, self._environment)


class _Forked:
    """What looks like its `Popen`."""

    def __init__(self, code: str, environment: Mapping[str, str]) -> None:
        self._process = context.Process(target=_run, args=(code, dict(environment), str(Path.cwd())))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        return self._process.exitcode

    def terminate(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def _run(code: str, environment: dict[str, str], folder: str) -> None:
    libc.die_with_parent()
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
