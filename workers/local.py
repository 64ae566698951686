"""Everything on one machine under one process: embedded broker, worker, service. Stop it and all of it is gone."""

from __future__ import annotations

from coverslip.settings import Settings
from workers.frontend import FrontEnd
from workers.run import run


def run_all(settings: Settings) -> int:
    """Run until told to stop; 0 then, and the service's own status when it does not start."""
    with FrontEnd(settings) as service:
        return run(settings, beside=service)
