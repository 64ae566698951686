"""A pyramid whose build was cut short goes on in the next attempt, whoever makes it, and comes out the same."""

import os
import signal
from dataclasses import replace

import psutil
import pytest

from coverslip.archive import begun, tidying
from coverslip.archive.states import State
from coverslip.confined.supervisor import Zygote
from coverslip.geometry import Size
from coverslip.pyramid import build, check
from samples import generic
from tests.processes import suspend
from tests.workers.resuming import CRASHES, STANDS
from workers.process import process

WORK = "tests.workers.resuming:deidentify"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A slide whose pyramid is more than twenty units of work here."""
    path = tmp_path_factory.mktemp("slide") / "slide.tiff"
    generic.write(path, Size(1100, 900), tile=64, downsamples=(1,), identifiers=False)
    return path.read_bytes()


@pytest.fixture
def zygote():
    """Where the children come from."""
    with Zygote("tests.workers.resuming") as made:
        yield made


def unfinished(installation):
    """Folders of pyramids that attempts began, and how many files are in each."""
    folders = (installation.settings.data_dir / "tmp").glob(f"*{begun.SUFFIX}")
    return [len(list(folder.iterdir())) for folder in folders]


def published(installation, sid, tmp_path):
    """Whether the slide is in review with the index a build here makes; nothing of the way there is left."""
    slide = installation.slide(sid)
    folder = installation.archive.where_is(slide)
    if slide.state is not State.IN_REVIEW or folder is None:
        return False
    plain = tmp_path / "plain.pyramid"
    build(folder / "slide.svs", plain)
    check(folder / "slide.svs", folder / "slide.pyramid")
    tidying.discard_drafts(installation.archive)
    assert unfinished(installation) == []
    return (folder / "slide.pyramid").read_bytes() == plain.read_bytes()


def test_a_child_that_crashed_is_followed_by_one_that_goes_on(installation, station, zygote, original, tmp_path):
    """The next attempt takes up every unit that was written down, or its child would say so."""
    sid, job = installation.add_slide(original=original + CRASHES)
    here = replace(station(), zygote=zygote, work=WORK)
    process(job, here)
    assert (installation.slide(sid).state, unfinished(installation)) == (State.QUEUED, [2])
    tidying.discard_drafts(installation.archive)
    assert unfinished(installation) == [2], "somebody wants them"
    process(job, here)
    assert published(installation, sid, tmp_path)
    assert installation.archive.catalog.job(job).token == 2


def test_what_was_begun_goes_when_the_slide_goes_no_further(installation, station, zygote, original):
    """A cancelled job needs no half pyramid."""
    _, job = installation.add_slide(original=original + CRASHES)
    process(job, replace(station(), zygote=zygote, work=WORK))
    installation.archive.catalog.cancel(job, "ops")
    assert unfinished(installation) == [2]
    tidying.discard_drafts(installation.archive)
    assert unfinished(installation) == []


def test_an_attempt_takes_nothing_from_one_that_came_after_it(tmp_path):
    """Folders of lower tokens of the same job are taken over, a finished index never; all others stay as they are."""
    names = {"s.job-1": True, "s.job-2": True, "s.job-10": False, "s.other-1": False, "t.job-1": False}
    for name in names:
        folder = tmp_path / (name + begun.SUFFIX)
        folder.mkdir()
        (folder / f".slide.pyramid.{name}.part").write_bytes(name.encode())
        (folder / "slide.pyramid").write_bytes(b"finished")
        (folder / ".link").symlink_to(tmp_path)
    own = begun.folder(tmp_path / "s.job-9")
    assert {path.read_bytes() for path in own.iterdir()} == {b"s.job-1", b"s.job-2"}
    left = {path.name.removesuffix(begun.SUFFIX) for path in tmp_path.iterdir()}
    assert left == {name for name, taken in names.items() if not taken} | {"s.job-9"}
    begun.drop(tmp_path / "s.job-9")
    assert not own.exists()


def test_a_crash_while_taking_over_does_no_harm(tmp_path):
    """A file that was linked already and whose old folder was not yet deleted is no error."""
    for token in (1, 2):
        folder = tmp_path / f"s.job-{token}{begun.SUFFIX}"
        folder.mkdir()
        (folder / ".a.part").write_bytes(b"same")
    assert [path.name for path in begun.folder(tmp_path / "s.job-3").iterdir()] == [".a.part"]


def begin_and_stop_in_the_middle(relay, original):
    """A worker whose child waits in mid-build, and its slide."""
    installation = relay.installation
    sid, job = installation.add_slide(original=original)
    worker = relay.now(work=WORK)
    installation.until(lambda: installation.slide(sid).done == STANDS)
    assert (unfinished(installation), installation.slide(sid).stage) == ([2], "pyramid")
    return sid, job, worker


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_worker_goes_on_where_one_was_stopped(number, relay, original, tmp_path):
    """Shot, or told to stop and out of grace: another process takes up what it had written down."""
    installation = relay.installation
    sid, job, worker = begin_and_stop_in_the_middle(relay, original)
    os.kill(worker.pid, number)
    relay.next(work=WORK)
    installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    assert published(installation, sid, tmp_path)
    assert installation.archive.catalog.job(job).token == 2


@pytest.mark.slow
def test_a_worker_that_wakes_up_too_late_spoils_nothing(relay, original, tmp_path, below):
    """Stopped past its lease in mid-build; the next one takes up its files and finishes; then it writes on."""
    installation = relay.installation
    sid, _, worker = begin_and_stop_in_the_middle(relay, original)
    asleep = [psutil.Process(pid) for pid in (worker.pid, *below(worker.pid))]
    suspend(asleep, catalogue_of(installation))
    relay.next(work=WORK)
    installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    for process_ in asleep:
        if process_.is_running():
            process_.resume()
    installation.until(lambda: '"lease lost"' in relay.said(-2))
    assert published(installation, sid, tmp_path)
    assert [event.after for event in installation.archive.catalog.events(sid)].count("in_review") == 1
    assert installation.slide(sid).artefact.endswith("-2")
    worker.kill()


@pytest.mark.slow
def test_a_worker_that_is_stopped_while_it_writes_stops_nobody(relay, original, tmp_path, below):
    """It has the catalogue's only lock for writing; whoever waits for it wakes it, and nobody else has to."""
    installation = relay.installation
    sid, _, worker = begin_and_stop_in_the_middle(relay, original)
    family = [psutil.Process(pid) for pid in (worker.pid, *below(worker.pid))]
    suspend(family, catalogue_of(installation), writer=worker.pid)
    relay.next(work=WORK)
    installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    assert published(installation, sid, tmp_path)
    assert "woke a stopped process" in relay.said()
    worker.kill()


def catalogue_of(installation):
    """The file everybody writes to."""
    return installation.settings.data_dir / "catalogue.sqlite"
