"""Builds that were killed go on where they were; the index is the same bytes, whatever was interrupted or torn."""

import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import tifffile

from coverslip.errors import Cancelled, DamagedSlide, OutputExists
from coverslip.pyramid import build, check, journal, resume
from coverslip.pyramid.partial import leftovers

MODULE = sys.modules["coverslip.pyramid.build"]  # the package hides it behind a function
SLIDES = {
    "one level": ("generic", 1100, 900, {"tile": 64, "downsamples": (1,)}),
    "levels between, every tile stored": ("aperio", 900, 700, {"tile": 64, "downsamples": (1, 4)}),
    "blank glass that repeats": ("generic", 700, 600, {"tile": 64, "downsamples": (1,), "tissue_share": 0.2}),
    "another codec": ("generic", 500, 400, {"tile": 64, "codec": "deflate", "downsamples": (1,)}),
    "planes of light": ("ome", 300, 200, {"tile": 64, "channels": 2, "downsamples": (1, 2)}),
    "planes of colours": ("ome", 300, 200, {"tile": 64, "z": 4, "rgb": True, "codec": "jpeg", "downsamples": (1,)}),
}

AS_DELIVERED = resume.EVERY
MIDDLE = 14
"""Units after which a build of the first of them is killed; it has more than twenty."""


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """A checkpoint after every unit, and units so small that a little slide has many."""
    monkeypatch.setattr(resume, "EVERY", 0)
    monkeypatch.setattr("coverslip.pyramid.feed.BLOCK_PIXELS", 128)


@pytest.fixture(params=SLIDES)
def slide(request, generated):
    """Slides whose builds are made of different kinds of units."""
    vendor, width, height, options = SLIDES[request.param]
    return generated(vendor, width, height, **options)


@pytest.fixture
def one(generated):
    """The first of them."""
    vendor, width, height, options = SLIDES["one level"]
    return generated(vendor, width, height, **options)


@pytest.fixture
def whole(tmp_path):
    """The index of a build nobody interrupted, and what its progress said: `whole(slide, **options)`."""

    def make(slide, **options):
        seen, target = [], tmp_path / "whole" / f"{slide.stem}.pyramid"
        target.parent.mkdir(exist_ok=True)
        build(slide, target, complete=True, progress=lambda _, done: seen.append(done), **options)
        data = target.read_bytes()
        target.unlink()
        return data, seen

    return make


def killed(slide, target, after, *, by=signal.SIGKILL, **options):
    """Build in a process of its own that is killed after so many reports of progress; whether it was."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def progress(_, done):
            nonlocal count
            count += 1
            if count > after:
                os.kill(os.getpid(), by)

        try:
            build(slide, target, **{"complete": True, "workers": 2, **options}, progress=progress)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def again(slide, target, **options):
    """Build here; what progress said."""
    seen = []
    build(slide, target, **{"complete": True, **options}, progress=lambda _, done: seen.append(done))
    return seen


def test_killed_after_any_unit_it_goes_on_there(slide, tmp_path, whole):
    """Killed once after every unit: nothing has the final name, the rest is done, the bytes are the same, nothing is
    left."""
    expected, reports = whole(slide)
    folder, target = tmp_path / "killed", tmp_path / "killed" / "x.pyramid"
    folder.mkdir()
    assert len(reports) >= 10
    for after in range(len(reports)):
        assert killed(slide, target, after)
        assert not target.exists()
        assert len(list(folder.iterdir())) == 2
        seen = again(slide, target)
        assert seen[-1] == 1
        assert reports[after] in seen[: after + 1]
        assert len(seen) == len(reports)
        assert target.read_bytes() == expected
        assert list(folder.iterdir()) == [target]
        target.unlink()


@pytest.mark.parametrize(("width", "height", "downsamples"), [(900, 700, (1, 4, 16)), (600, 500, (1,))])
def test_a_build_that_leaves_tiles_to_be_made_on_request_goes_on_too(width, height, downsamples, generated, tmp_path):
    """Rims of levels that are left out, and a chain without its lowest level."""
    slide = generated("aperio", width, height, codec="j2k-ycbcr", tile=64, downsamples=downsamples)
    target, reports = tmp_path / "x.pyramid", again(slide, tmp_path / "whole", complete=False)
    expected = (tmp_path / "whole").read_bytes()
    assert len(reports) >= 5
    for after in range(len(reports)):
        assert killed(slide, target, after, complete=False)
        again(slide, target, complete=False)
        assert target.read_bytes() == expected
        target.unlink()


def test_work_that_was_done_is_not_done_again(one, tmp_path, whole, monkeypatch):
    """After a kill near the end nothing is decoded but what was not finished."""
    _, reports = whole(one)
    target = tmp_path / "x.pyramid"
    killed(one, target, len(reports) - 2)
    made = []
    unit = MODULE.Unit
    monkeypatch.setattr(MODULE, "Unit", lambda work, *rest: unit(lambda: made.append(1) or work(), *rest))
    again(one, target)
    assert len(made) == 1


def test_killed_again_and_again_it_still_comes_to_an_end(slide, tmp_path, whole):
    """Every attempt does two more units and is killed, also while it only takes up what is there."""
    expected, reports = whole(slide)
    target, attempts = tmp_path / "x.pyramid", 0
    begun = 0
    while killed(slide, target, begun + 1):
        attempts += 1
        begun = 2 * attempts
    assert attempts >= len(reports) // 2 - 1
    assert target.read_bytes() == expected
    check(slide, target)


def test_killed_while_taking_up_nothing_is_lost(one, tmp_path, whole):
    """The files of the first attempt stay until the second has written down the same."""
    expected, reports = whole(one)
    target = tmp_path / "x.pyramid"
    killed(one, target, 9)
    killed(one, target, 3)
    assert reports[9] in again(one, target)
    assert target.read_bytes() == expected


def test_killed_after_taking_up_nothing_is_lost(one, tmp_path, whole, monkeypatch):
    """The second attempt's journal holds what it took up and what it did; the first one's files are gone by then."""
    target = tmp_path / "x" / "x.pyramid"
    target.parent.mkdir()
    killed(one, target, 9)
    killed(one, target, 12)
    assert len(list(target.parent.iterdir())) == 2
    units, data = taken_up(one, target, monkeypatch)
    assert (units, data) == (13, whole(one)[0])


@pytest.mark.parametrize(("lost", "units"), [(False, MIDDLE + 1), (True, 6)])
def test_of_several_leftovers_the_best_that_is_sound_is_taken(lost, units, one, left, whole, monkeypatch):
    """The one that came farthest, unless its tiles are lost; both are gone in the end."""
    target, farther = left()
    shorter = target.with_name("other") / target.name
    shorter.parent.mkdir()
    killed(one, shorter, 5)
    for file in list(shorter.parent.iterdir()):
        file.rename(target.with_name(file.name))
    shorter.parent.rmdir()
    if lost:
        os.truncate(farther.part, 0)
    assert taken_up(one, target, monkeypatch) == (units, whole(one)[0])
    assert list(target.parent.iterdir()) == [target]


@pytest.fixture
def left(one, tmp_path):
    """What a build left that was killed in the middle, copied on demand: part and journal in a folder of their own."""
    folder = tmp_path / "left"
    folder.mkdir()
    assert killed(one, folder / "x.pyramid", MIDDLE)
    count = 0

    def copy():
        nonlocal count
        count += 1
        copied = tmp_path / f"copy{count}"
        shutil.copytree(folder, copied)
        (leftover,) = leftovers(copied / "x.pyramid")
        return copied / "x.pyramid", leftover

    return copy


def test_a_torn_journal_is_believed_as_far_as_it_holds(one, left, whole):
    """Cut anywhere: what is whole before the cut is used, what is behind is done again, the bytes are the same."""
    expected, reports = whole(one)
    length = left()[1].journal.stat().st_size
    begun = []
    for cut in range(0, length, length // 25):
        target, leftover = left()
        os.truncate(leftover.journal, cut)
        seen = again(one, target)
        assert target.read_bytes() == expected
        begun.append(sum(share <= reports[MIDDLE] for share in seen))
        assert list(target.parent.iterdir()) == [target]
    assert len(set(begun)) == 1, "every unit is told once, taken up or done"


@pytest.mark.parametrize("flip", [0, 9, 20, 50, 80, 130, 400, 5000, -1, -40, -3000])
def test_a_journal_with_a_wrong_bit_is_believed_as_far_as_it_holds(flip, one, left, whole):
    """One bit anywhere."""
    target, leftover = left()
    data = bytearray(leftover.journal.read_bytes())
    data[flip] ^= 4
    leftover.journal.write_bytes(data)
    again(one, target)
    assert target.read_bytes() == whole(one)[0]


def taken_up(slide, target, monkeypatch):
    """Units that were not done here, and the index."""
    done = []
    finished = resume.Recorder.finished
    monkeypatch.setattr(resume.Recorder, "finished", lambda self, top: done.append(1) or finished(self, top))
    seen = again(slide, target)
    return len(seen) - len(done), target.read_bytes()


@pytest.mark.parametrize("torn", ["short", "zeros", "gone"])
def test_tiles_that_did_not_reach_the_disk_are_made_again(torn, one, left, whole, monkeypatch):
    """A power cut kept the journal and lost the end of the part: its digests tell."""
    target, leftover = left()
    size = leftover.part.stat().st_size
    match torn:
        case "short":
            os.truncate(leftover.part, size // 2)
        case "zeros":
            with leftover.part.open("r+b") as file:
                file.seek(size // 2)
                file.write(bytes(size - size // 2))
        case "gone":
            leftover.part.unlink()
    units, data = taken_up(one, target, monkeypatch)
    assert data == whole(one)[0]
    assert units == 0 if torn == "gone" else 0 < units < MIDDLE
    assert list(target.parent.iterdir()) == [target]


def test_a_whole_leftover_is_taken_up_whole(one, left, monkeypatch):
    """The measure of the others: what was done, and the unit whose report was the last."""
    target, _ = left()
    assert taken_up(one, target, monkeypatch)[0] == MIDDLE + 1


@pytest.mark.parametrize("about", ["slide", "quality", "completeness", "library", "format", "version"])
def test_a_leftover_about_anything_else_is_not_used(about, one, left, generated, whole, monkeypatch):
    """Another slide under the same name, another quality, kind of index, codec library or program: begun anew."""
    target, _ = left()
    slide, options = one, {}
    match about:
        case "slide":
            slide = generated("generic", 1100, 900, tile=64, downsamples=(1,), seed=5)
        case "quality":
            options = {"quality": 71}
        case "completeness":
            options = {"complete": False}
        case "format":
            monkeypatch.setattr("coverslip.pyramid.journal.FORMAT", journal.FORMAT + 1)
        case "library" | "version":
            name = {"library": "simplejpeg", "version": "coverslip"}[about]
            version = resume.version_of
            monkeypatch.setattr(resume, "version_of", lambda asked: "0.0" if asked == name else version(asked))
    finished, seen = [], []
    original = resume.Recorder.finished
    monkeypatch.setattr(resume.Recorder, "finished", lambda self, top: finished.append(1) or original(self, top))
    seen = again(slide, target, **options)
    assert len(seen) == len(finished), "nothing was taken up"
    plain = target.with_name("plain.pyramid")
    build(slide, plain, **{"complete": True, **options})
    assert target.read_bytes() == plain.read_bytes()
    assert sorted(target.parent.iterdir()) == [plain, target]


def test_one_that_comes_back_from_the_dead_spoils_nothing(one, left, whole):
    """It writes on into its own part and journal, at every step of the build that took them up."""
    target, leftover = left()
    with leftover.part.open("r+b") as part, leftover.journal.open("r+b") as journal:

        def scribble(stage, done):
            for file in (part, journal):
                file.seek(0)
                file.write(os.urandom(os.fstat(file.fileno()).st_size))
                file.flush()

        build(one, target, complete=True, progress=scribble)
    assert target.read_bytes() == whole(one)[0]


def test_files_of_one_that_lives_stay(one, left, whole):
    """Whoever writes holds a lock; two builds at once of one name both come to their end."""
    target, leftover = left()
    with leftover.part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        again(one, target)
        assert leftover.part.exists()
        assert leftover.journal.exists()
    assert target.read_bytes() == whole(one)[0]
    with pytest.raises(OutputExists):
        again(one, target)
    assert list(target.parent.iterdir()) == [target], "the name is taken: nobody needs what is left"


def test_a_part_taken_for_dead_before_it_is_locked_is_begun_again(one, tmp_path, monkeypatch):
    """Between making a file and locking it another build may delete it: then there is another one."""
    from coverslip.pyramid import partial

    flock, times = fcntl.flock, []

    def late(handle, how):
        times.append(1)
        if len(times) == 1:
            next(leftovers(tmp_path / "x.pyramid")).remove()
        flock(handle, how)

    monkeypatch.setattr(partial.fcntl, "flock", late)
    build(one, tmp_path / "x.pyramid")
    assert len(times) == 2
    assert (tmp_path / "x.pyramid").exists()


def stopping(after, error):
    """Progress that raises."""
    count = 0

    def progress(stage, done):
        nonlocal count
        count += 1
        if count > after:
            raise error

    return progress


def test_a_build_that_is_told_to_stop_keeps_nothing_and_ctrl_c_keeps_all(one, tmp_path, whole):
    """Cancelled is meant; an interrupt may be regretted."""
    target = tmp_path / "x" / "x.pyramid"
    target.parent.mkdir()
    with pytest.raises(Cancelled):
        build(one, target, complete=True, progress=stopping(7, Cancelled))
    assert list(target.parent.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        build(one, target, complete=True, progress=stopping(7, KeyboardInterrupt))
    assert len(list(target.parent.iterdir())) == 2
    assert len(again(one, target)) == len(whole(one)[1])


def test_an_interrupt_before_the_first_checkpoint_leaves_nothing(one, tmp_path, monkeypatch):
    """What is not written down is of no use."""
    monkeypatch.setattr(resume, "EVERY", 60)
    with pytest.raises(KeyboardInterrupt):
        build(one, tmp_path / "x.pyramid", complete=True, progress=stopping(7, KeyboardInterrupt))
    assert list(tmp_path.iterdir()) == []


def test_a_short_build_writes_no_journal(one, tmp_path, monkeypatch):
    """Five seconds pass before the first checkpoint, or sixteen MiB."""
    assert AS_DELIVERED == 5
    monkeypatch.setattr(resume, "EVERY", 3600)  # a machine that has other things to do takes five seconds for anything

    def none(*_):
        raise AssertionError

    monkeypatch.setattr(resume.Journal, "append", none)
    build(one, tmp_path / "x.pyramid", complete=True)


def test_many_bytes_are_written_down_sooner(one, tmp_path, monkeypatch):
    """What waits to be written down is bounded in bytes too."""
    monkeypatch.setattr(resume, "EVERY", 60)
    monkeypatch.setattr(resume, "MOST", 20_000)
    written = []
    append = resume.Journal.append
    monkeypatch.setattr(resume.Journal, "append", lambda self, *found: written.append(found) or append(self, *found))
    reports = again(one, tmp_path / "x.pyramid")
    assert 4 < len(written) < len(reports) // 2


def test_a_journal_is_of_use_only_once_the_slide_is_known(one, tmp_path, whole, monkeypatch):
    """Its digest takes a while: a build killed before it is there is begun anew, one killed after that goes on."""
    known = threading.Event()
    digest_of = MODULE._digest_of

    def slow(path):
        known.wait(20)
        return digest_of(path)

    expected, reports = whole(one)
    target = tmp_path / "x.pyramid"
    monkeypatch.setattr(MODULE, "_digest_of", slow)
    with pytest.raises(KeyboardInterrupt):
        build(one, target, complete=True, workers=2, progress=releasing(7, KeyboardInterrupt, known.set))
    known.set()
    finished = []
    original = resume.Recorder.finished
    monkeypatch.setattr(resume.Recorder, "finished", lambda self, top: finished.append(1) or original(self, top))
    again(one, target)
    assert len(finished) == len(reports)
    assert target.read_bytes() == expected
    target.unlink()
    known.clear()
    count = 0

    def later(stage, done):
        nonlocal count
        count += 1
        if count == 4:
            known.set()
            time.sleep(0.3)
        if count == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(one, target, complete=True, workers=2, progress=later)
    finished.clear()
    again(one, target)
    assert len(finished) == len(reports) - 8
    assert target.read_bytes() == expected


def releasing(after, error, first):
    """Progress that calls `first` and raises."""
    stop = stopping(after, error)

    def progress(stage, done):
        try:
            stop(stage, done)
        except error:
            first()
            raise

    return progress


def test_a_damaged_slide_leaves_nothing_to_take_up(one, tmp_path):
    """It would be as damaged the next time."""
    raw = bytearray(one.read_bytes())
    with tifffile.TiffFile(one) as file:
        at = file.pages[0].dataoffsets[60]
    raw[at : at + 40] = bytes(40)
    broken = tmp_path / "broken.tiff"
    broken.write_bytes(raw)
    with pytest.raises(DamagedSlide):
        build(broken, tmp_path / "x.pyramid")
    assert list(tmp_path.iterdir()) == [broken]


def test_names_that_only_look_alike_are_left_alone(one, tmp_path):
    """Another slide's leftovers, and files of other people, are none of this build's business."""
    names = (".y.pyramid.0011aabb.part", ".x.pyramid", "x.pyramid.part", ".x.pyramid.txt")
    others = [tmp_path / name for name in names]
    for other in others:
        other.write_bytes(b"mine")
    orphan = tmp_path / ".x.pyramid.0011aabb.journal"
    orphan.write_bytes(b"half")
    build(one, tmp_path / "x.pyramid")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "x.pyramid"])


def test_folder_names(one, tmp_path):
    """A relative name without a folder means here."""
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        build(one, Path("x.pyramid"))
    finally:
        os.chdir(here)
    assert (tmp_path / "x.pyramid").exists()
