"""A machine without room or processes, a disk that keeps nothing, a policy nobody can read: slides wait and go on."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from coverslip import durable
from coverslip.archive.states import State
from coverslip.archive.storage import Storage
from coverslip.errors import StorageFull
from tests.faults.kernel import ask_kernel, fill, mounted, process_group
from tests.workers.conftest import CANARIES, environment
from workers.process import process, serve
from workers.station import Station

TRIES = 5
"""More than attempts may be spent."""


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MiB where the installation will lie."""
    with mounted(tmp_path / "data", "-t", "tmpfs", "-o", "size=64m", "tmpfs") as folder:
        yield folder


@pytest.fixture
def on_small_disk(small_disk, install, tmp_path):
    """An installation on it, its catalogue elsewhere: that one can still be written."""
    soon = timedelta(seconds=1)
    return install(database_url=f"sqlite:///{tmp_path}/catalogue.db", watchdog_every=soon, watchdog_stall=soon)


@pytest.fixture
def beside(on_small_disk, zygote):
    """A station on it whose work is one of the canaries."""
    archive, settings = on_small_disk.archive, on_small_disk.settings
    return lambda work="copy": Station("worker-a@test", archive, settings, zygote, f"{CANARIES}:{work}")


def stands(installation, sid, job):
    """State, code and attempts spent."""
    slide = installation.slide(sid)
    return slide.state, slide.code, installation.archive.catalog.job(job).attempts


def test_nothing_is_begun_on_a_full_disk(on_small_disk, small_disk, beside, monkeypatch):
    """Not even claimed, whatever hints come; the same process does it once there is room."""
    monkeypatch.setattr("workers.process.UNFIT_WAIT", 0)
    sid, job = on_small_disk.add_slide()
    before = on_small_disk.archive.catalog.events(sid)
    ballast = fill(small_disk)
    for _ in range(TRIES):
        serve(beside())
    assert on_small_disk.archive.catalog.events(sid) == before
    ballast.unlink()
    serve(beside())
    assert stands(on_small_disk, sid, job) == (State.IN_REVIEW, None, 1)


def test_a_slide_with_more_to_come_of_it_than_there_is_room_waits(on_small_disk, small_disk, beside):
    """Before any work; smaller ones go on meanwhile."""
    big, waiting = on_small_disk.add_slide(original=bytes(8 << 20))
    small, job = on_small_disk.add_slide()
    ballast = fill(small_disk, leave=12 << 20)
    for _ in range(TRIES):
        process(waiting, beside("segfault"))
    assert stands(on_small_disk, big, waiting) == (State.QUEUED, "storage-full", 0)
    process(job, beside())
    assert stands(on_small_disk, small, job) == (State.IN_REVIEW, None, 1)
    ballast.unlink()
    process(waiting, beside())
    assert stands(on_small_disk, big, waiting) == (State.IN_REVIEW, None, 1)


def test_a_disk_that_fills_up_in_mid_work(on_small_disk, small_disk, beside):
    """The child meets it first, and we see the same: no attempt."""
    sid, job = on_small_disk.add_slide()
    for _ in range(TRIES):
        process(job, beside("fill_up"))
    assert stands(on_small_disk, sid, job) == (State.QUEUED, "storage-full", 0)
    process(job, beside())
    assert stands(on_small_disk, sid, job) == (State.IN_REVIEW, None, 1)


def test_a_disk_that_takes_no_more_files(tmp_path):
    """It has room, and no number for another file."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16m,nr_inodes=40", "tmpfs") as disk:
        storage = Storage(disk / "data")
        storage.require_fit()
        while os.statvfs(disk).f_favail:
            (disk / str(os.statvfs(disk).f_favail)).touch()
        with pytest.raises(StorageFull):
            storage.require_fit()


def test_a_disk_that_became_read_only(on_small_disk, small_disk, beside, monkeypatch):
    """As Linux makes one that fails: nothing more is begun, and whoever was about to is not to blame."""
    monkeypatch.setattr("workers.process.UNFIT_WAIT", 0)
    sid, job = on_small_disk.add_slide()
    with mounted(small_disk, "--bind", small_disk):
        ask_kernel("mount", "-o", "remount,bind,ro", small_disk)
        for _ in range(TRIES):
            serve(beside())
        assert stands(on_small_disk, sid, job) == (State.QUEUED, None, 0)
        for _ in range(TRIES):
            process(job, beside())
        assert stands(on_small_disk, sid, job) == (State.QUEUED, "storage-failed", 0)
    process(job, beside())
    assert stands(on_small_disk, sid, job) == (State.IN_REVIEW, None, 1)


def test_a_disk_that_is_in_doubt(installation, station, monkeypatch):
    """A failed fsync ends that attempt; until the doubt is over no other is begun."""
    process(installation.add_slide()[1], station())  # makes the key of pseudonyms
    sid, job = installation.add_slide()
    monkeypatch.setattr(durable, "_doubt", durable._Doubt())
    with monkeypatch.context() as broken:

        def fails(handle):
            raise OSError(5, "EIO")

        broken.setattr(os, "fsync", fails)
        process(job, station())
    assert stands(installation, sid, job) == (State.QUEUED, "storage-failed", 0)
    process(job, station("segfault"))
    assert stands(installation, sid, job) == (State.QUEUED, "storage-failed", 0)
    monkeypatch.setattr(durable, "_doubt", durable._Doubt())
    process(job, station())
    assert stands(installation, sid, job) == (State.IN_REVIEW, None, 1)


def test_a_policy_that_somebody_broke(installation, station, tmp_path):
    """Whoever mends it need not queue again what waited meanwhile."""
    rules = tmp_path / "policy.toml"
    rules.write_text("name = ")
    sid, job = installation.add_slide(policy=str(rules))
    for _ in range(TRIES):
        process(job, station("segfault"))
    assert stands(installation, sid, job) == (State.QUEUED, "policy-invalid", 0)
    rules.write_text('name = "ours"\nversion = 1\ndescription = "strict"\nextends = "strict"\n')
    process(job, station())
    assert stands(installation, sid, job) == (State.IN_REVIEW, None, 1)


WORK = """
import sys
from pathlib import Path
from coverslip.archive.archive import Archive
from coverslip.confined.supervisor import Zygote
from coverslip.settings import Settings
from workers.process import process
from workers.station import Station

group, job, sid = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
settings = Settings()
archive = Archive.open(settings, with_vault=True)

def go_on(zygote):
    process(job, Station("worker-a@test", archive, settings, zygote, "tests.workers.canaries:copy"))
    slide = archive.catalog.slide(sid)
    print("stands", slide.state, slide.code, archive.catalog.job(job).attempts)

with Zygote("tests.workers.canaries") as zygote:
    (group / "cgroup.procs").write_text("0")
    now = int((group / "pids.current").read_text())
    for more in (0, 0, 1, 1, 2, 2):
        (group / "pids.max").write_text(str(now + more))
        go_on(zygote)
    (group / "pids.max").write_text("max")
    go_on(zygote)
"""


def test_a_machine_that_gives_no_process(installation):
    """No thread for the lease, no process to fork from, no child: nobody is to blame, and the next one is done."""
    sid, job = installation.add_slide()
    with process_group() as group:
        told = subprocess.run(
            [sys.executable, "-c", WORK, str(group), job, sid],
            env={**os.environ, **environment(installation.settings)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.splitlines()
    stood = [line.removeprefix("stands ") for line in told if line.startswith("stands ")]
    print("\n".join(told))
    assert set(stood[:-1]) == {"queued child-not-started 0"}
    assert stands(installation, sid, job) == (State.IN_REVIEW, None, 1)


@pytest.mark.slow
def test_a_worker_on_a_full_disk(on_small_disk, small_disk, start_worker, tmp_path):
    """Longer than its watchdog waits: nothing fails, nobody replaces it, and all is done when there is room."""
    jobs = [on_small_disk.add_slide() for _ in range(3)]
    ballast = fill(small_disk)
    start_worker(on_small_disk, work="copy")
    log = tmp_path / "worker.log"
    on_small_disk.until(lambda: log.exists() and log.read_text().count("nothing is begun") >= 2 * TRIES)
    assert {on_small_disk.slide(sid).state for sid, _ in jobs} == {State.QUEUED}
    ballast.unlink()
    on_small_disk.until(lambda: all(on_small_disk.slide(sid).state is State.IN_REVIEW for sid, _ in jobs))
    assert {on_small_disk.archive.catalog.job(job).attempts for _, job in jobs} == {1}
    assert log.read_text().count("%s ready.") == 1, "its watchdog replaced it"
