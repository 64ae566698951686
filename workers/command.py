"""`python -m workers`: a worker with its sweeper and watchdog; `all`: broker, worker and service together."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from coverslip.errors import CatalogError, CoverslipError
from coverslip.settings import Settings
from workers import desk, logs
from workers.app import EXIT_REFUSED
from workers.local import run_all
from workers.run import run
from workers.sweeper import sweep_once

EXIT_NO = 1
"""The catalogue said no: there is no such job, or it is over."""


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    commands = parser.add_subparsers(metavar="command")
    parser.set_defaults(run=run)
    for name, work, text in (
        ("worker", run, "a worker with its sweeper and watchdog; what runs without a command"),
        ("all", run_all, "embedded broker, worker and service together"),
        ("sweep", sweep_once, "look for lost hints once and leave, as a timer would"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(run=work)
    desk.add_commands(commands)
    chosen = parser.parse_args()
    work = partial(desk.run, chosen=chosen) if hasattr(chosen, "act") else chosen.run
    try:
        settings = Settings()
        logs.configure(settings.log_level)
        return int(work(settings))
    except CatalogError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NO
    except CoverslipError as error:
        sys.stderr.write(f"Coverslip does not start: {error}\n")
        return EXIT_REFUSED
