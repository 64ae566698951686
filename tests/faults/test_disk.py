"""Disks that are full or lie: a typed answer, nothing half published, and work goes on once there is room again."""

import os
import random
import subprocess

import pytest

from coverslip import durable
from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.confined.supervisor import Zygote
from coverslip.errors import StorageFailed
from coverslip.settings import Settings
from tests.faults.front import Front
from tests.faults.kernel import fill, mounted, need
from tests.faults.rig import CANARIES, upload
from workers.process import process
from workers.station import Station

UPLOADS = int(os.environ.get("COVERSLIP_DISK_UPLOADS", "4"))
"""Of each kind of failure at each share."""
DATA = random.Random(3).randbytes(3 << 20)
TYPED = {503: "storage-failed", 507: "storage-full"}
FAILURES = (
    ("pwrite", "posix/io/rw/pwrite", 28),
    ("pwrite", "posix/io/rw/pwrite", 5),
    ("fsync", "posix/io/sync/fsync", 5),
)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=24m", "tmpfs") as folder:
        yield folder


def finish(front, where, attempts=1):
    """Go on where the server is; every refusal on the way is typed."""
    refused = []
    for _ in range(attempts):
        asked = front.client.head(where)
        if asked.status_code in TYPED:
            refused.append(asked.status_code)
            continue
        at = int(asked.headers["Upload-Offset"])
        answer = front.patch(where, DATA[at:], at)
        if "Coverslip-Slide" in answer.headers:
            return answer.headers["Coverslip-Slide"], refused
        assert TYPED.get(answer.status_code) == answer.json()["code"], answer.text
        refused.append(answer.status_code)
    return None, refused


@pytest.fixture
def front(tmp_path):
    """Makes a front end."""
    made = []

    def make(folder, **environment):
        made.append(Front(folder, **environment))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_an_upload_on_a_disk_that_fills_up(small_disk, front):
    """Announced while there was room, 507 in the middle, complete once there is room: the server never restarts."""
    server = front(small_disk / "data")
    where = server.begin(DATA)
    ballast = fill(small_disk, 1 << 20)
    sid, refused = finish(server, where)
    assert sid is None
    assert refused == [507]
    assert server.client.post("/uploads", headers={"Upload-Length": "1000000"}).status_code == 507
    assert sum(server.archive.catalog.counts().values()) == 0
    ballast.unlink()
    sid, _ = finish(server, where)
    slide = server.archive.catalog.slide(sid)
    assert b"".join(server.archive.original(slide.uid).pieces()) == DATA


def test_an_attempt_on_a_disk_that_fills_up(small_disk, tmp_path):
    """Nothing of it is published, the slide is not blamed, and the same process does it once there is room."""
    settings = Settings(data_dir=small_disk / "data", retry_delay="0")
    archive = Archive.open(settings, with_vault=True)
    sid = upload(archive, DATA)
    job = archive.catalog.jobs(sid)[-1].id
    with Zygote(CANARIES) as zygote:
        station = Station("worker@test", archive, settings, zygote, f"{CANARIES}:copy")
        ballast = fill(small_disk, 1 << 20)
        process(job, station)
        assert archive.catalog.slide(sid).state is State.QUEUED
        assert archive.catalog.slide(sid).code == "storage-full"
        assert archive.storage.artefacts_in(Zone.REVIEW) == archive.storage.drafts() == ()
        ballast.unlink()
        process(job, station)
    slide = archive.catalog.slide(sid)
    assert slide.state is State.IN_REVIEW
    assert (archive.where_is(slide) / "slide.svs").read_bytes() == DATA
    archive.close()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_calls_that_fail_by_chance(tmp_path, front, share):
    """ENOSPC and EIO on writes and syncs, the database's own too: typed refusals only, and every file ends whole."""
    control = need("fiu-ctrl")
    server = front(tmp_path / "data", LD_PRELOAD=preload(), FIU_CTRL_FIFO=str(tmp_path / "fiu"))

    def order(command):
        fifo = str(tmp_path / "fiu")
        subprocess.run([control, "-f", fifo, "-c", command, str(server.pid)], check=True, capture_output=True)

    refusals = 0
    for _, point, number in FAILURES:
        wheres = [server.begin(DATA) for _ in range(UPLOADS)]
        order(f"enable_random name={point},probability={share},failinfo={number}")
        ended = [finish(server, where, attempts=3) for where in wheres]
        order(f"disable name={point}")
        refusals += sum(len(refused) for _, refused in ended)
        for where in wheres:
            uid = where.rsplit("/", 1)[1]
            if server.archive.catalog.upload(uid).sid is None:
                assert finish(server, where)[0] is not None
            assert b"".join(server.archive.original(uid).pieces()) == DATA
    assert refusals, "no call ever failed: nothing was tested"
    assert server.archive.catalog.counts()[State.QUEUED] == UPLOADS * len(FAILURES)


def test_a_failed_sync_takes_the_server_out_of_rotation(tmp_path, front):
    """503 for the PATCH, nothing acknowledged, not ready but alive; the next PATCH writes and syncs anew."""
    control = need("fiu-ctrl")
    server = front(tmp_path / "data", LD_PRELOAD=preload(), FIU_CTRL_FIFO=str(tmp_path / "fiu"))
    where = server.begin(DATA)
    assert server.client.get("/readyz").status_code == 200
    for command in ("enable name=posix/io/sync/fsync,failinfo=5", "disable name=posix/io/sync/fsync"):
        order = [control, "-f", str(tmp_path / "fiu"), "-c", command, str(server.pid)]
        subprocess.run(order, check=True, capture_output=True)
        sid, refused = finish(server, where)
        if command.startswith("enable"):
            assert (sid, refused) == (None, [503])
            assert server.client.get("/readyz").status_code == 503
            assert server.client.get("/healthz").status_code == 200
            assert server.archive.catalog.upload(where.rsplit("/", 1)[1]).offset == 0
    assert sid is not None


def test_a_failed_sync_is_asked_once_and_doubted_for_a_while(tmp_path, monkeypatch):
    """fsync reports a lost page once: a second call would say all is well."""
    calls = []

    def broken(handle):
        calls.append(handle)
        raise OSError(5, "EIO")

    monkeypatch.setattr(durable, "_doubt", durable._Doubt())
    assert not durable.is_in_doubt()
    monkeypatch.setattr(os, "fsync", broken)
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("wb") as file, pytest.raises(StorageFailed):
        durable.flush(file.fileno())
    assert len(calls) == 1
    assert durable.is_in_doubt()
    later = durable.time.monotonic() + durable.DOUBT.total_seconds()
    monkeypatch.setattr(durable.time, "monotonic", lambda: later)
    assert not durable.is_in_doubt()


def preload():
    """The libraries `fiu-run` would load."""
    need("fiu-run")
    return "/usr/lib/fiu/fiu_run_preload.so /usr/lib/fiu/fiu_posix_preload.so"
