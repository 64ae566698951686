"""A child's twin: another process behind the same walls, whose end is the child's."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coverslip.confined.messages import Task
from coverslip.confined.watch import Watch
from coverslip.errors import (
    Cancelled,
    ChildCrashed,
    ChildNotStarted,
    ChildOutOfMemory,
    ChildTimedOut,
    CoverslipError,
    DamagedSlide,
    LimitExceeded,
)
from coverslip.progress import Stage, silent
from coverslip.verify.report import Finding
from tests.confined import twins
from tests.faults.kernel import process_group

TWINS = twins.__name__


@pytest.fixture
def ask(zygote, tmp_path, limits):
    """Have a child ask its twin; returns the child's number and the answer."""
    source = tmp_path / "slide"
    source.write_bytes(b"a slide")
    (tmp_path / "out").mkdir()

    def asking(what, work="ask", progress=silent, *, pyramid=False, **tighter):
        task = Task(source, tmp_path / "out", what, b"k" * 32, pyramid=pyramid)
        zygote.run(f"{TWINS}:{work}", task, replace(limits, **tighter), progress=progress)
        return (tmp_path / "out" / "answer").read_text().split("\n", 1)

    return asking


def alive(zygote):
    """What the process still has below it."""
    children = Path(f"/proc/{zygote._process.pid}/task/{zygote._process.pid}/children").read_text().split()
    return [child for child in children if Path(f"/proc/{child}").exists()]


def test_it_is_another_process(ask, zygote):
    """Or the two would take turns; afterwards neither is left."""
    child, other = ask("number")
    assert child != other
    assert not alive(zygote)


def test_what_it_says_comes_back_as_it_was(ask, tmp_path):
    """Facts with their types, words with every letter."""
    assert ask("found")[1] == repr(
        [Finding("labels", "private-picture", str(tmp_path / "out" / "answer"), "a\n\udcff€")]
    )


def test_questions_wait_for_their_turn(ask):
    """One twin, one thing at a time, whoever asks; what went wrong with one is not the end of the next."""
    child, answers = ask("", "ask_again")
    (twin,) = set(json.loads(answers))
    assert str(twin) != child


def test_it_says_how_far_it_is(ask):
    """To whoever asked, who tells the supervisor."""
    reported = []
    child, twin = ask("", "ask_how_far", lambda stage, done: reported.append((stage, done)))
    assert child != twin
    assert reported == [(Stage.PYRAMID, 0.5)]


def test_it_writes_for_a_task_that_has_it_write(ask, tmp_path):
    """Where the child may: a slide's pyramid, while the slide is verified; for any other task it cannot (below)."""
    assert ask("written", pyramid=True)[1] == "1"
    assert (tmp_path / "out" / "by-the-twin").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("what", "error"),
    [("damaged", DamagedSlide), ("greedy", ChildOutOfMemory), ("clumsy", ChildCrashed), ("written", LimitExceeded),
     ("gone", ChildCrashed), ("endless", ChildCrashed)],
)  # fmt: skip
def test_its_end_is_the_childs(ask, zygote, what, error, tmp_path):
    """Typed where it is one of ours, and never more than a place; it can write nothing."""
    with pytest.raises(CoverslipError) as caught:
        ask(what)
    assert type(caught.value) is error
    assert not (tmp_path / "out" / "by-the-twin").stat().st_size if what == "written" else True
    assert not alive(zygote)


def test_its_time_is_limited(ask):
    """Like the child's own."""
    with pytest.raises(ChildTimedOut):
        ask("tired", cpu=timedelta(seconds=1))


def met(ask, zygote, work):
    """How many processes there are at each of four reports of some work, which is then ended."""
    seen = []

    def look(stage, done):
        seen.append(len(alive(zygote)))
        if len(seen) > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        ask("", work, look)
    return seen


def test_it_does_not_outlive_the_child(ask, zygote):
    """Also while it is at work."""
    assert met(ask, zygote, "leave_it")[-1] == 2
    assert not alive(zygote)
    assert zygote.spent.cpu < 10  # of the twenty seconds it would have gone on for


def test_one_the_kernel_killed_ran_out_of_memory(ask, zygote):
    """As a child is told from one that crashed."""

    def kill():
        while len(both := alive(zygote)) < 2:
            time.sleep(0.01)
        os.kill(int(both[1]), signal.SIGKILL)  # forked last

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        with pytest.raises(ChildOutOfMemory):
            ask("tired")
        killing.result()


@pytest.mark.parametrize("most", [1, 2])
def test_a_machine_that_gives_no_process(ask, zygote, most):
    """Neither child nor twin: that says nothing about the slide, and what they are forked from lives."""
    zygote.start()
    assert not alive(zygote)
    before = zygote._process.pid
    with process_group() as group:
        (group / "cgroup.procs").write_text(str(before))
        (group / "pids.max").write_text(str(most))
        with pytest.raises(ChildNotStarted):
            ask("number")
        (group / "pids.max").write_text("max")
        assert len(ask("number")) == 2
        (group.parent / "cgroup.procs").write_text(str(before))
    assert zygote._process.pid == before


def test_there_is_none_before_it_is_needed(ask, zygote):
    """Most work of a child needs none, and a process costs milliseconds."""
    assert met(ask, zygote, "ask_nothing") == [1, 1, 1, 1]


def test_the_supervisor_watches_both(ask, zygote, monkeypatch):
    """Threads and files of a twin count like the child's."""
    watched = []
    monkeypatch.setattr(Watch, "look", lambda watch: watched.append(len(watch.pids)))
    with pytest.raises(ChildTimedOut):
        ask("tired", cpu=timedelta(seconds=1))
    assert watched[-1] == 2
