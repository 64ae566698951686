"""One job from claim to verdict, in this process with a real confined child."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from coverslip.archive.states import JobState, State
from coverslip.errors import StorageAway, StorageFailed, StorageFull
from workers.heartbeat import Heartbeat
from workers.process import process, serve
from workers.station import Station


def test_a_slide_ends_in_review(installation, station):
    """Its files stand in the review zone under the artefact's name, the draft is gone, the original stays encrypted."""
    sid, job = installation.add_slide()
    process(job, station())
    slide = installation.slide(sid)
    assert slide.state is State.IN_REVIEW
    assert installation.files() == {
        f"review/{sid}/{slide.artefact}/{name}" for name in ("slide.svs", "slide.pyramid", "slide.certificate.json")
    }
    assert b"".join(installation.archive.original(slide.uid).pieces()) == installation.original
    for path in installation.settings.data_dir.rglob("*"):
        assert (
            not path.is_file()
            or path.parent.name == slide.artefact
            or installation.original[:16] not in path.read_bytes()
        )


def test_a_slide_ends_in_review_in_a_bucket(install, zygote, s3_server):
    """The same, with originals and clean slides elsewhere: on this machine nothing is left of either."""
    bucket = s3_server("ministack")
    installation = install(
        storage=f"s3://{bucket.name}/site",
        s3_endpoint=bucket.endpoint,
        s3_key_id=bucket.key_id,
        s3_secret_key=bucket.secret,
    )
    sid, job = installation.add_slide()
    work = "tests.workers.canaries:copy"
    process(job, Station("worker-a@test", installation.archive, installation.settings, zygote, work))
    slide = installation.slide(sid)
    assert slide.state is State.IN_REVIEW
    assert installation.files() == set()
    found = installation.archive.file(slide, "slide.svs")
    assert found.path is None
    assert found.read(found.size, 0) == installation.original
    for path in installation.settings.data_dir.rglob("*"):
        assert not path.is_file() or installation.original[:16] not in path.read_bytes()


def test_the_child_is_told_what_the_slide_was_called(installation, station):
    """The original lies under a random name, so what the client called it has to be said; its opening is on record."""
    sid, job = installation.add_slide(
        "Kowalczyk Anna/S26-48213.svs", metadata={"policy": "strict", "said[0]": "MRN 7712"}
    )
    process(job, station("list_words"))
    slide = installation.slide(sid)
    told = json.loads(installation.archive.file(slide, "words.json").path.read_text())
    assert told == ["Kowalczyk Anna", "S26-48213", "Kowalczyk Anna/S26-48213.svs", "MRN 7712"]
    opened = [event.actor for event in installation.archive.catalog.events(sid) if event.action == "vault-opened"]
    assert opened == ["worker-a@test"]


def test_a_second_hint_does_nothing(installation, station):
    """A doubled message finds the job done."""
    sid, job = installation.add_slide()
    process(job, station())
    before = installation.archive.catalog.events(sid)
    process(job, station())
    assert installation.archive.catalog.events(sid) == before


def test_a_doubtful_slide_is_closed_away_with_its_findings(installation, station):
    """The report lies in the closed zone; nothing is in review."""
    sid, job = installation.add_slide()
    process(job, station("doubt"))
    slide = installation.slide(sid)
    assert (slide.state, slide.code, slide.where) == (State.QUARANTINED, "unknown-structure", "ifd[3]")
    assert installation.files() == {f"phi/quarantine/{slide.uid}.json"}


def test_a_file_that_is_no_slide_is_refused(installation, station):
    """Rejection carries the code for the receipt."""
    sid, job = installation.add_slide()
    process(job, station("decline"))
    assert (installation.slide(sid).state, installation.slide(sid).code) == (State.REJECTED, "unsupported-slide")


@pytest.mark.parametrize(
    ("work", "code"),
    [(work, "child-crashed") for work in ("segfault", "bug", "lie", "pretend", "leave_folder", "leave_link")],
)
def test_a_poison_slide_is_tried_three_times(installation, station, work, code):
    """Then it is quarantined; the process that supervises never dies and nothing half done remains."""
    sid, job = installation.add_slide()
    for _ in range(3):
        assert installation.slide(sid).state is State.QUEUED
        process(job, station(work))
    assert (installation.slide(sid).state, installation.slide(sid).code) == (State.QUARANTINED, code)
    assert installation.files() == set()


@pytest.mark.parametrize("error", [StorageFull, StorageFailed, StorageAway])
def test_storage_that_fails_us_is_no_fault_of_the_slide(installation, station, monkeypatch, error):
    """However often: no attempt is spent, no file is left, and it goes on when storage does."""

    def fail(*_):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(type(installation.archive.storage), "publish", fail)
        sid, job = installation.add_slide()
        for _ in range(5):
            process(job, station())
        assert (installation.slide(sid).state, installation.slide(sid).code) == (State.QUEUED, error.code)
        assert installation.archive.catalog.job(job).attempts == 0
        assert installation.files() == set()
    process(job, station())
    assert installation.slide(sid).state is State.IN_REVIEW


def test_a_child_s_word_about_storage_is_checked(installation, station):
    """One that complains of a disk on which nothing is wrong is tried three times, and the slide is not blamed."""
    sid, job = installation.add_slide()
    for _ in range(3):
        process(job, station("complain"))
    assert (installation.slide(sid).state, installation.slide(sid).code) == (State.FAILED, "storage-full")


def test_what_nobody_foresaw_counts_as_an_attempt(installation, station, monkeypatch):
    """A bug of ours may not make a job come back for ever."""

    def broken(*_):
        raise RuntimeError("SECRET")

    monkeypatch.setattr(type(installation.archive), "publish", broken)
    sid, job = installation.add_slide()
    for _ in range(3):
        process(job, station())
    assert (installation.slide(sid).state, installation.slide(sid).code) == (State.FAILED, "coverslip-error")


def test_being_told_to_stop_gives_the_slide_back(installation, station, monkeypatch):
    """A shutdown in mid-work is nobody's failure: queued again, no attempt spent."""

    def stop(*_):
        raise SystemExit

    monkeypatch.setattr(type(installation.archive), "publish", stop)
    sid, job = installation.add_slide()
    with pytest.raises(SystemExit):
        process(job, station())
    assert installation.slide(sid).state is State.QUEUED
    assert installation.archive.catalog.job(job).attempts == 0
    assert installation.files() == set()


def test_who_is_told_to_stop_begins_nothing(installation, station):
    """A hint that comes meanwhile is somebody else's."""
    sid, _ = installation.add_slide()
    before = installation.archive.catalog.events(sid)
    serve(replace(station(), is_stopping=lambda: True))
    assert installation.archive.catalog.events(sid) == before
    serve(station())
    assert installation.slide(sid).state is State.IN_REVIEW


def test_one_hint_is_enough_for_all_that_waits(installation, station):
    """The broker may be gone by then: what waits stands in the catalogue, in the order whose turn it is."""
    sids = [installation.add_slide()[0] for _ in range(3)]
    serve(station())
    ended = [installation.slide(sid) for sid in sids]
    assert {slide.state for slide in ended} == {State.IN_REVIEW}
    assert [slide.sid for slide in sorted(ended, key=lambda slide: slide.updated)] == sids


def test_who_is_told_to_stop_in_between_leaves_the_rest(installation, station):
    """The slide at hand is finished, the next one is not begun."""
    first, second = (installation.add_slide()[0] for _ in range(2))
    serve(replace(station(), is_stopping=lambda: installation.slide(first).state is State.IN_REVIEW))
    assert installation.slide(first).state is State.IN_REVIEW
    assert installation.slide(second).state is State.QUEUED


def test_a_machine_that_cannot_do_one_is_not_given_the_next(installation, station, monkeypatch):
    """Storage that is away would be away for all that waits: the rest stays in the queue, until another hint."""

    def away(*_):
        raise StorageAway

    sids = [installation.add_slide()[0] for _ in range(2)]
    before = installation.archive.catalog.events(sids[1])
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(installation.archive, "plain_original", away)
        serve(station())
    assert installation.archive.catalog.events(sids[1]) == before
    installation.until(lambda: serve(station()) or {installation.slide(sid).state for sid in sids} == {State.IN_REVIEW})


def test_a_bad_slide_does_not_keep_the_next_one_waiting(installation, station):
    """What is no fault of ours ends nobody's turn."""
    sids = [installation.add_slide()[0] for _ in range(2)]
    serve(station("segfault"))
    assert State.QUEUED not in {installation.slide(sid).state for sid in sids}


def test_a_short_job_needs_no_beat(installation, station, monkeypatch):
    """A claim begins with a lease of full length: its first beat is due later, and costs a transaction each."""
    beats = []
    monkeypatch.setattr(installation.archive.catalog, "heartbeat", lambda *said: beats.append(said))
    claim = installation.archive.catalog.claim(installation.add_slide()[1], "worker-a@test")
    with Heartbeat(installation.archive.catalog, claim, every=timedelta(seconds=0.5), lease=timedelta(minutes=1)):
        assert not beats
        installation.until(lambda: beats)


def test_cancelling_stops_the_child(installation, station):
    """Within a beat or two, not at the end."""
    sid, job = installation.add_slide()
    worker = threading.Thread(target=process, args=(job, station("hang")))
    worker.start()
    installation.until(lambda: installation.slide(sid).state is State.PROCESSING)
    installation.archive.catalog.cancel(job, "ops")
    worker.join(60)
    assert not worker.is_alive(), "the child never ends by itself"
    assert (installation.slide(sid).state, installation.slide(sid).code) == (State.FAILED, "cancelled")
    assert installation.archive.catalog.job(job).state is JobState.CANCELLED


def test_a_zombie_publishes_nothing(installation, station, monkeypatch):
    """A worker that slept past its lease wakes with its slide done; the other's work stands alone."""
    sid, job = installation.add_slide()
    archive = installation.archive
    publish = type(archive).publish

    def sleep_then_publish(self, claim, draft, produced):
        monkeypatch.setattr(type(archive), "publish", publish)
        with self.catalog._db.write() as session:  # as if the machine had been asleep: the lease is over
            from coverslip.archive.models import EPOCH, JobRow

            session.get(JobRow, job).lease = EPOCH
        process(job, station(name="worker-b@test"))
        return publish(self, claim, draft, produced)

    monkeypatch.setattr(type(archive), "publish", sleep_then_publish)
    process(job, station(name="worker-a@test"))
    slide = installation.slide(sid)
    assert slide.artefact.endswith("-2")
    assert {name.split("/")[2] for name in installation.files()} == {slide.artefact}
    assert [event.after for event in archive.catalog.events(sid)].count("in_review") == 1


LATE = """
import os
from workers import tasks
tasks.Parent.pid = {parent}
tasks.begin()
print("lives")
tasks.end()
"""


@pytest.mark.parametrize(("parent", "end"), [("os.getppid()", (0, "lives\n")), ("os.getpid()", (1, ""))])
def test_a_pool_process_whose_worker_died_first_ends(parent, end):
    """Killed a moment after it forked: nobody would tell its pool to leave, and it would wait for work for ever."""
    done = subprocess.run(
        [sys.executable, "-c", LATE.format(parent=parent)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == end, done.stderr
