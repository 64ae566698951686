"""A retry starts behind the last stage that was finished; complete pyramids are made when nothing else is to do."""

import secrets
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import tidying
from coverslip.archive.kinds import JobKind
from coverslip.archive.states import JobState, State
from coverslip.errors import StorageFull
from tests.s3_servers import below, settings_of
from workers.process import process, serve

UNTILEABLE = b"untileable, " * 100


def at(installation, station, work="copy"):
    """A station of an installation with settings of its own."""
    return replace(station(work), archive=installation.archive, settings=installation.settings)


def drafts(installation):
    """What lies in the scratch zone."""
    return sorted(path.name.partition(".")[2] for path in (installation.settings.data_dir / "tmp").iterdir())


def test_a_verified_slide_is_not_deidentified_again(installation, station, monkeypatch):
    """Publishing fails once; the next attempt, whose first stage would crash, only tiles and publishes."""
    archive = installation.archive
    publish = type(archive).publish

    def full(*_):
        raise StorageFull

    monkeypatch.setattr(type(archive), "publish", full)
    sid, job = installation.add_slide()
    process(job, station())
    assert installation.slide(sid).state is State.QUEUED
    assert len(drafts(installation)) == 1
    monkeypatch.setattr(type(archive), "publish", publish)
    process(job, station("segfault"))
    slide = installation.slide(sid)
    assert (slide.state, slide.artefact[-2:], slide.width) == (State.IN_REVIEW, "-2", 4000)
    assert installation.files() >= {f"review/{sid}/{slide.artefact}/slide.svs"}
    tidying.discard_drafts(archive)
    assert drafts(installation) == []


def test_a_replayed_letter_starts_there_too(installation, station):
    """Three attempts fail at the pyramid; the slide is a dead letter, and its replay begins behind the verifier."""
    sid, job = installation.add_slide(original=UNTILEABLE)
    process(job, station())
    for _ in range(2):
        process(job, station("segfault"))
    assert (installation.slide(sid).state, installation.slide(sid).code) == (State.QUARANTINED, "damaged-slide")
    tidying.discard_drafts(installation.archive)
    (letter,) = installation.archive.catalog.dead_letters()
    assert (letter.sid, letter.code, letter.attempts, letter.verified) == (sid, "damaged-slide", 3, True)
    installation.archive.catalog.replay(letter.job, "ops")
    assert installation.archive.catalog.dead_letters() == ()
    serve(station("segfault"))
    assert installation.slide(sid).code == "damaged-slide", "the pyramid's reason, not the crash of the first stage"


def test_a_kept_draft_that_changed_is_of_no_use(installation, station):
    """Files are held against the recorded digest; what differs is made anew."""
    sid, job = installation.add_slide(original=UNTILEABLE)
    process(job, station())
    (kept,) = (installation.settings.data_dir / "tmp").glob("*/slide.svs")
    kept.write_bytes(b"something else")
    process(job, station("segfault"))
    assert installation.slide(sid).code == "child-crashed"


def test_a_worker_told_to_stop_gives_back_at_the_next_stage(installation, station):
    """At once, with what was verified: the next worker only tiles."""
    sid, job = installation.add_slide()
    process(job, replace(station(), is_stopping=lambda: True))
    assert installation.slide(sid).state is State.QUEUED
    assert installation.archive.catalog.job(job).attempts == 0
    process(job, station("segfault"))
    assert installation.slide(sid).state is State.IN_REVIEW


@pytest.fixture(params=["folder", "bucket"])
def place(request):
    """Where clean slides lie, as settings."""
    if request.param == "folder":
        return {}
    return settings_of(below(request.getfixturevalue("s3_server")("nanio"), f"stages/{secrets.token_hex(8)}"))


def index_of(installation, slide):
    """The bytes of a slide's index."""
    stored = installation.archive.file(slide, slide.index)
    return stored.read(stored.size, 0)


def test_a_complete_pyramid_replaces_the_one_in_review(install, station, place):
    """A job of its own, after everything else; the slide stays where it is, its version says that it changed."""
    installation = install(complete_pyramids=True, **place)
    sid, job = installation.add_slide()
    process(job, at(installation, station))
    before = installation.slide(sid)
    waiting, _ = installation.add_slide()
    serve(at(installation, station))
    assert installation.slide(waiting).state is State.IN_REVIEW, "a slide that waits comes first"
    serve(at(installation, station))
    after = installation.slide(sid)
    assert (after.state, after.artefact) == (State.IN_REVIEW, before.artefact)
    assert after.version > before.version
    (pyramid,) = [found for found in installation.archive.catalog.jobs(sid) if found.kind == JobKind.PYRAMID]
    assert pyramid.state is JobState.DONE
    assert index_of(installation, after) == b"complete"
    assert not list((installation.settings.data_dir / "tmp").glob("*.opened")), "the copy it was made from is gone"


def test_a_released_slide_keeps_its_index(install, station, place):
    """Addresses of a released slide carry its version: nothing may change under them."""
    installation = install(complete_pyramids=True, **place)
    sid, job = installation.add_slide()
    process(job, at(installation, station))
    installation.archive.transition(sid, State.RELEASED, "curator")
    before = installation.slide(sid)
    serve(at(installation, station))
    assert installation.slide(sid) == before
    assert [found.state for found in installation.archive.catalog.jobs(sid)] == [JobState.DONE, JobState.CANCELLED]


def test_a_slide_decided_about_while_it_is_tiled_keeps_its_index(install, station, place, monkeypatch):
    """The release comes first: what was made is thrown away, and nothing of it stays."""
    installation = install(complete_pyramids=True, **place)
    sid, job = installation.add_slide()
    process(job, at(installation, station))
    finish = installation.archive.catalog.finish_pyramid

    def too_late(claim, **options):
        installation.archive.transition(sid, State.RELEASED, "curator")
        finish(claim, **options)

    monkeypatch.setattr(installation.archive.catalog, "finish_pyramid", too_late)
    before = index_of(installation, installation.slide(sid))
    serve(at(installation, station))
    assert installation.slide(sid).state is State.RELEASED
    assert index_of(installation, installation.slide(sid)) == before
    if place:
        assert [each.name for each in installation.archive.clean.files(".pyramid")] == ["slide.pyramid"]


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
def test_an_index_in_a_bucket_that_is_of_no_use_goes_after_a_day(install, station, place, tmp_path):
    """The one a slide came with, and one whose record never came; never the one in use, nor one that is being made."""
    installation = install(complete_pyramids=True, **place)
    archive = installation.archive
    sid, job = installation.add_slide()
    process(job, at(installation, station))
    serve(at(installation, station))
    slide = installation.slide(sid)
    (tmp_path / "made").write_bytes(b"of an attempt that died")
    archive.clean.add(tmp_path / "made", sid, slide.artefact, "dead-1.pyramid")
    now = datetime.now(UTC)
    assert tidying.discard_indexes(archive, now - timedelta(hours=1)) == 0
    assert tidying.discard_indexes(archive, now + timedelta(hours=1)) == 2
    assert [each.name for each in archive.clean.files(".pyramid")] == [slide.index]
    assert index_of(installation, slide) == b"complete"


def test_a_cancel_is_heard_between_two_beats(install, station):
    """A heartbeat every quarter of a minute, a child that says nothing: cancelled within seconds."""
    installation = install(heartbeat=timedelta(seconds=30), lease=timedelta(seconds=60))
    sid, job = installation.add_slide()
    worker = threading.Thread(target=process, args=(job, at(installation, station, "hang")))
    worker.start()
    installation.until(lambda: installation.slide(sid).state is State.PROCESSING)
    time.sleep(1.5)
    begin = time.monotonic()
    installation.archive.catalog.cancel(job, "ops")
    worker.join(30)
    assert time.monotonic() - begin < 12
    assert installation.archive.catalog.job(job).state is JobState.CANCELLED
