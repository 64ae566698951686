"""A catalogue from a backup, or of another archive: nothing it never heard of is deleted before somebody says so."""

import argparse
import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from coverslip.archive import bucket_arrivals, tidying
from coverslip.archive.archive import Archive
from coverslip.archive.frames import FRAME
from coverslip.archive.states import State
from coverslip.archive.strangers import Kind, strangers
from coverslip.errors import StateConflict
from coverslip.settings import Settings
from tests.s3_servers import below, settings_of
from workers import desk
from workers.sweeper import tidy

DAY = timedelta(days=1)
PART = 4 * FRAME
BYTES = b"an original, " * (2 * PART // 13)
SENT = PART + 100
"""In a bucket a part and a piece."""


@pytest.fixture(params=["folder", "bucket"])
def site(request, tmp_path, monkeypatch, sqlite_tables):
    """Opens the archive of one place with whatever catalogue lies there; what is opened is closed."""
    monkeypatch.setattr(bucket_arrivals, "PART", PART)
    where = {}
    if request.param == "bucket":
        where = settings_of(below(request.getfixturevalue("s3_server")("nanio"), f"site/{secrets.token_hex(8)}"))
    opened = []

    def at(catalogue="catalogue"):
        path = tmp_path / f"{catalogue}.sqlite"
        if not path.exists():
            shutil.copyfile(sqlite_tables, path)
        settings = Settings(data_dir=tmp_path / "data", database_url=f"sqlite:///{path}", **where)
        opened.append(Archive.open(settings, with_vault=True))
        return opened[-1]

    yield at
    for archive in opened:
        archive.close()


def arriving(archive):
    """An upload of which some bytes are promised."""
    upload = archive.catalog.create_upload("owner", len(BYTES), datetime.now(UTC) + DAY, "x.svs", {})
    send(archive, upload.uid, BYTES[:SENT])
    return upload.uid


def send(archive, uid, data):
    writer = archive.writer(archive.catalog.upload(uid), archive.begin_patch(uid))
    writer.write(data)
    writer.keep(writer.mark())
    writer.close()


def published(archive, produced, state):
    """A slide in review or released."""
    uid = arriving(archive)
    send(archive, uid, BYTES[SENT:])
    sid = archive.finish_upload(archive.catalog.upload(uid), "strict", "default", str)
    claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
    with archive.storage.scratch(claim.sid, claim.artefact) as draft:
        (draft / "slide.svs").write_bytes(BYTES)
        archive.publish(claim, draft, produced)
    if state is State.RELEASED:
        archive.transition(sid, state, "curator")
    return sid


def tidied(archive):
    """Everything anybody ever deletes, twice, a week later."""
    later = datetime.now(UTC) + 7 * DAY
    archive.catalog._now = lambda: later
    for _ in range(2):
        tidying.collect(archive, later)
        tidy(archive)
        later += DAY


@pytest.fixture
def restored(site, tmp_path, produced):
    """(the archive as it was, as it is with an older catalogue): slides and an upload came after the backup."""
    before = site()
    kept = published(before, produced, State.RELEASED)
    with (
        closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as now,
        closing(sqlite3.connect(tmp_path / "backup.sqlite")) as backup,
    ):
        now.backup(backup)
    new = [published(before, produced, state) for state in (State.IN_REVIEW, State.RELEASED)]
    return before, site("backup"), kept, new, arriving(before)


def everything(archive, sids, uid):
    """What an installation promised of them, read again."""
    slides = [archive.catalog.slide(sid) for sid in sids]
    found = [archive.file(slide, "slide.svs").read(len(BYTES), 0) for slide in slides]
    found += [b"".join(archive.original(slide.uid).pieces()) for slide in slides]
    send(archive, uid, BYTES[SENT:])
    sid = archive.finish_upload(archive.catalog.upload(uid), "strict", "default", str)
    return [*found, b"".join(archive.original(archive.catalog.slide(sid).uid).pieces())]


@pytest.mark.parametrize("catalogue", ["backup", "empty"])
def test_nothing_is_lost_to_a_catalogue_that_does_not_know_it(restored, site, catalogue):
    """Tidying beside the files of a newer one, or with a catalogue of no files at all, deletes nothing."""
    before, _, kept, new, uid = restored
    tidied(site(catalogue))
    assert everything(before, [kept, *new], uid) == [BYTES] * 7


def test_strangers_are_named_and_deleted_on_demand(restored):
    """Not with another number than there are; what is known stays."""
    _, archive, kept, _, _ = restored
    kinds = [stranger.kind for stranger in strangers(archive)]
    assert sorted(kinds) == sorted([Kind.UPLOAD, Kind.ORIGINAL, Kind.ORIGINAL, Kind.CLEAN, Kind.CLEAN])

    def asked(count):
        return list(desk._strangers(archive, argparse.Namespace(delete=count)))

    assert asked(None)[-1] == "strangers: 5"
    with pytest.raises(StateConflict):
        asked(4)
    assert len(strangers(archive)) == 5
    assert asked(5)[-1] == "deleted: 5"
    assert asked(None) == ["strangers: 0"]
    slide = archive.catalog.slide(kept)
    assert archive.file(slide, "slide.svs").read(len(BYTES), 0) == BYTES
    assert b"".join(archive.original(slide.uid).pieces()) == BYTES


def test_a_stranger_s_draft_goes_a_day_later(site):
    """It can be made again, and holds an original's plain text."""
    archive = site()
    with archive.storage.opened("a" * 16, "b-1", [b"plain"]) as path:
        tidy(archive)
        assert path.read_bytes() == b"plain"
        old = (datetime.now(UTC) - 2 * DAY).timestamp()
        os.utime(path.parent, (old, old))
        tidy(archive)
        assert not path.exists()


def test_whoever_watches_the_log_is_told(restored):
    """Once an hour, by a number."""
    _, archive, *_ = restored
    with capture_logs() as said:
        tidy(archive)
        tidy(archive)
    assert [(line["log_level"], line["count"]) for line in said if line["event"] == "strangers"] == [("warning", 5)]
