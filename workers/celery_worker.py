"""Celery's worker, everything loaded first: `python -m workers.celery_worker APPLICATION NAME KIND…`.

Celery's own command line would load every other command of its, too, and those of whoever else is installed: a fifth
of the time until a worker that died is back.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from coverslip.loading import loading

LOADED: Final = ("celery.apps.worker", "celery.concurrency.prefork", "workers.process")
"""What every process of the pool works with; what else there is to do comes with the application that is named."""


def loaded(application: str, kinds: Sequence[str]) -> Callable[[str], int]:
    """Load all of it; what is returned works for these kinds of job, under a name, until it is told to leave.

    It returns how it left.
    """
    os.environ["REMAP_SIGTERM"] = "SIGQUIT"  # told to stop, finish within the grace and then give the slide back
    with loading():
        for module in LOADED:
            import_module(module)
        from celery.apps import worker as celery_worker

        from coverslip.archive.kinds import JobKind
        from workers.app import QUEUES

        app = import_module(application).app
    # Celery's farewells go to standard error past every logger; ours say the same as events.
    celery_worker.safe_say = lambda *_, **__: None
    warnings.filterwarnings("ignore", "You're running the worker")  # as root in a container or a demo, on purpose
    queues = [QUEUES[JobKind(kind)] for kind in kinds]

    def run(name: str) -> int:
        worker = app.Worker(
            hostname=name, pool_cls="prefork", queues=queues, quiet=True, without_gossip=True, without_mingle=True
        )
        worker.start()
        return int(worker.exitcode or 0)

    return run


if __name__ == "__main__":
    raise SystemExit(loaded(sys.argv[1], sys.argv[3:])(sys.argv[2]))
