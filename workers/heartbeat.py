"""Keeps one claim alive while the work goes on, and notices when it is no longer ours."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from coverslip.archive.catalog import Catalog
from coverslip.archive.records import Claim
from coverslip.errors import Cancelled, LeaseLost, StorageFailed
from coverslip.progress import Stage

QUICK = 1.0
"""Seconds: news is reported no more often, so that people watch progress and the database does not suffer."""


class Heartbeat:
    """A thread that renews a claim; `check` raises in the working thread once it is lost, cancelled or out of sight."""

    def __init__(self, catalog: Catalog, claim: Claim, *, every: timedelta, lease: timedelta) -> None:
        """Beat at least once `every`; give up by ourselves when no beat got through for `lease`."""
        self._catalog, self._claim = catalog, claim
        self._every, self._lease = every.total_seconds(), lease.total_seconds()
        self._stage: Stage | None = None
        self._done = 0.0
        self._news, self._stopped = threading.Event(), threading.Event()
        self._ended: Cancelled | LeaseLost | StorageFailed | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Start beating."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop beating; nothing is sent afterwards."""
        self._stopped.set()
        self._thread.join()

    def progress(self, stage: Stage, done: float) -> None:
        """Remember how far the work is; sent with the next beat, which comes soon."""
        self._stage, self._done = stage, done
        self._news.set()

    def check(self) -> None:
        """Raise `LeaseLost` or `Cancelled` when that is how it stands, `StorageFailed` when nobody can say."""
        if self._ended is not None:
            raise self._ended

    def _run(self) -> None:
        renewed = heard = time.monotonic()  # a claim begins with a lease of full length
        while not self._stopped.wait(min(QUICK, self._every)):
            try:
                if self._news.is_set() or time.monotonic() - renewed >= self._every:
                    self._news.clear()
                    self._catalog.heartbeat(self._claim, self._stage, self._done)
                    renewed = time.monotonic()
                else:  # between two beats too: who cancels waits for this look, not for the next beat
                    self._catalog.require_held(self._claim)
                heard = time.monotonic()
            except (LeaseLost, Cancelled) as ended:
                self._ended = ended
                return
            except StorageFailed as away:  # go on for as long as the lease holds
                if time.monotonic() - heard > self._lease:
                    self._ended = away
                    return
