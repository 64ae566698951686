"""Bringing the tables up to date, once, however many processes start together."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from coverslip.archive.database import Database
from coverslip.errors import StorageFailed

MIGRATION_LOCK = 0x636F7665
"""Any fixed number: PostgreSQL's advisory lock that one upgrade at a time holds."""


def upgrade(database: Database) -> None:
    """Run the migrations that are missing, in one transaction; raises `StorageFailed`."""
    try:
        with database.engine.begin() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            _upgrade(connection)
    except DBAPIError as error:
        raise StorageFailed("The catalogue's tables cannot be brought up to date.", where="database_url") from error


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    head = ScriptDirectory.from_config(config).get_current_head()
    if MigrationContext.configure(connection).get_current_revision() != head:
        command.upgrade(config, "head")
