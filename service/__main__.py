"""`python -m service`: serve; `python -m service key ROLE…`: make an API key and show it once."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from coverslip.archive.archive import Archive
from coverslip.archive.keys import ROLES
from coverslip.errors import CoverslipError
from coverslip.settings import Settings
from service.express import express
from service.guard import connections_to_allow
from service.main import create_app
from service.memory import give_back_large_pieces

EXIT_REFUSED = 78
"""sysexits' EX_CONFIG: the configuration is not one we run with."""


def serve(settings: Settings) -> int:
    """Run until told to stop."""
    give_back_large_pieces()
    app = create_app(settings)
    uvicorn.run(
        app,
        http=express(app, connections_to_allow(settings.max_connections)),
        host=settings.host,
        port=settings.port,
        access_log=False,  # paths are ids only, but a query string may be anything
        log_level=settings.log_level.lower(),
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,  # live pages hold their streams open for ever
    )
    return 0


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
    settings = Settings()
    try:
        if chosen.command == "key":
            return make_key(settings, chosen.roles, chosen.owner)
        return serve(settings)
    except CoverslipError as error:
        sys.stderr.write(f"Coverslip does not start: {error.detail}\n")
        return EXIT_REFUSED


if __name__ == "__main__":
    raise SystemExit(main())
