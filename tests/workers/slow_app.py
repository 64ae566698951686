"""The real Celery application, with a small work function in place of the pipeline."""

import os

from workers import station

station.WORK = os.environ.get("CANARY_WORK", "tests.workers.canaries:slow_copy")

from workers.app import app  # noqa: E402

__all__ = ["app"]
