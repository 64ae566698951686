"""Notices a worker that lives but does not work, by asking across the broker and the rows."""

from __future__ import annotations

from celery import Celery

from coverslip.archive.archive import Archive
from coverslip.errors import StorageFailed
from coverslip.settings import Settings
from workers import logs
from workers.app import broker_errors

PING_TIMEOUT = 5.0
GREETING = 1.0
"""Seconds for an answer that may well not come yet; whoever asks has other duties meanwhile."""
STRIKES = 2

log = logs.get("workers.watchdog")


class Watchdog:
    """Counts how often in a row a worker gave no sign; two in a row and it should be replaced."""

    def __init__(self, app: Celery, archive: Archive, settings: Settings, worker: str) -> None:
        """Watch the worker of that name."""
        self._app, self._archive, self._settings, self._worker = app, archive, settings, worker
        self._away = broker_errors(app)
        self._not_its_fault: tuple[type[Exception], ...] = (*self._away, StorageFailed)
        self._strikes = 0
        self._answered = False

    @property
    def has_answered(self) -> bool:
        """Whether the worker gave a sign since it was started."""
        return self._answered

    def greets(self) -> bool:
        """Look whether a worker that starts gives its first sign; silence is no fault yet."""
        try:
            self._answered = self._answers(GREETING)
        except self._away:
            self._answered = False
        return self._answered

    def hangs(self) -> bool:
        """Look once; True when it is time to replace the worker. A broker that is away is nobody's fault."""
        self._strikes = 0 if self._is_well() else self._strikes + 1
        if self._strikes:
            log.warning("worker gives no sign", worker=self._worker, count=self._strikes)
        return self._strikes >= STRIKES

    def forgive(self) -> None:
        """Start counting anew, as for a worker just started."""
        self._strikes = 0
        self._answered = False

    def _is_well(self) -> bool:
        try:
            return self._answers() and not self._is_stalled()
        except self._not_its_fault:
            return True

    def _answers(self, timeout: float = PING_TIMEOUT) -> bool:
        with self._app.connection_for_write() as fresh:  # an old one may have lost its reply queue with the broker
            answers = self._app.control.ping(destination=[self._worker], timeout=timeout, limit=1, connection=fresh)
        return bool(answers)

    def _is_stalled(self) -> bool:
        settings = self._settings
        self._archive.storage.require_fit()  # or it begins nothing, and rightly
        return self._archive.catalog.is_stalled(self._worker, settings.concurrency, settings.watchdog_stall)
