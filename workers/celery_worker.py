"""Celery's worker, everything loaded first: `python -m workers.celery_worker APPLICATION NAME KIND…`.

Celery's own command line would load every other command of its, too, and those of whoever else is installed: a fifth
of the time until a worker that died is back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from coverslip.loading import loading

LOADED: Final = ("celery.apps.worker", "celery.concurrency.prefork", "workers.process")
"""What every process of the pool works with; what else there is to do comes with the application that is named."""


def run(application: str, name: str, kinds: Sequence[str]) -> int:
    """Work for these kinds of job until told to leave; returns how it left."""
    with loading():
        for module in LOADED:
            import_module(module)
        from coverslip.archive.kinds import JobKind
        from workers.app import QUEUES

        app = import_module(application).app
    worker = app.Worker(
        hostname=name,
        pool_cls="prefork",
        queues=[QUEUES[JobKind(kind)] for kind in kinds],
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
