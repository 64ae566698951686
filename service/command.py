"""`python -m service`: serve; `python -m service key ROLE…`: make an API key and show it once."""

from __future__ import annotations

import argparse
import logging
import sys
import time

import uvicorn

from coverslip import logs
from coverslip.archive.archive import Archive
from coverslip.archive.database import answers
from coverslip.archive.keys import ROLES
from coverslip.confined import libc
from coverslip.errors import CoverslipError
from coverslip.settings import Settings
from service.express import express
from service.guard import connections_to_allow
from service.main import create_app
from service.memory import give_back_large_pieces

EXIT_REFUSED = 78
"""sysexits' EX_CONFIG: the configuration is not one we run with."""

EXIT_INTERRUPTED = 130
LONGEST_WAIT = 30.0
"""Seconds between two tries to reach the database at start."""

log = logging.getLogger("service")


def serve(settings: Settings) -> int:
    """Run until told to stop."""
    give_back_large_pieces()
    if sys.platform == "linux":
        libc.keep_to_itself()  # the vault's key, and names from it, are in our memory
    wait_for_database(settings.database)
    app = create_app(settings)
    log.info("starts", extra={logs.SAID: {"where": f"http://{settings.host}:{settings.port}"}})
    uvicorn.run(
        app,
        http=express(app, connections_to_allow(settings.max_connections)),
        host=settings.host,
        port=settings.port,
        access_log=False,  # paths are ids only, but a query string may be anything
        log_config=None,  # what it has to say goes through our filter
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,  # live pages hold their streams open for ever
    )
    return 0


def wait_for_database(url: str) -> None:
    """Until it answers, however long: a machine that starts everything at once starts nothing in order."""
    patience = 1.0
    while not answers(url):
        log.error(
            "does not answer, trying again", extra={logs.SAID: {"where": "COVERSLIP_DATABASE_URL", "seconds": patience}}
        )
        time.sleep(patience)
        patience = min(patience * 2, LONGEST_WAIT)


def make_key(settings: Settings, roles: list[str], owner: str) -> int:
    """Print a new key: the only time anybody can see it."""
    archive = Archive.open(settings, with_vault=False)
    _, secret = archive.catalog.create_key("made on the command line", roles, owner)
    archive.close()
    sys.stdout.write(f"{secret}\n")
    return 0


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m service")
    commands = parser.add_subparsers(dest="command")
    key = commands.add_parser("key", help="make an API key")
    key.add_argument("roles", nargs="+", choices=sorted(ROLES))
    key.add_argument("--owner", default="admin", help="an opaque name for whoever holds it")
    chosen = parser.parse_args()
    try:
        settings = Settings()
        logs.configure(settings.log_level)
        if chosen.command == "key":
            return make_key(settings, chosen.roles, chosen.owner)
        return serve(settings)
    except CoverslipError as error:
        sys.stderr.write(f"Coverslip does not start: {error}\n")
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
