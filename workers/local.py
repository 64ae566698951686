"""Everything on one machine under one process: embedded broker, worker, service. Stop it and all of it is gone."""

from __future__ import annotations

import sys

from coverslip.settings import Settings
from workers import logs
from workers.programs import Program
from workers.run import run

SERVICE_GRACE = 10.0

log = logs.get("workers.local")


def run_all(settings: Settings) -> int:
    """Run until told to stop; 0 then, and the service's own status when it does not start."""
    service = Program([sys.executable, "-m", "service"], grace=SERVICE_GRACE)
    with service:
        return run(settings, beside=service)
