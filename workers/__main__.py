"""`python -m workers`: a worker with its sweeper and watchdog; `all`: broker, worker and service together."""

from __future__ import annotations

import argparse
import sys

from coverslip.errors import CoverslipError
from coverslip.settings import Settings
from workers import logs
from workers.local import run_all
from workers.run import run
from workers.sweeper import sweep_once

EXIT_REFUSED = 78
"""sysexits' EX_CONFIG: the configuration is not one we run with."""


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    commands = {"worker": run, "all": run_all, "sweep": sweep_once}
    parser.add_argument("command", nargs="?", default="worker", choices=sorted(commands))
    chosen = parser.parse_args()
    settings = Settings()
    logs.configure(settings.log_level)
    try:
        return commands[chosen.command](settings)
    except CoverslipError as error:
        sys.stderr.write(f"Coverslip does not start: {error}\n")
        return EXIT_REFUSED


if __name__ == "__main__":
    raise SystemExit(main())
