"""Notices a worker that lives but does not work, by asking across the broker and the rows."""

from __future__ import annotations

from celery import Celery
from kombu.exceptions import OperationalError

from coverslip.archive.catalog import Catalog
from coverslip.errors import StorageFailed
from coverslip.settings import Settings
from workers import logs

PING_TIMEOUT = 5.0
STRIKES = 2

log = logs.get("workers.watchdog")


class Watchdog:
    """Counts how often in a row a worker gave no sign; two in a row and it should be replaced."""

    def __init__(self, app: Celery, catalog: Catalog, settings: Settings, worker: str) -> None:
        """Watch the worker of that name."""
        self._app, self._catalog, self._settings, self._worker = app, catalog, settings, worker
        self._strikes = 0

    def hangs(self) -> bool:
        """Look once; True when it is time to replace the worker. A broker that is away is nobody's fault."""
        self._strikes = 0 if self._is_well() else self._strikes + 1
        if self._strikes:
            log.warning("worker gives no sign", worker=self._worker, count=self._strikes)
        return self._strikes >= STRIKES

    def forgive(self) -> None:
        """Start counting anew, as for a worker just started."""
        self._strikes = 0

    def _is_well(self) -> bool:
        try:
            return self._answers() and not self._is_stalled()
        except (OperationalError, OSError, StorageFailed):
            return True

    def _answers(self) -> bool:
        return bool(self._app.control.ping(destination=[self._worker], timeout=PING_TIMEOUT, limit=1))

    def _is_stalled(self) -> bool:
        settings = self._settings
        return self._catalog.is_stalled(self._worker, settings.concurrency, settings.watchdog_stall)
