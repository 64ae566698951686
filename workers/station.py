"""What a worker process works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coverslip.archive.archive import Archive
from coverslip.confined.supervisor import Zygote
from coverslip.settings import Settings

WORK = "workers.work:deidentify"


@dataclass(frozen=True, slots=True)
class Station:
    """What a worker process works with."""

    name: str
    """The worker's name, as the catalogue and the broker know it."""
    archive: Archive
    settings: Settings
    zygote: Zygote
    work: str = WORK
    """`module:function`, called inside the confined child; the module's `tile` makes the pyramid."""
    is_stopping: Callable[[], bool] = lambda: False
    """Whether the worker was told to stop: then a job is given back at its next stage."""
