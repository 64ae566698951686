"""Processes that end before every step of every protocol: the next one finds nothing half done and needs nobody."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import tidying
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.errors import OriginalPurged
from tests.faults import crashing
from tests.faults.forks import context
from tests.faults.weights import misweighed
from workers.sweeper import tidy

MANY = 40
"""No protocol has this many steps; the loop ends when a run comes through."""
PREPARED = {
    "upload": (),
    "terminate": (),
    "publish": ("upload",),
    "set_aside": ("upload",),
    "release": ("upload", "publish"),
    "withdraw": ("upload", "publish", "release"),
    "purge": ("upload", "publish", "release"),
    "erase": ("upload", "publish", "release", "withdraw"),
}
FEWEST = {
    "upload": 8,
    "terminate": 2,
    "publish": 8,
    "set_aside": 8,
    "release": 4,
    "withdraw": 4,
    "purge": 6,
    "erase": 8,
}
"""Steps there must be at least, or the loop looks at nothing."""


@pytest.fixture
def perform(tmp_path):
    """Runs a protocol in a process of its own; returns how it ended."""

    def run(protocol, step, late=False, folder="data"):
        process = context.Process(target=crashing.perform, args=(protocol, tmp_path / folder, step, late))
        process.start()
        process.join(300)
        return process.exitcode

    return run


def prepare(tmp_path, perform, protocol):
    """An installation in the state the protocol starts from."""
    archive = crashing.open_archive(tmp_path / "data")
    announced = archive.catalog.create_upload(
        "owner", len(crashing.DATA), datetime.now(UTC) + timedelta(days=1), "x", {}
    )
    if protocol == "terminate":
        archive.storage.incoming(announced.uid).write_bytes(crashing.DATA)
    archive.close()
    for before in PREPARED[protocol]:
        assert perform(before, 0) == crashing.REACHED_END
    return announced.uid


@pytest.fixture
def after_crashes(tmp_path, perform):
    """Crashes a protocol at each of its steps from the same start, restarts it, and hands over what is then there."""

    def walk(protocol):
        uid = prepare(tmp_path, perform, protocol)
        start, here = tmp_path / "start", tmp_path / "data"
        here.rename(start)
        for step in range(1, MANY):
            _copy(start, here)
            ended = perform(protocol, step)
            crashed = crashing.open_archive(here, late=True)
            assert not misweighed(crashed.catalog)
            yield step, uid, crashed, lambda: perform(protocol, 0, late=True)
            assert not misweighed(crashed.catalog)
            crashed.close()
            assert _is_sound(here)
            here.rename(tmp_path / f"after-{step}")
            if ended == crashing.REACHED_END:
                assert step > FEWEST[protocol]
                return
            assert ended == crashing.CRASHED
        raise AssertionError("the protocol never came to its end")

    return walk


def _copy(source, target):
    import shutil

    shutil.copytree(source, target)


def _is_sound(folder):
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def original(archive, uid):
    """An encrypted original's plain text."""
    return b"".join(archive.original(uid).pieces())


def files(archive, zone):
    """Every file of a zone, half-written ones too."""
    return [path for path in archive.storage.zone(zone).rglob("*") if path.is_file()]


def test_an_upload(after_crashes):
    """What was promised is there; going on from there gives one slide, whole, encrypted once and nowhere in plain."""
    for _, uid, archive, again in after_crashes("upload"):
        row = archive.catalog.upload(uid)
        path = archive.storage.incoming(uid)
        there = original(archive, uid) if row.sid else path.read_bytes() if path.exists() else b""
        assert there[: row.offset] == crashing.DATA[: row.offset]
        assert len(there) >= row.offset
        assert again() == crashing.REACHED_END
        (slide,) = archive.catalog.slides().slides
        assert len(archive.catalog.jobs(slide.sid)) == 1
        tidy(archive)
        assert not path.exists()
        tidying.discard_originals(archive, datetime.now(UTC) + timedelta(hours=1))
        assert len(files(archive, Zone.ORIGINALS)) == 1
        assert original(archive, uid) == crashing.DATA


def test_an_end_of_an_upload(after_crashes):
    """While the row is open its bytes are there; once it is not they are gone, after tidying at the latest."""
    for _, uid, archive, again in after_crashes("terminate"):
        if archive.catalog.upload(uid).state == "open":
            assert archive.storage.incoming(uid).read_bytes() == crashing.DATA
        assert again() == crashing.REACHED_END
        tidy(archive)
        assert archive.catalog.upload(uid).state == "terminated"
        assert not archive.storage.incoming(uid).exists()


def test_a_publication(after_crashes):
    """Either nothing or all of it; the next attempt makes one slide and leaves nothing else lying about."""
    for _, _, archive, again in after_crashes("publish"):
        assert again() == crashing.REACHED_END
        tidy(archive)
        (slide,) = archive.catalog.slides().slides
        assert slide.state is State.IN_REVIEW
        assert (archive.where_is(slide) / "slide.svs").read_bytes() == crashing.DATA
        assert archive.storage.artefacts_in(Zone.REVIEW) == ((slide.sid, slide.artefact),)
        assert [event.after for event in archive.catalog.events(slide.sid)].count("in_review") == 1
        assert not list(archive.storage.zone(Zone.TMP).iterdir())


def test_a_quarantine(after_crashes):
    """The record says quarantined: then the findings are closed away, and the original is where it was."""
    for _, uid, archive, again in after_crashes("set_aside"):
        assert again() == crashing.REACHED_END
        tidy(archive)
        (slide,) = archive.catalog.slides().slides
        assert slide.state is State.QUARANTINED
        closed = archive.storage.zone(Zone.QUARANTINE)
        assert sorted(path.name for path in closed.iterdir()) == [f"{uid}.json"]
        assert original(archive, uid) == crashing.DATA
        assert not archive.storage.incoming(uid).exists()


@pytest.mark.parametrize(("protocol", "zone"), [("release", Zone.RELEASED), ("withdraw", Zone.REVIEW)])
def test_a_curator_s_move(after_crashes, protocol, zone):
    """Nothing is public that the record does not call released, at any moment; then record and folder agree."""
    for _, _, archive, again in after_crashes(protocol):
        (slide,) = archive.catalog.slides().slides
        if slide.state is not State.RELEASED:
            assert archive.storage.artefacts_in(Zone.RELEASED) == ()
        assert again() == crashing.REACHED_END
        tidy(archive)
        (slide,) = archive.catalog.slides().slides
        assert archive.storage.artefacts_in(zone) == ((slide.sid, slide.artefact),)
        assert (archive.where_is(slide) / "slide.svs").read_bytes() == crashing.DATA


def test_a_purge(after_crashes):
    """Its key goes first: at every moment the original is whole or nobody can read it; in the end nothing is left."""
    wrapped = b""
    for _, uid, archive, again in after_crashes("purge"):
        (slide,) = archive.catalog.slides().slides
        if archive.catalog.is_purged(uid):
            with pytest.raises(OriginalPurged):
                archive.original(uid)
        else:
            wrapped = archive.catalog.sealed(uid).wrapped
            assert original(archive, uid) == crashing.DATA
        assert again() == crashing.REACHED_END
        tidy(archive)
        assert files(archive, Zone.ORIGINALS) == files(archive, Zone.INCOMING) == []
        assert [event.action for event in archive.catalog.events(slide.sid)].count("original-purged") == 1
        assert (archive.where_is(slide) / "slide.svs").read_bytes() == crashing.DATA
        stored = b"".join(path.read_bytes() for path in archive.storage.root.glob("catalogue.sqlite*"))
        assert wrapped
        assert wrapped not in stored


def test_a_purge_of_a_slide_that_is_over(after_crashes):
    """Its record lets go of the clean files first: in the end nothing is left of either."""
    for _, uid, archive, again in after_crashes("erase"):
        (slide,) = archive.catalog.slides().slides
        assert archive.catalog.is_purged(uid) == (slide.artefact is None)
        assert again() == crashing.REACHED_END
        tidy(archive)
        tidying.collect(archive, datetime.now(UTC) + timedelta(days=2))  # half deleted is deleted a day later
        for zone in (Zone.ORIGINALS, Zone.INCOMING, Zone.REVIEW, Zone.RELEASED):
            assert files(archive, zone) == [], zone
        assert [event.action for event in archive.catalog.events(slide.sid)].count("original-purged") == 1
