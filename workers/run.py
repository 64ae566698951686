"""A worker and those who look after it: Celery's worker as a child, the sweeper and the watchdog beside it."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial

from coverslip.archive.archive import Archive
from coverslip.confined import libc
from coverslip.errors import CoverslipError, StorageFailed
from coverslip.logs import about
from coverslip.settings import Settings
from workers import logs
from workers.app import create
from workers.celery_worker import loaded
from workers.frontend import FrontEnd
from workers.nursery import Nursery
from workers.programs import Program, Running, Stopping
from workers.starting import check_policy, reached
from workers.sweeper import celery_broker, sweep, tidy
from workers.valkey import Valkey
from workers.watchdog import Watchdog

TIDY_EVERY = 60.0
EXTRA_GRACE = 30.0
BROKER_PATIENCE = 5
"""Seconds for one answer of a broker's, which redis-py asks four times for; whoever waits has other duties."""
START_UP = 30.0
"""Seconds a worker may take until its first answer; after that it is expected to give one each time."""

log = logs.get("workers.run")


class Worker(Program):
    """Celery's worker. SIGTERM means: finish within the grace, then give the slide back."""

    def __init__(self, settings: Settings, name: str, app: str, nursery: Nursery) -> None:
        """It is forked from the nursery, and started anew where that one is gone."""
        command = [sys.executable, "-m", "workers.celery_worker", app, name, *settings.work.split(",")]
        super().__init__(command, grace=settings.shutdown_grace.total_seconds() + EXTRA_GRACE)
        self._name, self._nursery = name, nursery

    def _begun(self) -> Running:
        return self._nursery.forked(self._name) or super()._begun()


def new_name() -> str:
    """A worker's name; says nothing about the machine."""
    return f"worker-{secrets.token_hex(4)}@coverslip"


def run(settings: Settings, app: str = "workers.app", beside: FrontEnd | None = None) -> int:
    """Run a worker until told to stop; replaces it when it dies or hangs, and so what else is ours.

    Returns 0, or the status of the front end `beside` it when that one does not start.
    """
    libc.keep_to_itself()  # passwords stand in our environment, and in that of what we fork
    check_policy(settings)
    with ExitStack() as stack:
        nursery = stack.enter_context(Nursery(partial(loaded, app, settings.work.split(","))))
        stopping = Stopping()
        if not reached(settings, stopping):
            return 0
        valkey = None if settings.broker_url else stack.enter_context(Valkey(settings.broker_socket))
        archive = Archive.open(settings, with_vault=False)
        stack.callback(archive.close)
        name = new_name()
        program = stack.enter_context(Worker(settings, name, app, nursery))
        Keeper(settings, archive, name, program, valkey=valkey, beside=beside).keep(stopping)
        program.stop()
        with suppress(StorageFailed):  # a database that is away forgets it by itself
            archive.catalog.worker_gone(name)
    return (beside.status if beside is not None else 0) or 0


class Keeper:
    """Does what is due, again and again."""

    def __init__(
        self,
        settings: Settings,
        archive: Archive,
        name: str,
        program: Program,
        *,
        valkey: Valkey | None = None,
        beside: FrontEnd | None = None,
    ) -> None:
        """Keep this worker, the broker if it is our own, and the front end `beside` them."""
        self._settings, self._archive, self._name, self._program = settings, archive, name, program
        self._valkey, self._beside = valkey, beside
        self._app = create(settings, BROKER_PATIENCE)
        self._broker = celery_broker(self._app)
        self._watchdog = Watchdog(self._app, archive, settings, name)
        self._next_tidy = 0.0
        self._started = self._next_watch = time.monotonic()

    def keep(self, stopping: Stopping) -> None:
        """Until told to stop, or until the front end beside us refused to start."""
        while not stopping.wait(self._settings.sweep_every.total_seconds()):
            if self._beside is not None and self._beside.has_refused:
                return
            for duty in (self._revive_broker, self._revive_beside, self._round):
                try:
                    duty()
                except CoverslipError as error:  # the next round may do better, and the others go on meanwhile
                    log.error("round failed", code=error.code, where=error.where)
                except Exception as error:  # noqa: BLE001  what nobody thought of must not take the worker with it
                    log.error("round failed", **about(error))

    def _revive_broker(self) -> None:
        if self._valkey is not None and self._valkey.revive():
            log.error("broker died")

    def _revive_beside(self) -> None:
        if self._beside is None:
            return
        if self._beside.pid is None:
            log.error("service died", status=self._beside.status)
            self._beside.replace()
        elif self._beside.hangs():
            log.error("service hangs")
            self._beside.replace()

    def _round(self) -> None:
        now = time.monotonic()
        if self._program.pid is None:
            log.error("worker died", status=self._program.status)
            self._replace()
        sweep(self._archive, self._broker, self._settings, self._name)
        self._archive.catalog.worker_seen(self._name)
        if now >= self._next_tidy:
            self._next_tidy = now + TIDY_EVERY
            tidy(self._archive)
        if now >= self._next_watch:
            self._next_watch = now + self._settings.watchdog_every.total_seconds()
            self._watch(starting=now - self._started < START_UP and not self._watchdog.has_answered)

    def _watch(self, *, starting: bool) -> None:
        if starting:
            self._watchdog.greets()
        elif self._watchdog.hangs():
            log.error("worker hangs")
            self._replace()

    def _replace(self) -> None:
        self._program.replace()
        self._watchdog.forgive()
        self._started = self._next_watch = time.monotonic()
