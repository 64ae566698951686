"""Whoever is stopped while all wait for it: it is woken, or loses what it holds; who only works is left alone."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from coverslip import stopped
from coverslip.archive import database as database_module
from coverslip.archive import duty
from coverslip.archive.database import Database
from coverslip.archive.kinds import JobKind
from coverslip.archive.schema import MIGRATION_LOCK, upgrade
from coverslip.archive.states import State
from coverslip.archive.terms import Terms
from coverslip.confined import libc
from coverslip.errors import StorageFailed
from tests.faults.forks import Forked
from tests.processes import until_stopped

HOLDS = """
import os, signal, sys, time
from datetime import UTC, datetime, timedelta
from sqlalchemy import text
from coverslip.archive import database, duty
database.IDLE_TIMEOUT_MS = 1000
ended = "well"
try:
    with database.Database(sys.argv[1]).write() as session:
        duty.take(session, datetime.now(UTC), "sweep", "other", timedelta(0))
        print("holds", flush=True)
        {then}
except database.StorageFailed:
    ended = "refused"
print(ended, flush=True)
"""
LOCKS_FILE = """
import fcntl, os, sys, signal, time
file = open(sys.argv[1], "rb+")
fcntl.{way}(file, fcntl.LOCK_EX)
print("holds", flush=True)
{then}
print("well", flush=True)
"""
NOBODY = 65534
STOPS = "os.kill(os.getpid(), signal.SIGSTOP)"
WORKS = "time.sleep(600)"


@contextmanager
def running(code, *arguments):
    """A process of its own, which ends with the block."""
    with subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(params=["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)])
def url(request):
    """A catalogue with a duty that somebody had."""
    found = request.getfixturevalue(request.param)
    catalogue = Database(found)
    take(catalogue, "nobody")
    catalogue.close()
    return found


def take(catalogue, holder):
    """What everybody waits for."""
    with catalogue.write() as session:
        assert duty.take(session, datetime.now(UTC), "sweep", holder, timedelta(0))


def test_who_is_stopped_in_mid_write_keeps_nobody_out(url, monkeypatch):
    """SQLite: woken, and its write is whole. PostgreSQL: it loses what it held, and is told so when it wakes up."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 10_000)
    catalogue = Database(url)
    with running(HOLDS.format(then=STOPS), url) as other:
        assert other.stdout.readline() == b"holds\n"
        until_stopped(other.pid)
        take(catalogue, "us")
        if not catalogue.is_sqlite:
            os.kill(other.pid, signal.SIGCONT)
        assert other.stdout.readline() == (b"well\n" if catalogue.is_sqlite else b"refused\n")
    with catalogue.read() as session:
        assert session.execute(text("SELECT holder FROM locks")).scalar() == "us"
    catalogue.close()


def test_nobody_waits_for_ever_for_one_who_works(url, monkeypatch):
    """A typed refusal after the timeout; starting waits for no writer at all."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 400)
    catalogue = Database(url)
    works = WORKS if catalogue.is_sqlite else "session.execute(text('SELECT pg_sleep(600)'))"
    with running(HOLDS.format(then=works), url) as other:
        assert other.stdout.readline() == b"holds\n"
        begin = time.monotonic()
        with pytest.raises(StorageFailed):
            take(catalogue, "us")
        assert 0.4 <= time.monotonic() - begin < 10
        upgrade(catalogue)
        assert other.poll() is None
    catalogue.close()


@pytest.mark.postgres
def test_who_starts_waits_for_whoever_brings_the_tables_up_to_date(bare_postgres_url, monkeypatch):
    """However long that takes: a big catalogue's may be minutes."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 200)
    catalogue = Database(bare_postgres_url)
    with psycopg.connect(bare_postgres_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        waits = pool.submit(upgrade, catalogue)
        time.sleep(1)
        assert not waits.done()
        other.commit()
        waits.result(60)
    catalogue.close()


def write_slowly(catalogue, **how):
    """A disk that takes longer than PostgreSQL is patient here."""
    with catalogue.write(**how) as session:
        session.execute(text("SELECT 1"))
        time.sleep(2)


@pytest.mark.postgres
def test_whoever_moves_files_keeps_what_it_holds(postgres_url, monkeypatch):
    """However slow the disk is: another may decide about the same files only then."""
    monkeypatch.setattr(database_module, "IDLE_TIMEOUT_MS", 1000)
    catalogue = Database(postgres_url)
    with pytest.raises(StorageFailed):
        write_slowly(catalogue)
    write_slowly(catalogue, moves_files=True)
    catalogue.close()


def held(catalog, filler, produced, look):
    """A slide nobody else may move."""
    with catalog.held(filler.slide()[0]):
        look()


def moved(catalog, filler, produced, look):
    """A slide that is moved, and its files."""
    sid, job = filler.slide()
    catalog.finish(catalog.claim(job, "worker"), produced)
    catalog.transition(sid, State.REJECTED, "curator", follow=look)


def finished(catalog, filler, produced, look):
    """An attempt that leaves files."""
    catalog.finish(catalog.claim(filler.slide()[1], "worker"), produced, follow=look)


def completed(catalog, filler, produced, look):
    """A pyramid that takes the place of another."""
    catalog.finish(catalog.claim(filler.slide()[1], "worker"), produced)
    catalog.finish_pyramid(catalog.claim_next((JobKind.PYRAMID,), "worker"), follow=look)


def sent(catalog, filler, produced, look):
    """An upload's file."""
    catalog.begin_patch(filler.upload()[0], follow=look)


@pytest.mark.parametrize("act", [held, moved, finished, completed, sent])
def test_each_that_moves_files_says_so(act, sqlite_url, open_catalog, fill, produced, monkeypatch):
    """To the database, before it moves them."""
    catalog = open_catalog(sqlite_url, terms=Terms(complete_pyramids=True))
    said, seen, write = [], [], Database.write

    def noting(self, *, moves_files=False):
        said.append(moves_files)
        return write(self, moves_files=moves_files)

    monkeypatch.setattr(Database, "write", noting)
    act(catalog, fill(catalog), produced, lambda *_: seen.append(said[-1]))
    assert seen == [True]


@pytest.fixture
def file(tmp_path):
    """Something to lock."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize("way", ["flock", "lockf"])
def test_a_stopped_holder_is_woken(file, way):
    """Of either kind of lock; once it goes on there is nobody to wake."""
    with running(LOCKS_FILE.format(way=way, then=STOPS), file) as holder:
        holder.stdout.readline()
        until_stopped(holder.pid)
        assert stopped.wake_holders(file.with_name("other"), file) == 1
        assert holder.stdout.readline() == b"well\n"
    assert stopped.wake_holders(file) == 0


def _as_nobody():
    """A process as it runs without root's rights, with keys in its memory."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    libc.keep_to_itself()


def _hold(path):
    _as_nobody()
    with path.open("rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGSTOP)


def _wake(path):
    _as_nobody()
    raise SystemExit(stopped.wake_holders(path))


def test_so_is_one_that_keeps_to_itself():
    """Without root's rights nobody may look at what a worker or a service of the same user has open."""
    folder = Path(tempfile.mkdtemp())  # pytest's own are for us alone
    try:
        folder.chmod(0o755)
        path = folder / "file"
        path.touch()
        path.chmod(0o666)
        holder = Forked(_hold, path)
        until_stopped(holder.pid)
        assert Forked(_wake, path).wait(30) == 1
        assert holder.wait(30) == 0
    finally:
        shutil.rmtree(folder)


def test_who_is_stopped_and_holds_something_else_sleeps_on(file, tmp_path):
    """Nobody waits for it; nor is one woken that works."""
    other = tmp_path / "other"
    other.write_bytes(b"x")
    with running(LOCKS_FILE.format(way="lockf", then=STOPS), other) as sleeper:
        sleeper.stdout.readline()
        until_stopped(sleeper.pid)
        assert stopped.wake_holders(file) == 0
        with running(LOCKS_FILE.format(way="lockf", then=WORKS), file) as worker:
            assert worker.stdout.readline() == b"holds\n"
            assert list(stopped._holders(file)) == [worker.pid]
            assert stopped.wake_holders(file) == 0
        until_stopped(sleeper.pid)


def test_a_file_of_the_same_number_elsewhere_is_another(file, tmp_path, monkeypatch):
    """Each file system numbers its own; whoever has a namesake open is not the one everybody waits for."""
    other = tmp_path / "other"
    other.write_bytes(b"x")
    with running(LOCKS_FILE.format(way="lockf", then=STOPS), other) as sleeper:
        sleeper.stdout.readline()
        until_stopped(sleeper.pid)
        listed = f"1: POSIX  ADVISORY  WRITE {sleeper.pid} 00:2a:{file.stat().st_ino} 0 EOF\n"
        monkeypatch.setattr(stopped, "LOCKS", tmp_path / "locks")
        stopped.LOCKS.write_text(listed)
        assert list(stopped._holders(file)) == [sleeper.pid]
        assert stopped.wake_holders(file) == 0


def test_a_system_that_does_not_tell_has_nobody_to_wake(file, monkeypatch):
    """Other systems than Linux have no such list."""
    monkeypatch.setattr(stopped, "LOCKS", file.with_name("locks"))
    assert stopped.wake_holders(file) == 0
