"""How a worker leaves: its main process hears that it is to, its pool processes see it, and say when they are done.

Celery knows what it gave to a pool process, not whether that has come to its next stage; so it sleeps through all of
its grace if anybody was at work when it heard.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery.worker import WorkController

from workers import logs

PLACES: Final = 1 << 10
"""Many more than there are pool processes, so that no two have the same."""
LOOK: Final = 0.1
"""Seconds between two looks at who is still at work."""

_shared: Final = memoryview(mmap.mmap(-1, 4 * (1 + PLACES))).cast("I")
"""Memory of the main process and those it forks: whether to leave, then the number of each that works."""

log = logs.get("workers.leaving")


def is_asked() -> bool:
    """Whether this worker is to leave: then a job is given back at its next stage."""
    return bool(_shared[0])


@contextmanager
def at_work() -> Iterator[None]:
    """This pool process works while the block runs."""
    number = os.getpid()
    place = 1 + number % PLACES
    _shared[place] = number
    try:
        yield
    finally:
        _shared[place] = 0


def say_and_wait(worker: WorkController) -> None:
    """Say that it is time, and wait until nobody works any more, or for the grace; Celery's own signals come then."""
    _shared[0] = 1
    grace = float(worker.app.conf.worker_soft_shutdown_timeout)
    if _is_anybody_at_work():
        log.info("told to stop", worker=worker.hostname, seconds=grace)
    until = time.monotonic() + grace
    while _is_anybody_at_work() and time.monotonic() < until:
        time.sleep(LOOK)


def _is_anybody_at_work() -> bool:
    return any(number and _is_there(number) for number in _shared[1:])


def _is_there(number: int) -> bool:
    """Whether there is such a process of ours: one that was killed at work did not say that it is over."""
    try:
        os.kill(number, 0)
    except (ProcessLookupError, PermissionError):  # nobody, or somebody else who has its number now
        return False
    return True


WorkController.wait_for_soft_shutdown = say_and_wait
