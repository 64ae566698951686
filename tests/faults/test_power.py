"""Power cuts at any moment: everything acknowledged before is there afterwards, whole."""

import hashlib
import os
import random
import sqlite3
import threading
import time

import pytest

from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.settings import Settings
from service.receiving import Target
from tests.faults.kernel import need
from tests.faults.power import powered
from tests.faults.rig import upload
from workers.sweeper import tidy

CUTS = int(os.environ.get("COVERSLIP_POWER_CUTS", "8"))


@pytest.fixture
def power(tmp_path):
    need("mkfs.xfs")
    with powered(tmp_path) as found:
        yield found


class Writer:
    """Uploads, publishes, releases and deletes without end; notes each thing once it was acknowledged."""

    def __init__(self, folder, produced):
        self.archive = Archive.open(Settings(data_dir=folder), with_vault=True)
        self.produced, self.random = produced, random.Random(1)
        self.promised = {}
        """uid → (offset, data)"""
        self.published = {}
        """sid → (zone, digest)"""
        self.gone = set()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping.is_set():
            data = self.random.randbytes(self.random.randrange(1, 200_000))
            self.receive(data)
            self.publish(upload(self.archive, data), data)

    def receive(self, data):
        """An unfinished upload, promised piece by piece; every other one is ended."""
        from datetime import UTC, datetime, timedelta

        catalog = self.archive.catalog
        found = catalog.create_upload("other", len(data) * 2, datetime.now(UTC) + timedelta(days=1), "x", {})
        generation = self.archive.begin_patch(found.uid)
        path = self.archive.storage.incoming(found.uid)
        target = Target(path, 0)
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            target.write(half)
            target.sync()
            catalog.advance(found.uid, generation, target.offset)
            with self.lock:
                self.promised[found.uid] = data[: target.offset]
        target.close()
        with self.lock:
            del self.promised[found.uid]
        self.archive.terminate_upload(found.uid, "other")
        with self.lock:
            self.gone.add(found.uid)

    def publish(self, sid, data):
        """A slide on its way to the public."""
        archive = self.archive
        claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
        with archive.storage.scratch(sid, claim.artefact) as draft:
            (draft / "slide.svs").write_bytes(data)
            archive.publish(claim, draft, self.produced)
        digest = hashlib.sha256(data).digest()
        with self.lock:
            self.published[sid] = (State.IN_REVIEW, digest)
        archive.transition(sid, State.RELEASED, "curator")
        with self.lock:
            self.published[sid] = (State.RELEASED, digest)

    def seen(self):
        """What was acknowledged up to now."""
        with self.lock:
            return dict(self.promised), dict(self.published), set(self.gone)


@pytest.mark.slow
def test_power_cuts(power, produced, record_property):
    """COVERSLIP_POWER_CUTS cuts while slides are received, published, released and uploads ended."""
    writer = Writer(power.disk / "data", produced)
    writer.thread.start()
    try:
        for number in range(CUTS):
            time.sleep(random.Random(number).uniform(0.05, 0.5))
            promised, published, gone = writer.seen()
            with power.cut() as after:
                look(after / "data", promised, published, gone)
    finally:
        writer.stopping.set()
        writer.thread.join()
        writer.archive.close()
    assert len(published) > CUTS / 4
    record_property("published", len(published))


def look(folder, promised, published, gone):
    """The installation as it starts again."""
    archive = Archive.open(Settings(data_dir=folder), with_vault=True)
    try:
        tidy(archive)
        for uid, data in promised.items():
            row = archive.catalog.upload(uid)
            if row.state == "open":  # else the end of it was written before the cut and noted after
                assert row.offset >= len(data)
                assert archive.storage.incoming(uid).read_bytes()[: len(data)] == data
        for sid, (state, digest) in published.items():
            slide = archive.catalog.slide(sid)
            assert slide.state in (state, State.RELEASED)
            clean = archive.where_is(slide) / "slide.svs"
            assert hashlib.sha256(clean.read_bytes()).digest() == digest
        for uid in gone:
            assert archive.catalog.upload(uid).state == "terminated"
            assert not archive.storage.incoming(uid).exists()
        for sid, artefact in archive.storage.artefacts_in(Zone.REVIEW):  # the attempt that was cut may lie there
            assert archive.catalog.slide(sid).artefact == artefact or archive.catalog.is_running(sid, artefact)
        for sid, artefact in archive.storage.artefacts_in(Zone.RELEASED):
            assert archive.catalog.slide(sid).artefact == artefact
    finally:
        archive.close()
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def produced():
    """The numbers of some clean slide."""
    from tests.faults.crashing import PRODUCED

    return PRODUCED
