"""One row by its key: asked for once, and what is held is what it has become."""

from __future__ import annotations

import pytest
from sqlalchemy import event, update

from coverslip.archive import rows
from coverslip.archive.database import Database
from coverslip.archive.models import LockRow
from tests.archive.catalogues import InPostgres, InSqlite


class Rows:
    """The contract."""

    @pytest.fixture
    def database(self, url, clock):
        found = Database(url)
        with found.write() as session:
            session.add(LockRow(name="tidy", holder="first", until=clock.now))
        yield found
        found.close()

    @pytest.fixture
    def asked(self, database):
        """What the database was asked."""
        said = []
        event.listen(database.engine, "before_cursor_execute", lambda *words: said.append(words[2]))
        return said

    def test_nothing_is_asked_twice(self, database, asked):
        """Neither what was read nor what is held; but what was only read is read again to be held."""
        with database.write() as session:
            assert rows.get(session, LockRow, "tidy") is rows.get(session, LockRow, "tidy")
            assert rows.held(session, LockRow, "tidy") is rows.held(session, LockRow, "tidy")
            assert rows.get(session, LockRow, "tidy").holder == "first"
        assert sum("FROM locks" in question for question in asked) == 2

    def test_another_transaction_asks_anew(self, database):
        """Nothing is known for longer than one."""
        with database.write() as session:
            rows.held(session, LockRow, "tidy").holder = "second"
        with database.write() as session:
            assert rows.held(session, LockRow, "tidy").holder == "second"
            assert rows.get(session, LockRow, "no such") is None
            assert rows.held(session, LockRow, "no such") is None

    def test_what_was_deleted_is_gone(self, database):
        """In the same transaction already."""
        with database.write() as session:
            session.delete(rows.held(session, LockRow, "tidy"))
            session.flush()
            assert rows.held(session, LockRow, "tidy") is None
            assert rows.get(session, LockRow, "tidy") is None


class TestSqlite(Rows, InSqlite):
    """Embedded."""


class TestPostgres(Rows, InPostgres):
    """By URL."""

    def test_what_is_held_is_what_it_has_become(self, database):
        """Read before, changed by somebody else meanwhile: whoever decides by the old one decides wrongly."""
        with database.write() as session:
            before = rows.get(session, LockRow, "tidy")
            assert before.holder == "first"
            with database.write() as other:
                other.execute(update(LockRow).values(holder="second"))
            assert rows.held(session, LockRow, "tidy").holder == "second"

    def test_it_is_locked(self, database, asked):
        """Or two would decide about it at once."""
        with database.write() as session:
            rows.held(session, LockRow, "tidy")
        assert any("FROM locks" in question and "FOR UPDATE" in question for question in asked)
