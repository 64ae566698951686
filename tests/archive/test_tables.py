"""Tables, transition table, vault and settings say what they should."""

import json
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, text

from coverslip.archive import database as database_module
from coverslip.archive import schema
from coverslip.archive.database import Database
from coverslip.archive.models import Base
from coverslip.archive.schema import upgrade
from coverslip.archive.states import MOVES, State, check
from coverslip.archive.vault import Untrusted, Vault, load_or_create_key
from coverslip.errors import StateConflict, StorageFailed
from coverslip.settings import MAX_SOCKET_NAME, Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("url", ["bare_sqlite_url", pytest.param("bare_postgres_url", marks=pytest.mark.postgres)])
def test_migrations_make_the_tables_the_code_expects(request, url):
    """A column added to a model without a migration shows here."""
    database = Database(request.getfixturevalue(url))
    upgrade(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


BEFORE_HOLDINGS = """
INSERT INTO uploads (uid, owner, length, "offset", generation, state, created, expires) VALUES
  ('a', 'one', 10, 10, 1, 'finished', 0, 0), ('b', 'one', 5, 5, 1, 'finished', 0, 0),
  ('c', 'one', 100, 100, 1, 'finished', 0, 0), ('d', 'one', 1000, 3, 1, 'open', 0, 0),
  ('e', 'one', 10000, 3, 1, 'terminated', 0, 0), ('f', 'two', 7, 7, 1, 'finished', 0, 0);
INSERT INTO originals (uid, name, wrapped, purged) VALUES ('b', 'x', NULL, NULL), ('c', NULL, NULL, 1);
"""


@pytest.mark.parametrize("url", ["bare_sqlite_url", pytest.param("bare_postgres_url", marks=pytest.mark.postgres)])
def test_originals_from_before_they_were_weighed_count(request, url):
    """With or without a row of their own, as long as they are not purged."""
    database, config = Database(request.getfixturevalue(url)), Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        for statement in filter(str.strip, BEFORE_HOLDINGS.split(";")):
            connection.execute(text(statement))
    upgrade(database)
    with database.engine.connect() as connection:
        found = connection.execute(text("SELECT owner, length FROM holdings ORDER BY owner")).all()
    assert [tuple(row) for row in found] == [("one", 15), ("two", 7)]
    database.close()


def test_who_finds_every_connection_stuck_does_not_wait_as_well(bare_sqlite_url, monkeypatch):
    """One waits in vain, the next is told at once; a connection that comes back is taken at once."""
    monkeypatch.setattr(database_module, "PATIENCE", 0.2)
    database = Database(bare_sqlite_url)
    held = [database.engine.connect() for _ in range(database_module.CONNECTIONS)]
    with pytest.raises(StorageFailed), database.read() as session:
        session.execute(text("SELECT 1"))
    with monkeypatch.context() as patch:
        patch.setattr(database_module, "Session", None)  # nobody gets as far
        with pytest.raises(StorageFailed), database.read():
            pass
    held.pop().close()
    with database.read() as session:
        assert session.execute(text("SELECT 1")).scalar() == 1
    for connection in held:
        connection.close()
    database.close()


@pytest.mark.postgres
def test_a_server_that_is_gone_without_a_word_is_noticed(postgres_url):
    """libpq is told how soon; by itself it would wait for hours."""
    database = Database(postgres_url)
    with database.engine.connect() as connection:
        found = connection.connection.driver_connection.info.get_parameters()
    assert {name: int(found[name]) for name in database_module.ALIVE} == database_module.ALIVE
    database.close()


def test_sqlite_is_durable_and_patient(bare_sqlite_url):
    """WAL, full sync and a busy timeout hold on every connection, also when it has written."""
    database = Database(bare_sqlite_url)
    for reads in (True, False):
        with database.engine.connect().execution_options(coverslip_read=reads) as connection:
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}
        assert found == PRAGMAS
    database.close()


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 20_000}


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://x/y", "sqlite:////nowhere/at/all.sqlite"])
def test_a_database_that_cannot_be_is_said_so(url):
    """Our own error, without the URL, which may hold a password."""
    with pytest.raises(StorageFailed) as caught:
        upgrade(Database(url))
    assert not url or url not in str(caught.value)


def test_every_state_has_its_row():
    """The transition table is complete, and what is public can only come from review."""
    assert set(MOVES) == set(State)
    assert [state for state in State if State.RELEASED in MOVES[state]] == [State.IN_REVIEW]
    assert MOVES[State.RELEASED] == {State.WITHDRAWN}
    with pytest.raises(StateConflict):
        check(State.QUARANTINED, State.RELEASED)


def test_the_vault_binds_a_row_to_its_upload():
    """Another key, another upload or one flipped bit: nothing opens."""
    vault, said = Vault(b"k" * 32), Untrusted("Doe, Jane.svs", {"mrn": "12345"})
    sealed = vault.seal("uid", said)
    assert b"Doe" not in sealed
    assert vault.open("uid", sealed) == said
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for key, uid, row in ((b"x" * 32, "uid", sealed), (b"k" * 32, "other", sealed), (b"k" * 32, "uid", flipped)):
        with pytest.raises(StorageFailed):
            Vault(key).open(uid, row)


def test_a_key_is_made_once_and_ours_alone(tmp_path, monkeypatch):
    """0600, on the disk when it is used, and the second reader gets the first one's key."""
    path = tmp_path / "vault.key"
    synced = []
    monkeypatch.setattr("coverslip.archive.vault.sync", lambda folder: synced.append((folder, path.exists())))
    key = load_or_create_key(path)
    assert synced == [(path.parent, True)], "a power cut may not take the key of what is locked with it"
    assert load_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(StorageFailed):
        load_or_create_key(path)


def test_every_setting_is_documented():
    """docs/settings.md has a row for each, with its description, and no other."""
    rows = [line for line in (DOCS / "settings.md").read_text().splitlines() if line.startswith("| `COVERSLIP_")]
    documented = {row.split("`")[1]: row.rsplit("|", 2)[1].strip() for row in rows}
    assert documented == {
        f"COVERSLIP_{name.upper()}": field.description for name, field in Settings.model_fields.items()
    }


def test_durations_may_be_bare_seconds(monkeypatch):
    """As people write them in an environment file."""
    monkeypatch.setenv("COVERSLIP_LEASE", "90")
    monkeypatch.setenv("COVERSLIP_HEARTBEAT", "PT1.5S")
    settings = Settings()
    assert (settings.lease, settings.heartbeat) == (timedelta(seconds=90), timedelta(seconds=1.5))


def test_a_deep_data_dir_still_has_a_socket(tmp_path):
    """The kernel takes 107 bytes; a deeper folder gets a short private one instead."""
    deep = Settings(data_dir=tmp_path / ("x" * 120))
    assert len(os.fsencode(deep.broker_socket)) <= MAX_SOCKET_NAME
    assert deep.broker_socket == Settings(data_dir=tmp_path / ("x" * 120)).broker_socket
    assert Settings(data_dir=Path("/d")).broker_socket == Path("/d/broker/valkey.sock")


def test_secrets_do_not_show_in_settings():
    """Printing settings, as a traceback may, shows no key."""
    assert "hunter2" not in json.dumps(repr(Settings(secret_key="hunter2")))


def test_the_newest_file_is_the_newest_migration():
    """A start compares file names instead of loading Alembic; the two must agree on what is newest."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert schema.head() == ScriptDirectory.from_config(config).get_current_head()


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_transaction_that_does_not_begin_is_an_error_of_ours(sqlite_url, way):
    """It begins past SQLAlchemy, which would translate what the driver raises."""
    database = Database(sqlite_url)

    def begun_already(connection):
        connection.connection.driver_connection.execute("BEGIN")

    event.listen(database.engine, "begin", begun_already, insert=True)
    with pytest.raises(StorageFailed), getattr(database, way)() as session:
        session.execute(text("SELECT 1"))
    database.close()
