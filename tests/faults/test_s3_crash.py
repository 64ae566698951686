"""Processes that end before any step of a protocol that touches a bucket: the next one finds nothing half done."""

import itertools
import os
import secrets
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import queueing, slides, tidying
from coverslip.archive.kinds import JobKind
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.archive.tidying import ORPHAN_AGE
from coverslip.archive.turns import Priority
from coverslip.errors import OriginalPurged
from tests.faults import crashing
from tests.faults.forks import context
from tests.s3_servers import below, client, left_behind, settings_of
from workers.sweeper import tidy

STRIDE = int(os.environ.get("COVERSLIP_CRASH_STRIDE", "5"))
"""Every so many steps one is looked at; `make chaos` looks at all."""
MANY = 60
"""No protocol has this many steps; the loop ends when a run comes through."""
PREPARED = {
    "halves": (),
    "terminate": ("half",),
    "publish": ("upload",),
    "pyramid": ("upload", "publish"),
    "purge": ("upload", "publish", "release"),
}
FEWEST = {"halves": 24, "terminate": 5, "publish": 5, "pyramid": 5, "purge": 3}
"""Steps there must be at least, or the loop looks at nothing."""


class Place:
    """One installation: a folder and a prefix, to be prepared, crashed and looked at."""

    def __init__(self, folder, bucket):
        self.folder, self.bucket = folder, bucket
        self.settings = settings_of(bucket)

    def perform(self, protocol, step, late=False):
        process = context.Process(target=crashing.perform, args=(protocol, self.folder, step, late, self.settings))
        process.start()
        process.join(300)
        return process.exitcode

    def open(self, late=True):
        return crashing.open_archive(self.folder, late=late, bucket=self.settings)

    def again(self, protocol):
        assert self.perform(protocol, 0, late=True) == crashing.REACHED_END

    def settle(self, archive):
        """Everything anybody ever deletes, a day later."""
        tidy(archive)
        later = datetime.now(UTC) + ORPHAN_AGE + timedelta(hours=1)
        archive.catalog._now = lambda: later
        tidying.collect(archive, later)
        tidying.discard_ended(archive)

    def copied_to(self, other):
        """The same somewhere else; what was begun and is not complete stays behind."""
        shutil.copytree(self.folder, other.folder)
        s3 = client(self.bucket)
        listed = s3.list_objects_v2(Bucket=self.bucket.name, Prefix=self.bucket.prefix).get("Contents", ())
        for key in (found["Key"] for found in listed):
            body = s3.get_object(Bucket=self.bucket.name, Key=key)["Body"].read()
            there = other.bucket.prefix + key[len(self.bucket.prefix) :]
            s3.put_object(Bucket=self.bucket.name, Key=there, Body=body)


@pytest.fixture
def after_crashes(tmp_path, s3_server, monkeypatch):
    """Crashes a protocol at each of its steps from the same start, and hands over what is then there."""
    monkeypatch.setattr(crashing.bucket_arrivals, "PART", crashing.SMALL_PART)
    numbers = itertools.count()

    def place():
        return Place(tmp_path / f"data-{next(numbers)}", below(s3_server("nanio"), f"crash/{secrets.token_hex(8)}"))

    def prepared(protocol):
        start = place()
        archive = start.open(late=False)
        until = datetime.now(UTC) + timedelta(days=1)
        uid = archive.catalog.create_upload("owner", len(crashing.DATA), until, "x", {}).uid
        archive.close()
        for before in PREPARED[protocol]:
            assert start.perform(before, 0) == crashing.REACHED_END
        if protocol == "pyramid":
            queue_pyramid(start)
        return start, uid

    def walk(protocol):
        start, uid = prepared(protocol)
        for step in range(1, MANY, STRIDE):
            here = place()
            if protocol == "terminate":  # what was begun in a bucket cannot be copied
                here, uid = prepared(protocol)
            else:
                start.copied_to(here)
            ended = here.perform(protocol, step)
            crashed = here.open()
            yield here, uid, crashed
            crashed.close()
            shutil.rmtree(here.folder)
            if ended == crashing.REACHED_END:
                assert step > FEWEST[protocol]
                return
            assert ended == crashing.CRASHED
        raise AssertionError("the protocol never came to its end")

    return walk


def queue_pyramid(place):
    archive = place.open(late=False)
    (slide,) = archive.catalog.slides().slides
    with archive.catalog._db.write() as session:
        row = slides.locked(session, slide.sid)
        queueing.add(session, datetime.now(UTC), row, JobKind.PYRAMID, Priority.LATER)
    archive.close()


def original(archive, uid):
    """An encrypted original's plain text."""
    return b"".join(archive.original(uid).pieces())


def published(archive):
    """Every clean file there is, by slide, artefact and name."""
    return sorted((each.sid, each.artefact, each.name) for each in archive.clean.files(""))


def test_an_upload(after_crashes):
    """What was promised is there for whoever comes next; going on gives one slide, whole, and nothing else stays."""
    for here, uid, archive in after_crashes("halves"):
        row = archive.catalog.upload(uid)
        if row.sid is None:
            assert list(archive.catalog.slides().slides) == []
            promised = archive.catalog.arrivals.get(uid)
            covered = 0 if promised is None else max([promised.stop, *(piece.stop for piece in promised.pieces)])
            assert covered == row.offset
        here.again("upload")
        (slide,) = archive.catalog.slides().slides
        assert len(archive.catalog.jobs(slide.sid)) == 1
        assert original(archive, uid) == crashing.DATA
        here.settle(archive)
        assert [kept.name for kept in archive.originals.store.names()] == [archive.catalog.sealed(uid).name]
        assert left_behind(here.bucket) == []
        assert original(archive, uid) == crashing.DATA


def test_an_end_of_an_upload(after_crashes):
    """While the record is open everything it promises is there; afterwards nothing is, once somebody tidied."""
    for here, uid, archive in after_crashes("terminate"):
        if archive.catalog.upload(uid).state == "open":
            assert archive.catalog.arrivals.get(uid).pieces
        here.again("terminate")
        tidy(archive)
        assert archive.catalog.upload(uid).state == "terminated"
        assert archive.catalog.arrivals.get(uid) is None
        assert list(archive.originals.store.names()) == []
        assert left_behind(here.bucket) == []


def test_a_publication(after_crashes):
    """Nothing is to be seen before the record says so; the next attempt makes one slide and leaves nothing else."""
    for here, _, archive in after_crashes("publish"):
        (slide,) = archive.catalog.slides().slides
        assert (slide.artefact is None) == (slide.state is not State.IN_REVIEW)
        here.again("publish")
        (slide,) = archive.catalog.slides().slides
        here.settle(archive)
        assert slide.state is State.IN_REVIEW
        assert archive.file(slide, "slide.svs").read(len(crashing.DATA) + 1, 0) == crashing.DATA
        assert published(archive) == [(slide.sid, slide.artefact, "slide.svs")]
        assert [event.after for event in archive.catalog.events(slide.sid)].count("in_review") == 1
        assert archive.storage.drafts() == ()
        assert left_behind(here.bucket) == []


def test_a_complete_pyramid(after_crashes):
    """The slide keeps an index that is whole at any moment; in the end it has one complete one and no other."""
    for here, _, archive in after_crashes("pyramid"):
        (slide,) = archive.catalog.slides().slides
        if slide.index_name is not None:
            assert archive.file(slide, slide.index).size == len(crashing.DATA)
        here.again("pyramid")
        (slide,) = archive.catalog.slides().slides
        here.settle(archive)
        assert slide.index_name is not None
        assert archive.file(slide, slide.index).read(len(crashing.DATA) + 1, 0) == crashing.DATA
        names = [name for _, _, name in published(archive)]
        assert names == sorted([slide.index, "slide.svs"])
        assert archive.storage.artefacts_in(Zone.REVIEW) == ()


def test_a_purge(after_crashes):
    """At every moment the original is whole or nobody can read it; in the end no byte and no key of it is there."""
    wrapped = b""
    for here, uid, archive in after_crashes("purge"):
        if archive.catalog.is_purged(uid):
            with pytest.raises(OriginalPurged):
                archive.original(uid)
        else:
            wrapped = archive.catalog.sealed(uid).wrapped
            assert original(archive, uid) == crashing.DATA
        here.again("purge")
        here.settle(archive)
        (slide,) = archive.catalog.slides().slides
        assert list(archive.originals.store.names()) == []
        assert [event.action for event in archive.catalog.events(slide.sid)].count("original-purged") == 1
        assert archive.file(slide, "slide.svs").read(len(crashing.DATA) + 1, 0) == crashing.DATA
        stored = b"".join(path.read_bytes() for path in here.folder.glob("catalogue.sqlite*"))
        assert wrapped
        assert wrapped not in stored
