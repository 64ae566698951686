"""The tasks: unpack, call one function. What they need is made once per pool process, after the fork."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from celery.signals import worker_before_create_process, worker_process_init, worker_process_shutdown

from coverslip.archive.archive import Archive
from coverslip.archive.kinds import JobKind
from coverslip.confined import libc
from coverslip.confined.supervisor import Zygote
from coverslip.settings import Settings
from workers import leaving, process
from workers.app import app
from workers.station import WORK, Station


@app.task(name=JobKind.DEIDENTIFY.task, bind=True)  # type: ignore[untyped-decorator]
def deidentify(self: Any, job: str) -> None:  # noqa: ANN401  Celery's own
    """Do the jobs whose turn it is; `job` only says why somebody thought there is one."""
    _serve(self.request.hostname)


@app.task(name=JobKind.PYRAMID.task, bind=True)  # type: ignore[untyped-decorator]
def pyramid(self: Any, job: str) -> None:  # noqa: ANN401  Celery's own
    """The same: a worker that takes both kinds does not wait with a slide because this hint came first."""
    _serve(self.request.hostname)


def _serve(name: str) -> None:
    with leaving.at_work():
        process.serve(station(name))


@cache
def station(name: str) -> Station:
    """What this pool process works with."""
    settings = Settings()
    archive = Archive.open(settings, with_vault=True)
    return Station(name, archive, settings, zygote(), WORK, leaving.is_asked)


@cache
def zygote() -> Zygote:
    """The process this pool process forks confined children from."""
    return Zygote(WORK.partition(":")[0])


class Parent:
    """The process that forks those of the pool, as they will know it."""

    pid = 0


@worker_before_create_process.connect  # type: ignore[untyped-decorator]
def leave_word(**_: object) -> None:
    """Say who we are to the process we are about to fork."""
    Parent.pid = os.getpid()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def begin(**_: object) -> None:
    """Do not outlive the worker, show nobody the keys we hold, and have imports done before the first slide comes."""
    libc.die_with_parent(Parent.pid)
    libc.keep_to_itself()
    zygote().start()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def end(**_: object) -> None:
    """Take the process we forked from with us."""
    zygote().stop()
