"""A bucket that refuses, stalls, resets, says it is busy, or dies: typed answers meanwhile, and then all goes on."""

import hashlib
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from coverslip.archive import tidying
from coverslip.archive.archive import Archive
from coverslip.archive.records import Produced
from coverslip.archive.states import State
from coverslip.archive.vault import load_or_create_key
from coverslip.errors import OriginalPurged, StorageAway
from coverslip.geometry import Size
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.pyramid import Pyramid, build
from coverslip.settings import Settings
from samples import aperio
from tests.faults.front import Front
from tests.faults.proxy import Proxy
from tests.faults.sender import Sender
from tests.s3_servers import Server, client, left_behind, settings_of
from workers.sweeper import tidy

PART = 32 << 20
DATA = random.Random(8).randbytes(PART + (8 << 20) + 12345)
"""One whole part and some of the next."""
PATIENCE = 2.0
"""Seconds the front end gives the bucket here."""
AWAY = 1.5
"""Seconds a misfortune lasts."""
BOUND = 25.0
"""Seconds within which whoever asks has some answer, on a busy machine: three attempts at most, and a wait."""
SIZE = Size(1300, 1000)
WEB = httpx.Client(timeout=2 * BOUND, limits=httpx.Limits(max_connections=200))


class Site:
    """A bucket behind a network, front ends on disks of their own, one catalogue."""

    def __init__(self, folder: Path, server: Server, proxy: Proxy) -> None:
        self.folder, self.server, self.proxy = folder, server, proxy
        for name in ("vault", "originals"):
            load_or_create_key(folder / f"{name}.key")
        self.changes = {
            **settings_of(replace(server.bucket, endpoint=f"http://127.0.0.1:{proxy.port}")),
            "database_url": f"sqlite:///{folder / 'catalogue.sqlite'}",
            "vault_key_file": str(folder / "vault.key"),
            "originals_key_file": str(folder / "originals.key"),
            "s3_patience": str(PATIENCE),
        }
        self.fronts: list[Front] = []

    def front(self) -> Front:
        """One more front end, with nothing in common with the others but bucket, catalogue and keys."""
        self.fronts.append(Front(self.folder / f"data-{len(self.fronts)}", self.changes))
        self.fronts[-1].start()
        return self.fronts[-1]

    def strike(self, misfortune: str) -> None:
        """Begin one."""
        match misfortune:
            case "refuses":
                self.proxy.refuse()
            case "stalls":
                self.proxy.stall()
            case "resets":
                self.proxy.reset()
            case "says 500":
                self.proxy.say(500)
            case "says 503":
                self.proxy.say(503)
            case "dies in the middle of a part":
                self.proxy.cut_after(random.Random(2).randrange(1 << 20, 20 << 20))
            case "is killed":
                self.server.kill()
            case _:
                raise AssertionError(misfortune)

    def heal(self) -> None:
        """Undo it."""
        self.proxy.heal()
        self.server.start()


MISFORTUNES = ("refuses", "stalls", "says 503", "dies in the middle of a part", "is killed")
"""The others, and these at any moment, are blows of the storm over a bucket (`tests.faults.chaos`)."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """With a server that writes to a disk, so that it may be killed."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "bucket").mkdir()
    server = Server("nanio", folder / "bucket")
    with Proxy(server.port) as proxy:
        found = Site(folder, server, proxy)
        yield found
        for front in found.fronts:
            front.close()
    server.end()


@pytest.fixture(scope="module")
def front(site):
    return site.front()


@pytest.fixture(autouse=True)
def _healed(site):
    yield
    site.heal()


def struck(site, misfortune, after=0.1):
    """Strikes a moment from now, and heals; as a thread."""

    def run():
        time.sleep(after)
        site.strike(misfortune)
        time.sleep(AWAY)
        site.heal()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def original(front, sid):
    uid = front.archive.catalog.slide(sid).uid
    return b"".join(front.archive.original(uid).pieces())


@pytest.mark.parametrize("misfortune", MISFORTUNES)
def test_an_upload_comes_through(site, front, misfortune):
    """In parts of 32 MiB: whole, typed refusals at most, and nothing is left of what had to be sent again."""
    with Sender(front) as sender:
        blow = struck(site, misfortune)
        sid = sender.send(DATA)
        blow.join()
    assert sender.seen.untyped == []
    assert sender.seen.slowest < BOUND
    assert original(front, sid) == DATA
    assert left_behind(site.server.bucket) == []
    front.archive.originals.store.remove(front.archive.catalog.sealed(front.archive.catalog.slide(sid).uid).name)


def test_what_was_acknowledged_outlives_the_machine(site, front):
    """The front end is killed in mid-PATCH, its disk is gone: another one goes on from the offset that was promised."""
    where = front.begin(DATA)
    other = site.front()
    with front.half(where, len(DATA), 0, DATA[: PART + (4 << 20)]):
        deadline = time.monotonic() + 60
        uid = where.rsplit("/", 1)[1]
        while (promised := front.archive.catalog.upload(uid).offset) < 8 << 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        front.kill()
    other.key = front.key
    at = int(other.client.head(where).headers["Upload-Offset"])
    assert at >= promised
    answer = other.patch(where, DATA[at:], at)
    assert original(other, answer.headers["Coverslip-Slide"]) == DATA
    front.start()
    assert left_behind(site.server.bucket) == []


def test_deleting_while_the_bucket_is_away(site, front):
    """The record ends and the key with it; what lies in the bucket goes when it is back, with nobody's help."""
    where = front.begin(DATA)
    front.patch(where, DATA[: PART + 5], 0)
    uid = where.rsplit("/", 1)[1]
    site.strike("refuses")
    assert front.client.delete(where).status_code == 204
    assert front.client.head(where).status_code == 410
    assert front.archive.catalog.arrivals.get(uid).wrapped is None
    site.heal()
    tidy(front.archive)
    assert front.archive.catalog.arrivals.get(uid) is None
    assert left_behind(site.server.bucket) == []


@pytest.fixture(scope="module")
def released(site, front, tmp_path_factory):
    """A released slide in the bucket, and its index."""
    folder = tmp_path_factory.mktemp("clean")
    source = folder / "source.svs"
    aperio.write(source, SIZE, identifiers=False, traps=())
    (folder / "out").mkdir()
    outcome = deidentify(source, folder / "out", policy=load("strict"), key=bytes(32), name="slide")
    build(outcome.clean, folder / "out" / "slide.pyramid")
    archive = front.archive
    upload = archive.catalog.create_upload("o", 5, datetime.now(UTC) + timedelta(days=1), "x", {})
    writer = archive.writer(upload, archive.begin_patch(upload.uid))
    writer.write(b"bytes")
    writer.keep(writer.mark())
    writer.close()
    sid = archive.finish_upload(archive.catalog.upload(upload.uid), "strict", "default", str)
    claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
    facts = outcome.facts
    produced = Produced(
        outcome.clean.name, outcome.sha256, outcome.size_bytes, "aperio", "same-container", facts.size.width,
        facts.size.height, len(facts.levels), facts.levels[0].tile.width, 0.5, 0.5, 20.0, 1, 1, 1,
    )  # fmt: skip
    archive.publish(claim, folder / "out", produced)
    archive.transition(sid, State.RELEASED, "curator")
    with Pyramid.open(outcome.clean, folder / "out" / "slide.pyramid") as pyramid:
        level = pyramid.dz_levels - 1
        tiles = [(level, column, row) for column in range(5) for row in range(4)]
        yield sid, {place: pyramid.tile(*place) for place in tiles}


def soon(holds):
    """Wait until it is seen that the bucket is back: it is tried once a second."""
    deadline = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def reads(store):
    """Whether the bucket is believed to be back."""
    with suppress(StorageAway):
        return bool(store.read("some.file", 1, 0))
    return False


def level_of(tiles):
    """The level they are of."""
    return next(iter(tiles))[0]


def ask(front, sid, place):
    """One tile: the answer and how long it took."""
    level, column, row = place
    began = time.monotonic()
    answer = WEB.get(f"{front.url}/slides/{sid}_files/{level}/{column}_{row}.jpg")
    return answer, time.monotonic() - began


def timed(front, path):
    """Seconds to the answer of something that has nothing to do with the bucket."""
    began = time.monotonic()
    assert WEB.get(front.url + path).status_code == 200
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("misfortune", "opened"), [("refuses", True), ("stalls", True), ("says 503", False), ("stalls", False)]
)
def test_tiles_of_a_bucket_that_is_away(site, front, released, misfortune, opened):
    """Each of many who ask at once is told in time; pages and the catalogue do not notice; then the tiles are there.

    A slide that nobody looked at before is no more `404` than one that somebody has open.
    """
    sid, tiles = released
    if not opened:
        front.kill()
        front.start()
    else:
        soon(lambda: ask(front, sid, (level_of(tiles), 0, 0))[0].status_code == 200)
    site.strike(misfortune)
    with ThreadPoolExecutor(64) as pool:
        asked = [pool.submit(ask, front, sid, place) for place in list(tiles) * 8]
        time.sleep(0.3)
        for path in ("/healthz", "/slides.json", f"/api/v1/slides/{sid}"):
            assert min(timed(front, path) for _ in range(3)) < PATIENCE / 2, "nobody else waits for the bucket"
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer, _ in answers} == {503}
    assert all(answer.headers["Retry-After"] and answer.headers["Cache-Control"] == "no-store" for answer, _ in answers)
    assert {answer.json()["code"] for answer, _ in answers} <= {"storage-away", "overloaded"}
    assert max(took for _, took in answers) < BOUND
    site.heal()
    soon(lambda: ask(front, sid, (level_of(tiles), 0, 0))[0].status_code == 200)
    for place, tile in tiles.items():
        assert ask(front, sid, place)[0].content == tile


@pytest.mark.parametrize("path", ["/slides/{}/file", "/slides/{}.szi", "/api/v1/slides/{}/report", "/slides/{}/levels"])
def test_whatever_else_comes_from_the_bucket(site, front, released, path):
    """A refusal is a status, not a broken answer, and the same address gives all of it afterwards."""
    sid, _ = released
    where = front.url + path.format(sid)
    soon(lambda: ask(front, sid, (level_of(released[1]), 0, 0))[0].status_code == 200)
    whole = WEB.get(where)
    for copy in (front.settings.data_dir / "copies").glob("*"):
        copy.unlink()
    front.kill()
    front.start()
    site.strike("refuses")
    answer = WEB.get(where)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage-away")
    assert answer.headers["Retry-After"]
    site.heal()
    soon(lambda: ask(front, sid, (level_of(released[1]), 0, 0))[0].status_code == 200)
    again = WEB.get(where)
    assert (again.status_code, hashlib.sha256(again.content).hexdigest()) == (
        200, hashlib.sha256(whole.content).hexdigest(),
    )  # fmt: skip


def test_a_purge_while_the_bucket_is_away(site, front, released):
    """The key is gone at once; the bytes as soon as somebody tidies and the bucket is back."""
    archive = front.archive
    upload = archive.catalog.create_upload("o", 5, datetime.now(UTC) + timedelta(days=1), "x", {})
    writer = archive.writer(upload, archive.begin_patch(upload.uid))
    writer.write(b"bytes")
    writer.keep(writer.mark())
    writer.close()
    sid = archive.finish_upload(archive.catalog.upload(upload.uid), "strict", "default", str)
    archive.catalog.cancel(archive.catalog.jobs(sid)[-1].id)
    site.strike("refuses")
    archive.purge(sid, "curator", "asked to")
    with pytest.raises(OriginalPurged):
        archive.original(upload.uid)
    site.heal()
    assert len(list(archive.originals.store.names(upload.uid))) == 1
    tidying.discard_originals(archive, datetime.now(UTC) - timedelta(days=1))
    assert list(archive.originals.store.names(upload.uid)) == []


def test_a_stalled_range_is_given_up(site, front):
    """By the library itself, within its patience and one attempt more; the next one works."""
    store = Archive.open(Settings(data_dir=site.folder / "own", **site.changes), with_vault=True).originals.store
    store.put("some.file", [os.urandom(1 << 20)])
    site.strike("stalls")
    began = time.monotonic()
    with pytest.raises(StorageAway):
        store.read("some.file", 1000, 0)
    assert time.monotonic() - began < 3 * PATIENCE + 5
    with pytest.raises(StorageAway):  # at once now: nobody else waits for it
        store.read("some.file", 1000, 0)
    assert time.monotonic() - began < 3 * PATIENCE + 6
    site.heal()
    soon(lambda: reads(store))
    assert len(store.read("some.file", 1000, 0)) == 1000
    client(site.server.bucket).delete_object(Bucket=site.server.bucket.name, Key="originals/some.file")
