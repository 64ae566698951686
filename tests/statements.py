"""SQL that is put together once a process, as in a service with its one database, not once for each test's own."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

ROOM = 5000
"""Statements kept; there are some hundreds."""


def share() -> None:
    """From here on every catalogue's engine finds what another one of its kind put together."""
    from coverslip.archive import database

    for kind in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        kind.__eq__ = lambda self, other: type(self) is type(other)
        kind.__hash__ = lambda self: hash(type(self))
    statements: LRUCache[Any, Any] = LRUCache(ROOM)

    @functools.wraps(create_engine)
    def sharing(*arguments: Any, **options: Any) -> Engine:
        engine = create_engine(*arguments, **options)
        engine.update_execution_options(compiled_cache=statements)
        return engine

    database.create_engine = sharing
