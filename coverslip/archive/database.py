"""One way to reach SQLite and PostgreSQL: durable settings, short transactions, our own errors."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Update, create_engine, event, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from coverslip import stopped
from coverslip.errors import StorageFailed

BUSY_TIMEOUT_MS = 20_000
"""How long a writer waits for another one (operations.md, decision 19)."""
LOOKS = 4
"""How often a SQLite writer that waits looks whether the one it waits for was stopped."""
PAUSE = 0.002
"""Seconds until a SQLite writer that waits tries again. SQLite itself sleeps longer each time, and who waits longest is
overtaken most: of six writers that hold the lock for 2 ms, one waited for more than a second."""
IDLE_TIMEOUT_MS = 15_000
"""How long PostgreSQL lets somebody begin a transaction and say no more: it was stopped, or its machine is gone.

Not one that moves files, whose rows are one slide's or one upload's: those wait until it goes on or ends.
"""

CONNECT_TIMEOUT = 10
"""Seconds a PostgreSQL server may take to answer a new connection."""

CONNECTIONS = 15
"""Of one process; who needs one when all are in use waits."""
PATIENCE = 10.0
"""Seconds."""
STUCK = 5.0
"""Seconds after somebody waited in vain in which nobody else begins to wait."""

ALIVE = {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""How soon a connection to a server that is gone without a word is given up; libpq would wait for hours."""
READ_ONLY = "25006"
"""What PostgreSQL answers a writer that is not, or no longer, the primary (its manual, appendix A)."""


log = logging.getLogger(__name__)


class Database:
    """An engine with the settings we rely on; `write` and `read` are the only ways in."""

    def __init__(self, url: str) -> None:
        """Connect lazily to `url`; raises `StorageFailed` when it is no database address we know."""
        self.engine = _engine(url)
        self._in_vain = -STUCK
        self._reader = self.engine.execution_options(coverslip_read=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether one file holds everything."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self, *, moves_files: bool = False) -> Iterator[Session]:
        """One transaction: all of it is stored when the block ends, nothing of it when the block raises.

        With `moves_files` its rows are held however long that takes: no disk may be so slow, and nobody stopped for so
        long, that another decides about the same files meanwhile.
        """
        with self._our_errors(), Session(self.engine) as session, session.begin():
            if moves_files and not self.is_sqlite:
                session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent look that waits for no writer."""
        with self._our_errors(), Session(self._reader) as session:
            yield session

    def forget(self) -> None:
        """Let nothing of what was deleted stand in a log: SQLite overwrites it (`secure_delete`), its log is emptied.

        A reader in the way only puts it off: the log is overwritten from its start afterwards. PostgreSQL's vacuum does
        the same in its own time.
        """
        if self.is_sqlite:
            with self._our_errors(), self.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT", coverslip_read=True)
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        if self._is_stuck():
            raise StorageFailed("The catalogue's database gives no answer.")
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:  # the second when a transaction begins, past SQLAlchemy
            raise StorageFailed("The catalogue's database did not do what it was asked.") from error
        except NoConnection as error:
            self._in_vain = time.monotonic()
            raise StorageFailed("The catalogue's database gives no answer.") from error

    def _is_stuck(self) -> bool:
        """Whether waiting is of no use: every connection waits for an answer, and has for as long as anybody may."""
        pool = self.engine.pool
        if time.monotonic() - self._in_vain >= STUCK or not isinstance(pool, QueuePool):
            return False
        return pool.checkedout() >= CONNECTIONS


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StorageFailed("The database URL cannot be read.", where="database_url") from error
    # hide_parameters: an exception's text must not carry a value (design.md §2, promise 7)
    pool = {"pool_size": 5, "max_overflow": CONNECTIONS - 5, "pool_timeout": PATIENCE}
    match parsed.get_backend_name():
        case "sqlite":
            patience = {"timeout": BUSY_TIMEOUT_MS / 1000}
            engine = create_engine(parsed, hide_parameters=True, connect_args=patience, **pool)
            event.listen(engine, "connect", _tune_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        case "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            patience = {"connect_timeout": CONNECT_TIMEOUT, **ALIVE}
            engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args=patience, **pool)
            event.listen(engine, "connect", _tune_postgresql)
            event.listen(engine, "handle_error", _leave_a_standby)
        case _:
            raise StorageFailed("The catalogue lives in SQLite or PostgreSQL.", where="database_url")
    return engine


def changed(session: Session, change: Update, asked: Mapping[str, object] | None = None) -> bool:
    """Whether there was a row to be changed."""
    return bool(session.execute(change, asked).rowcount)  # type: ignore[attr-defined]


def was_first(session: Session, row: object) -> bool:
    """Add a row; False when another transaction did just now, whose row is there to be read then."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a database server is there and lets us in; a file is always there. Raises as `Database` does."""
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        return True
    try:
        with engine.connect():
            return True
    except DBAPIError:
        return False
    finally:
        engine.dispose()


def _leave_a_standby(context: ExceptionContext) -> None:
    # After a failover old connections live on; who connects anew is led to the server that may be written to.
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def _tune_sqlite(connection: Any, record: Any) -> None:  # noqa: ANN401  the driver's own types
    connection.isolation_level = None  # the driver must not begin transactions by itself
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _patiently(connection, "PRAGMA journal_mode=WAL")
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _patiently(connection: Any, statement: str) -> None:  # noqa: ANN401  the driver's own type
    """Ask again while the file is locked: SQLite does not wait by itself for the change to a log."""
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if connection.get_execution_options().get("coverslip_read", False):
        driver.execute("BEGIN")  # waits for nobody, and through SQLAlchemy it would cost a third of a short look
        return
    driver.execute("PRAGMA busy_timeout=0")
    try:
        _begin_to_write(connection, driver)
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _begin_to_write(connection: Connection, driver: Any) -> None:  # noqa: ANN401  the driver's own type
    between = BUSY_TIMEOUT_MS / LOOKS / 1000
    began = looked = time.monotonic()
    while True:
        try:
            # A writer that starts by reading would fail with "database is locked" at once instead of waiting.
            driver.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            if not _is_busy(error) or now - began >= BUSY_TIMEOUT_MS / 1000:
                raise
        if now - looked >= between:
            looked = now
            _wake_holders(connection)
        time.sleep(PAUSE)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _wake_holders(connection: Connection) -> None:
    name = connection.engine.url.database or ""
    if stopped.wake_holders(Path(name), Path(f"{name}-shm")):
        log.warning("woke a stopped process that held the catalogue")


def _tune_postgresql(connection: Any, record: Any) -> None:  # noqa: ANN401  the driver's own types
    values = {"lock_timeout": BUSY_TIMEOUT_MS, "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS}
    with connection.cursor() as cursor:
        for name, milliseconds in values.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, str(milliseconds)))
    connection.commit()
