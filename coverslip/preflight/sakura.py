"""Sakura: an SQLite database that holds tables only, with the values a reader takes on trust.

A database can hold programs (views, triggers) that whoever reads a table runs. Source: OpenSlide 4.0
`openslide-vendor-sakura.c`, which takes text that is missing for text; SQLite, "Defense against the dark arts".
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.tiff.structure import MAX_PIXELS, MAX_SIDE, MAX_TILE_SIDE

MAGIC: Final = b"SQLite format 3\0"
WHERE: Final = "database"
MAX_STEPS: Final = 20_000
"""Rounds of `_ROUND` instructions the checks may take: seconds."""
_ROUND: Final = 10_000
MAX_VALUE: Final = 64 << 20
_TEXTS: Final = {
    "SVSlideDataXPO": ("SlideId", "Date", "Description", "Creator", "DiagnosisCode", "Keywords"),
    "SVHRScanDataXPO": ("ScanId", "FocussingMethod"),
}
"""Columns whose text becomes a property."""


def check(path: Path) -> None:
    """Raise DamagedSlide for a database that is more or less than tables of values, LimitExceeded for great sizes.

    A database without Sakura's own table passes: no reader takes it.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database, _typed():
        _bound(database)
        if _unlike_table(database):
            raise DamagedSlide("a database with views, triggers or virtual tables", where=WHERE)
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "DataManagerSQLiteConfigXPO" in tables:
            _check_slide(database, tables)


def _bound(database: sqlite3.Connection) -> None:
    """No extension, no trust in the schema, an end to every query."""
    steps = iter(range(MAX_STEPS))
    database.set_progress_handler(lambda: int(next(steps, None) is None), _ROUND)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON"):
        database.execute(f"PRAGMA {pragma}")


def _unlike_table(database: sqlite3.Connection) -> bool:
    query = """SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index') OR rootpage = 0
               OR (type = 'table' AND sql NOT LIKE 'CREATE TABLE %') LIMIT 1"""
    return database.execute(query).fetchone() is not None


def _check_slide(database: sqlite3.Connection, tables: set[str]) -> None:
    rows = database.execute("SELECT TableName FROM DataManagerSQLiteConfigXPO LIMIT 2").fetchall()
    if len(rows) != 1 or rows[0][0] not in tables:
        raise DamagedSlide("the table of tiles is not named once", where=WHERE)
    tiles = '"' + rows[0][0].replace('"', '""') + '"'
    if database.execute(f"SELECT 1 FROM {tiles} WHERE typeof(id) != 'text' LIMIT 1").fetchone():
        raise DamagedSlide("a tile without a name", where=WHERE)
    _check_named(database, tiles)
    for table, columns in _TEXTS.items():
        if table in tables:
            _check_texts(database, table, columns)


def _check_named(database: sqlite3.Connection, tiles: str) -> None:
    """The values that are no tiles: how the slide is marked, and its sizes."""
    named = f"SELECT id, data FROM {tiles} WHERE id IN ('++MagicBytes', '++VersionBytes', 'Header')"
    for name, value in database.execute(named):
        if value is None:
            raise DamagedSlide("a value is missing", where=WHERE)
        if name == "Header" and isinstance(value, bytes) and len(value) >= 12:
            tile, width, height = struct.unpack_from("<3I", value)
            if tile > MAX_TILE_SIDE or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
                raise LimitExceeded("an image or its tiles are too large", where=WHERE)


def _check_texts(database: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> None:
    known = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
    for column in known.intersection(columns):
        query = f"SELECT 1 FROM {table} WHERE {column} IS NULL LIMIT 1"
        if database.execute(query).fetchone():
            raise DamagedSlide("a value is missing", where=f"{WHERE}/{table}/{column}")


@contextmanager
def _typed() -> Iterator[None]:
    """SQLite's errors as ours; their text may quote the file."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError, OverflowError):
        raise DamagedSlide("the database cannot be read", where=WHERE) from None
