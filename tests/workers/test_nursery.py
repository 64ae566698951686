"""A worker is forked from a process that has everything loaded; whatever of them is struck, nobody stays behind."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.faults.kernel import process_group
from workers.nursery import Nursery

SLEEPER, LEAVER = "sleeper", "leaver"


def work(name):
    """What each does."""
    if name == SLEEPER:
        time.sleep(600)
    return 7


@pytest.fixture
def nursery():
    """One whose processes sleep, or leave at once."""
    with Nursery(lambda: work) as made:
        yield made


def inside(nursery):
    """Its process."""
    return psutil.Process(nursery._process.pid)


def suspend(nursery):
    """Stop it, and wait until it stands: that is not when the signal was sent."""
    process = inside(nursery)
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


def test_it_says_how_one_left(nursery):
    """As it wanted, or by a signal; one after the other, each in a session of its own."""
    first = nursery.forked(LEAVER)
    assert (first.wait(30), first.poll()) == (7, 7)
    second = nursery.forked(SLEEPER)
    assert second.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.1)
    assert os.getsid(second.pid) == second.pid
    second.terminate()
    assert second.wait(30) == -signal.SIGTERM
    second.terminate()


def test_it_is_killed(nursery):
    """What it forked dies with it, and there is no other."""
    one = nursery.forked(SLEEPER)
    inside(nursery).kill()
    assert one.wait(30) == -signal.SIGKILL
    assert nursery.forked(SLEEPER) is None


def test_it_is_stopped(nursery):
    """Whoever wants a process of it wakes it."""
    suspend(nursery)
    one = nursery.forked(LEAVER)
    suspend(nursery)
    assert one.wait(30) == 7


def test_it_can_load_nothing(capfd):
    """Then each process is started anew, and the reason is told."""

    def broken():
        raise ImportError("no such application")

    with Nursery(broken) as nursery:
        assert nursery.forked(SLEEPER) is None
    assert "no such application" in capfd.readouterr().err


def test_there_is_no_process_to_be_had(nursery):
    """An error of the operating system's; later there may be one."""
    with process_group() as group:
        (group / "cgroup.procs").write_text(str(nursery._process.pid))
        (group / "pids.max").write_text("1")
        with pytest.raises(OSError):
            nursery.forked(LEAVER)
        (group / "pids.max").write_text("max")
        assert nursery.forked(LEAVER).wait(30) == 7
        nursery.__exit__(None, None, None)


def test_nobody_stays_behind(alive):
    """Whoever holds the nursery is killed, and everything below is gone."""
    code = """
import sys, time
from tests.workers.test_nursery import SLEEPER, work
from workers.nursery import Nursery
nursery = Nursery(lambda: work)
print(nursery._process.pid, nursery.forked(SLEEPER).pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        below = [int(number) for number in holder.stdout.readline().split()]
        assert all(alive(pid) for pid in below)
        holder.kill()
    until = time.monotonic() + 30
    while any(alive(pid) for pid in below) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in below)
