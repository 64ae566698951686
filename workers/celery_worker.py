"""Celery's own command line, everything loaded first: `python -m workers.celery_worker -A workers.app worker …`."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from coverslip.loading import loading

LOADED: Final = ("celery.apps.worker", "workers.process")
"""What every process of the pool works with; the tasks themselves come with the application that is named."""

if __name__ == "__main__":
    with loading():
        from celery.bin.celery import main

        for name in LOADED:
            import_module(name)
    raise SystemExit(main())
