"""Power cuts at any moment: everything acknowledged before is there afterwards, whole."""

import hashlib
import os
import random
import sqlite3
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.settings import Settings
from tests.faults.crashing import PRODUCED
from tests.faults.kernel import need
from tests.faults.power import powered
from tests.faults.rig import upload
from workers.sweeper import tidy

CUTS = int(os.environ.get("COVERSLIP_POWER_CUTS", "100"))
PATIENCE = 180.0
"""Seconds within which the writer gets anything acknowledged on the busiest machine."""
AHEAD = 6
"""Things the writer does from one cut to the next, or a slow machine's disk would be full before the last cut."""


@pytest.fixture
def power(tmp_path):
    need("mkfs.xfs")
    with powered(tmp_path) as found:
        yield found


class Writer:
    """Uploads, publishes, releases, purges and deletes without end; notes each thing once it was acknowledged."""

    def __init__(self, folder):
        self.archive = Archive.open(Settings(data_dir=folder), with_vault=True)
        self.random = random.Random(1)
        self.promised = {}
        """uid → (offset, data)"""
        self.published = {}
        """sid → (step, zone, digest)"""
        self.gone = {}
        """uid → step"""
        self.purged = {}
        """uid → step"""
        self.stopping = False
        self.moved = threading.Condition()
        self.steps, self.allowed = 0, 0
        """Things acknowledged so far, and how many there may be."""
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.stopping:
                data = self.random.randbytes(self.random.randrange(1, 100_000))
                self.receive(data)
                self.publish(upload(self.archive, data), data)
        except BaseException as error:
            self.error = error
            raise

    def wait(self, steps):
        """Return once that many more things were acknowledged: how fast the disk is must not decide what is tested."""
        with self.moved:
            goal = self.steps + steps
            self.allowed = self.steps + AHEAD
            self.moved.notify_all()
            assert self.moved.wait_for(lambda: self.steps >= goal or self.error, PATIENCE), "the writer stands still"
        assert self.error is None

    @contextmanager
    def noted(self):
        """What is noted in the block counts as acknowledged."""
        with self.moved:
            yield
            self.steps += 1
            self.moved.notify_all()
            self.moved.wait_for(lambda: self.steps < self.allowed or self.stopping)

    def stop(self):
        """End it."""
        with self.moved:
            self.stopping = True
            self.moved.notify_all()
        self.thread.join()
        self.archive.close()

    def receive(self, data):
        """An unfinished upload, promised piece by piece; every other one is ended."""
        catalog = self.archive.catalog
        found = catalog.create_upload("other", len(data) * 2, datetime.now(UTC) + timedelta(days=1), "x", {})
        target = self.archive.writer(found, self.archive.begin_patch(found.uid))
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            target.write(half)
            target.keep(target.mark())
            with self.noted():
                self.promised[found.uid] = data[: target.offset]
        target.close()
        with self.moved:
            del self.promised[found.uid]
        self.archive.terminate_upload(found.uid, "other")
        with self.noted():
            self.gone[found.uid] = self.steps

    def publish(self, sid, data):
        """A slide on its way to the public; then its original goes."""
        archive = self.archive
        claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
        with archive.storage.scratch(sid, claim.artefact) as draft:
            (draft / "slide.svs").write_bytes(data)
            archive.publish(claim, draft, PRODUCED)
        digest = hashlib.sha256(data).digest()
        with self.noted():
            self.published[sid] = (self.steps, State.IN_REVIEW, digest)
        archive.transition(sid, State.RELEASED, "curator")
        with self.noted():
            self.published[sid] = (self.steps, State.RELEASED, digest)
        archive.purge(sid, "curator", "asked to")
        with self.noted():
            self.purged[archive.catalog.slide(sid).uid] = self.steps

    def seen(self, since):
        """What was acknowledged up to now, but for what ended before step `since`."""
        with self.moved:
            published = {sid: entry for sid, entry in self.published.items() if entry[0] >= since}
            gone, purged = ([uid for uid, at in each.items() if at >= since] for each in (self.gone, self.purged))
            return dict(self.promised), published, gone, purged


@pytest.mark.slow(60)
def test_power_cuts(power, record_property):
    """COVERSLIP_POWER_CUTS cuts while slides are received, published, released, originals purged and uploads ended."""
    chance, writer = random.Random(2), Writer(power.disk / "data")
    writer.thread.start()
    try:
        for number in range(CUTS):
            writer.wait(chance.randrange(4))
            time.sleep(chance.uniform(0, 0.03))  # anywhere between two acknowledgements
            everything = number % 20 == 0 or number == CUTS - 1
            seen = writer.seen(0 if everything else writer.steps - 4 * AHEAD)
            with power.cut() as after:
                look(after / "data", *seen)
    finally:
        writer.stop()
    assert writer.error is None
    assert len(writer.published) > CUTS / 8
    record_property("published", len(writer.published))


def look(folder, promised, published, gone, purged):
    """The installation as it starts again."""
    archive = Archive.open(Settings(data_dir=folder), with_vault=True)
    try:
        tidy(archive)
        for uid, data in promised.items():
            row = archive.catalog.upload(uid)
            if row.state == "open":  # else the end of it was written before the cut and noted after
                assert row.offset >= len(data)
                assert archive.storage.incoming(uid).read_bytes()[: len(data)] == data
        for sid, (_, state, digest) in published.items():
            slide = archive.catalog.slide(sid)
            assert slide.state in (state, State.RELEASED)
            assert state in [event.after for event in archive.catalog.events(sid)]
            clean = archive.where_is(slide) / "slide.svs"
            assert hashlib.sha256(clean.read_bytes()).digest() == digest
        for uid in gone:
            assert archive.catalog.upload(uid).state == "terminated"
            assert not archive.storage.incoming(uid).exists()
        for uid in purged:
            assert archive.catalog.is_purged(uid)
            assert list(archive.originals.store.names(uid)) == []
        for sid, artefact in archive.storage.artefacts_in(Zone.REVIEW):  # the attempt that was cut may lie there
            assert archive.catalog.slide(sid).artefact == artefact or archive.catalog.is_running(sid, artefact)
        for sid, artefact in archive.storage.artefacts_in(Zone.RELEASED):
            assert archive.catalog.slide(sid).artefact == artefact
    finally:
        archive.close()
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
