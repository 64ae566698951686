"""What a child may use, and that nothing it does takes more."""

import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from coverslip.clearing import clear
from coverslip.confined import layers, watch
from coverslip.confined.layers import Limits
from coverslip.confined.messages import Declined, Task
from coverslip.confined.supervisor import Zygote
from coverslip.errors import Cancelled, ConfinementFailed, LimitExceeded
from coverslip.progress import silent
from tests.processes import runs, until_stopped

HOARDING = "tests.confined.hoarding"


@pytest.fixture
def task(tmp_path):
    """Something to do in a folder."""
    (tmp_path / "source").touch()
    (tmp_path / "out").mkdir()
    yield Task(tmp_path / "source", tmp_path / "out", "", b"")
    clear(tmp_path / "out")  # pytest could not


@pytest.fixture
def run(zygote, task, limits):
    """Runs one child."""

    def go(name, progress=silent, **tighter):
        return zygote.run(f"{HOARDING}:{name}", task, dataclasses.replace(limits, **tighter), progress=progress)

    return go


def test_threads_are_few(zygote, run, task):
    """The kernel gives no more than a child may have; where it does not count them the child is ended at once."""
    begin = time.monotonic()
    try:
        run("threads")
    except LimitExceeded:
        assert "few_threads" not in zygote.layers
        assert time.monotonic() - begin < 30
    else:
        assert 32 < int((task.out_dir / "started").read_text()) <= layers.most_threads()


@pytest.mark.parametrize("way", ["nameless", "mapped", "empty", "deep"])
def test_what_has_no_name_or_no_size_counts_too(run, way):
    """Deleted but open, deleted but mapped, empty but many, deeper than names reach: each ends the child in seconds."""
    begin = time.monotonic()
    with pytest.raises(LimitExceeded):
        run(way, wall=timedelta(seconds=60))
    assert time.monotonic() - begin < 30


def test_no_lock_is_the_kernels_memory(run):
    """A thousand are said to be had; the kernel knows of none."""
    seen = []
    run("locks", lambda stage, done: seen.append(len(Path("/proc/locks").read_text().splitlines())))
    assert seen
    assert max(seen) < 500


def test_a_child_leaves_no_core(run, zygote):
    """Whatever the kernel is set up to do with one: it would hold the slide and the key."""
    seen = []

    def look(stage, done):
        child = next(iter(below(zygote._process.pid)))
        seen.append(next(line for line in Path(f"/proc/{child}/limits").read_text().splitlines() if "core" in line))

    run_until(run, look)
    assert seen[0].split()[4:6] in (["1", "1"], ["0", "0"])


def test_a_child_that_is_stopped_is_woken(run, zygote):
    """Whoever did it: nobody else would before its time is over."""
    stages = []

    def stop(stage, done):
        stages.append(stage)
        if len(stages) == 1:
            os.kill(next(iter(below(zygote._process.pid))), signal.SIGSTOP)

    assert run("twice", stop, wall=timedelta(seconds=60)) == Declined(code="unsupported-slide")
    assert len(stages) == 2


@pytest.mark.parametrize("name", ["twice", "aided"])
def test_what_children_are_forked_from_is_woken_when_it_is_stopped(run, zygote, name):
    """Before a child is forked, and while one works, which may want a twin and has to be buried in the end."""
    zygote.start()
    stop(zygote)
    begin = time.monotonic()
    assert run(name, lambda *_: stop(zygote)) == Declined(code="unsupported-slide")
    assert time.monotonic() - begin < 60


def stop(zygote):
    """By a signal."""
    os.kill(zygote._process.pid, signal.SIGSTOP)
    until_stopped(zygote._process.pid)


def below(pid):
    """Children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def run_until(run, look):
    """Run a child that waits, look at it, and end it."""

    def seen(stage, done):
        look(stage, done)
        raise Cancelled

    with pytest.raises(Cancelled):
        run("nothing", seen)


def test_a_limit_that_is_lower_already_stays(task):
    """The layer holds where somebody was stricter than we are."""
    if os.fork() == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
            layers._rlimits(
                Limits(1 << 40, timedelta(1), timedelta(1), 1 << 40), layers.Reach(task.source, task.out_dir)
            )
            status = resource.getrlimit(resource.RLIMIT_NOFILE) != (100, 100)
        finally:
            os._exit(status)
    assert os.wait()[1] == 0


def test_a_child_dies_with_what_it_was_forked_from(task, limits):
    """None of its walls makes it forget: changing users and namespaces may."""
    children = []
    with Zygote(HOARDING) as zygote:

        def kill(stage, done):
            children.extend(below(zygote._process.pid))
            zygote._process.send_signal(signal.SIGKILL)

        with pytest.raises(ConfinementFailed):
            zygote.run(f"{HOARDING}:nothing", task, limits, progress=kill)
    assert children
    deadline = time.monotonic() + 10
    while any(map(runs, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(runs, children))


WAYS = {
    "threads": "import threading, time; [threading.Thread(target=time.sleep, args=(60,), daemon=True).start() for _ in "
    "range(int(sys.argv[2]))]",
    "a nameless file": "p = out / 'x'; f = p.open('wb'); p.unlink(); f.write(bytes(1 << 21)); f.flush()",
    "a mapped one": "import mmap; p = out / 'x'; f = p.open('w+b'); f.write(bytes(1 << 16)); f.flush(); m = mmap.mmap("
    "f.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ); p.unlink(); f.close()",
    "a large one": "(out / 'x').write_bytes(bytes(1 << 21))",
    "many": "[(out / str(n)).touch() for n in range(300)]",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_supervisor_sees(way, tmp_path, monkeypatch):
    """Without any wall: what a process has is seen from outside, and a modest one is let be."""
    monkeypatch.setattr(watch, "most_threads", lambda: 20)
    begin, end = (
        "import sys, time; from pathlib import Path; out = Path(sys.argv[1])",
        "print(flush=True); time.sleep(60)",
    )
    arguments = [sys.executable, "-c", f"{begin}; {WAYS[way]}; {end}", str(tmp_path), "30"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            look(process.pid, tmp_path, output=1 << 20)
            pytest.fail("it was let be")
        except LimitExceeded:
            if way not in ("threads", "a mapped one"):
                look(process.pid, tmp_path, output=1 << 24)
        finally:
            process.kill()


def look(pid, folder, output):
    """Look at a process now."""
    handle = os.pidfd_open(pid)
    try:
        watch.Watch([pid], handle, folder, Limits(0, timedelta(0), timedelta(0), output), _next=0).look()
    finally:
        os.close(handle)


def test_a_process_that_is_gone_is_not_taken_for_another(tmp_path):
    """Its number may be somebody else's by now."""
    process = subprocess.Popen(["true"])
    handle = os.pidfd_open(process.pid)
    process.wait()
    many = [tmp_path / str(number) for number in range(10)]
    for path in many:
        path.touch()
    watch.Watch([os.getpid()], handle, tmp_path, Limits(0, timedelta(0), timedelta(0), 0), _next=0).look()
    os.close(handle)
