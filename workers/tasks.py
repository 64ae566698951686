"""The tasks: unpack, call one function. What they need is made once per pool process, after the fork."""

from __future__ import annotations

import mmap
import os
import time
from functools import cache
from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown
from celery.worker import WorkController

from coverslip.archive.archive import Archive
from coverslip.archive.kinds import JobKind
from coverslip.confined import libc
from coverslip.confined.supervisor import Zygote
from coverslip.settings import Settings
from workers import logs, process
from workers.app import app
from workers.station import WORK, Station

PLACES = 1 << 10
"""Many more than there are pool processes, so that no two have the same."""
LOOK = 0.1
"""Seconds between two looks at who is still at work."""

_shared = memoryview(mmap.mmap(-1, 4 * (1 + PLACES))).cast("I")
"""What the main process and its forked pool processes share: whether to stop, then the number of each that works."""

log = logs.get("workers.tasks")


@app.task(name=JobKind.DEIDENTIFY.task, bind=True)  # type: ignore[untyped-decorator]
def deidentify(self: Any, job: str) -> None:  # noqa: ANN401  Celery's own
    """Do the job whose turn it is; `job` only says why somebody thought there is one."""
    _serve(self.request.hostname)


@app.task(name=JobKind.PYRAMID.task, bind=True)  # type: ignore[untyped-decorator]
def pyramid(self: Any, job: str) -> None:  # noqa: ANN401  Celery's own
    """The same: a worker that takes both kinds does not wait with a slide because this hint came first."""
    _serve(self.request.hostname)


def _serve(name: str) -> None:
    number = os.getpid()
    place = 1 + number % PLACES
    _shared[place] = number
    try:
        process.serve(station(name))
    finally:
        _shared[place] = 0


def _is_at_work() -> bool:
    return any(number and _is_there(number) for number in _shared[1:])


def _is_there(number: int) -> bool:
    """Whether there is such a process: one that was killed at work did not say that it is over."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def _say_and_wait(worker: WorkController) -> None:
    """The main process hears that it is to stop: pool processes see it, and as soon as none works any more we go on.

    Celery would sleep through all of the grace if anybody was at work when it heard. Its own signals come afterwards.
    """
    _shared[0] = 1
    grace = float(worker.app.conf.worker_soft_shutdown_timeout)
    if _is_at_work():
        log.info("told to stop, work goes on to its next stage", worker=worker.hostname, seconds=grace)
    until = time.monotonic() + grace
    while _is_at_work() and time.monotonic() < until:
        time.sleep(LOOK)


WorkController.wait_for_soft_shutdown = _say_and_wait


@cache
def station(name: str) -> Station:
    """What this pool process works with."""
    settings = Settings()
    archive = Archive.open(settings, with_vault=True)
    return Station(name, archive, settings, zygote(), WORK, lambda: bool(_shared[0]))


@cache
def zygote() -> Zygote:
    """The process this pool process forks confined children from."""
    return Zygote(WORK.partition(":")[0])


@worker_process_init.connect  # type: ignore[untyped-decorator]
def begin(**_: object) -> None:
    """Do not outlive the worker, show nobody the keys we hold, and have imports done before the first slide comes."""
    libc.die_with_parent()
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
    zygote().start()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def end(**_: object) -> None:
    """Take the process we forked from with us."""
    zygote().stop()
