"""Bringing the tables up to date, once, however many processes start together."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from coverslip.archive.database import Database
from coverslip.errors import SettingsInvalid, StorageFailed

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x636F7665
"""Any fixed number: PostgreSQL's advisory lock that one upgrade at a time holds."""


def opened(url: str) -> Database:
    """Connect and bring the tables up to date; raises as `upgrade` does."""
    database = Database(url)
    upgrade(database)
    return database


def upgrade(database: Database) -> None:
    """Run the migrations that are missing, in one transaction.

    Raises `StorageFailed`, and `SettingsInvalid` for tables of a newer version: what they mean is not known here.
    """
    try:
        if _is_up_to_date(database):
            return
        with database.engine.begin() as connection:
            if not database.is_sqlite:
                connection.execute(text("SET LOCAL lock_timeout = 0"))  # for as long as the other one is at it
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            _upgrade(connection)
    except DBAPIError as error:
        raise StorageFailed("The catalogue's tables cannot be brought up to date.", where="database_url") from error


def _is_up_to_date(database: Database) -> bool:
    """Asked before the lock is, so that nobody who starts waits for whoever is writing."""
    with database.engine.connect() as connection:
        connection.execution_options(coverslip_read=True)
        return _revision(connection) == head()


def _upgrade(connection: Connection) -> None:
    found, newest = _revision(connection), head()
    if found == newest:
        return
    if found is not None and found > newest:
        raise SettingsInvalid("COVERSLIP_DATABASE_URL: the catalogue belongs to a newer version of Coverslip.")
    from alembic import command  # costs 170 ms of every start, and is needed at one in a hundred
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def head() -> str:
    """The newest migration: files are named after their revision, which counts up."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found
