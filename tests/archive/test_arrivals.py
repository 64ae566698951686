"""What every place where uploads arrive promises: a file on the disk, and parts on two S3 servers."""

import functools
import hashlib
import random
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coverslip.archive import bucket_arrivals, s3_store, tidying
from coverslip.archive.archive import Archive
from coverslip.archive.frames import FRAME
from coverslip.archive.s3_access import Clients
from coverslip.archive.vault import load_or_create_key
from coverslip.errors import LeaseLost, NotFound, OriginalDamaged, OriginalPurged, StateConflict, StorageFailed
from coverslip.settings import Settings
from tests.s3_servers import below, client, settings_of

DAY = timedelta(days=1)
PART = 4 * FRAME
"""Where the code under test has 512 frames."""
POOL = random.Random(7).randbytes(3 * PART + 12345)
LENGTHS = (1, FRAME - 1, FRAME, FRAME + 1, PART - 1, PART, PART + 1, 2 * PART, len(POOL))


class Broken(Exception):
    """Whatever a check may raise."""


def refuse(sha256):
    raise Broken(sha256)


class Front:
    """One of several front ends of a site, without the HTTP."""

    def __init__(self, archive):
        self.archive = archive

    def announce(self, length, metadata=None):
        found = self.archive.catalog.create_upload("o", length, datetime.now(UTC) + DAY, "DOE^JANE.svs", metadata)
        return found.uid

    def begin(self, uid):
        """A writer at the offset there is."""
        generation = self.archive.begin_patch(uid)
        return self.archive.writer(self.archive.catalog.upload(uid), generation)

    def send(self, uid, data, *sizes):
        """One request: all of `data`, promised after each of `sizes` bytes and at the end."""
        writer, at = self.begin(uid), 0
        for size in (*sizes, len(data)):
            writer.write(data[at : at + size])
            at += size
            writer.keep(writer.mark())
        writer.close()

    def offset(self, uid):
        return self.archive.catalog.upload(uid).offset

    def finish(self, uid, check=str):
        return self.archive.finish_upload(self.archive.catalog.upload(uid), "strict", "default", check)

    def original(self, uid):
        return b"".join(self.archive.original(uid).pieces())

    def visible(self):
        """Names of everything anybody could open in the originals' place."""
        return [kept.name for kept in self.archive.originals.store.names()]


class ArrivalsContract:
    """The promises; a subclass says how front ends of one site are made and how to look behind."""

    @pytest.fixture
    def front(self, fronts):
        return fronts()

    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch):
        monkeypatch.setattr(bucket_arrivals, "PART", PART)

    @pytest.mark.parametrize("length", LENGTHS)
    def test_what_is_sent_is_what_is_kept(self, front, length):
        """In one request, around every edge of a frame and of a part, with its digest judged by what lies there."""
        data, seen = POOL[:length], []
        uid = front.announce(length)
        front.send(uid, data)
        assert front.offset(uid) == length
        front.finish(uid, seen.append)
        assert seen == [hashlib.sha256(data).hexdigest()]
        assert front.original(uid) == data
        assert front.archive.original(uid).read(100, length // 2) == data[length // 2 : length // 2 + 100]
        assert self.leftovers(front, uid) == []

    def test_nothing_is_to_be_seen_before_it_is_whole(self, front):
        """Neither what was promised nor what is complete and not judged has a name anybody could open."""
        uid = front.announce(len(POOL))
        for at in range(0, len(POOL), 100_000):
            assert front.visible() == []
            front.send(uid, POOL[at : at + 100_000])
        assert front.visible() == []
        front.finish(uid)
        assert len(front.visible()) == 1

    @settings(
        max_examples=8, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(
        steps=st.lists(st.tuples(st.integers(0, 2 * PART), st.sampled_from(["end", "die", "keep and die"])), max_size=6)
    )
    def test_any_steps_lead_there(self, fronts, steps):
        """Requests of any length, each to another front end, that end well or die with bytes that were not promised."""
        site = [fronts(), fronts()]
        uid = site[0].announce(len(POOL))
        for turn, (size, ending) in enumerate(steps):
            front = site[turn % 2]
            at = front.offset(uid)
            writer = front.begin(uid)
            piece = POOL[at : at + size]
            writer.write(piece[: size // 2])
            if ending != "die":
                writer.keep(writer.mark())
            writer.write(piece[size // 2 :])
            if ending == "end":
                writer.keep(writer.mark())
            writer.close()
            assert at <= front.offset(uid) <= len(POOL)
        at = site[0].offset(uid)
        site[1].send(uid, POOL[at:])
        site[1].finish(uid, lambda found: found == hashlib.sha256(POOL).hexdigest() or refuse(found))
        assert site[0].original(uid) == POOL

    def test_bytes_that_come_one_by_one(self, front):
        """A client with absurdly small requests gets there too."""
        start, uid = 2 * FRAME - 20, front.announce(2 * FRAME + 20)
        front.send(uid, POOL[:start])
        for at in range(start, 2 * FRAME + 20):
            front.send(uid, POOL[at : at + 1])
        front.finish(uid)
        assert front.original(uid) == POOL[: 2 * FRAME + 20]

    def test_the_newest_writer_wins(self, fronts):
        """An older one that still writes, here or elsewhere, can promise nothing, and what it wrote counts nothing."""
        one, two = fronts(), fronts()
        uid = one.announce(len(POOL))
        old = one.begin(uid)
        old.write(b"\xff" * (PART + 5))
        two.send(uid, POOL[:PART])
        with pytest.raises(LeaseLost):
            old.keep(old.mark())
        old.close()
        two.send(uid, POOL[PART:])
        two.finish(uid, lambda found: found == hashlib.sha256(POOL).hexdigest() or refuse(found))
        assert two.original(uid) == POOL

    def test_a_writer_that_wakes_up_late_breaks_nothing(self, fronts):
        """It had the same bytes from the client and stores them after the newer one did, the last part too."""
        one, two = fronts(), fronts()
        uid = one.announce(3 * PART)
        one.send(uid, POOL[:PART])
        old = one.begin(uid)
        old.write(POOL[PART : 3 * PART])
        mark = old.mark()
        two.send(uid, POOL[PART : 3 * PART])
        with pytest.raises(LeaseLost):
            old.keep(mark)
        old.close()
        two.finish(uid)
        assert two.original(uid) == POOL[: 3 * PART]

    def test_a_digest_that_is_wrong_queues_nothing(self, front):
        """Nothing exists for the catalogue, and the right digest finishes the same bytes."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL)
        for _ in range(2):
            with pytest.raises(Broken):
                front.finish(uid, refuse)
            front.send(uid, b"")  # as a client asks again
        assert sum(front.archive.catalog.counts().values()) == 0
        front.finish(uid)
        assert front.original(uid) == POOL

    def test_a_process_that_dies_before_the_record(self, fronts):
        """Everything was done but the commit: whoever comes next makes one slide of it, and nothing is left over."""
        one, two = fronts(), fronts()
        uid = one.announce(len(POOL))
        one.send(uid, POOL)
        one.archive._arriving(uid).seal(one.archive.catalog.upload(uid), str)
        two.finish(uid)
        assert two.original(uid) == POOL
        tidying.discard_originals(two.archive, datetime.now(UTC) + DAY)
        assert len(two.visible()) == 1

    @pytest.mark.parametrize("arrived", [0, 1, FRAME + 1, PART, 2 * PART + 7, len(POOL)])
    def test_what_ended_is_gone(self, front, arrived):
        """However much had come: no bytes, nothing begun, and nobody can go on."""
        uid = front.announce(len(POOL))
        writer = front.begin(uid)
        writer.write(POOL[:arrived])
        writer.keep(writer.mark())
        front.archive.terminate_upload(uid, "o")
        writer.close()
        assert self.leftovers(front, uid) == []
        assert front.visible() == []
        with pytest.raises((StateConflict, NotFound)):
            front.begin(uid)

    def test_what_a_crash_leaves_of_an_end_is_deleted(self, front):
        """The record says ended, the process died: whoever tidies deletes the rest."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL[: PART + FRAME + 5])
        front.archive.catalog.terminate_upload(uid)
        assert self.leftovers(front, uid) != []
        assert tidying.discard_ended(front.archive) == 1
        assert self.leftovers(front, uid) == []
        assert tidying.discard_ended(front.archive) == 0

    def test_what_is_complete_and_ended_is_gone(self, front):
        """A file whose digest was wrong has a name already where it lies; the end of the upload is the end of it."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL)
        with pytest.raises(Broken):
            front.finish(uid, refuse)
        front.archive.terminate_upload(uid, "o")
        assert self.leftovers(front, uid) == []
        assert front.visible() == []

    def test_an_upload_whose_time_is_over_goes(self, front):
        """With everything that arrived of it."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL[: PART + 5])
        assert tidying.expire_uploads(front.archive, datetime.now(UTC)) == 0
        assert tidying.expire_uploads(front.archive, datetime.now(UTC) + 2 * DAY) == 1
        assert self.leftovers(front, uid) == []

    def test_an_upload_under_way_is_not_collected(self, front):
        """However old its pieces and parts are, and what is complete and waits for the right digest."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL[: PART + FRAME + 5])
        self.collect(front)
        front.send(uid, POOL[PART + FRAME + 5 :])
        with pytest.raises(Broken):
            front.finish(uid, refuse)
        self.collect(front)
        front.finish(uid)
        assert front.original(uid) == POOL

    def collect(self, front):
        """All that is ever deleted, a day later."""
        tidying.discard_originals(front.archive, datetime.now(UTC) + DAY)
        front.archive.arrivals.collect(datetime.now(UTC) + DAY)
        tidying.discard_ended(front.archive)

    def test_more_than_was_announced_is_not_promised(self, front):
        """The catalogue and the writer both know the length."""
        uid = front.announce(10)
        writer = front.begin(uid)

        def send():
            writer.write(POOL[:11])
            writer.keep(writer.mark())

        with pytest.raises(StateConflict):
            send()
        writer.close()
        assert front.offset(uid) == 0


class TestDisk(ArrivalsContract):
    """Files in the PHI zone; every front end of the site sees the same disk."""

    @pytest.fixture
    def fronts(self, tmp_path, sqlite_url):
        made = []

        def make():
            made.append(Archive.open(Settings(data_dir=tmp_path / "data", database_url=sqlite_url), with_vault=True))
            return Front(made[-1])

        yield make
        for archive in made:
            archive.close()

    def leftovers(self, front, uid):
        path = front.archive.storage.incoming(uid)
        return [path] if path.exists() else []


@functools.cache
def clients(number, bucket):
    """Those of the first front end, the second, …: they know no prefix, and take longer to make than most tests."""
    return Clients(bucket)


class BucketContract(ArrivalsContract):
    """What holds of buckets besides: front ends have nothing in common but the bucket and the catalogue."""

    KIND = ""

    @pytest.fixture
    def bucket(self, s3_server):
        return below(s3_server(self.KIND), f"site/{secrets.token_hex(8)}")

    @pytest.fixture
    def fronts(self, tmp_path, sqlite_url, bucket, monkeypatch):
        made = []
        shared = {
            "database_url": sqlite_url,
            "vault_key_file": tmp_path / "vault.key",
            "originals_key_file": tmp_path / "originals.key",
            **settings_of(bucket),
        }
        for name in ("vault", "originals"):
            load_or_create_key(tmp_path / f"{name}.key")

        def make():
            monkeypatch.setattr(s3_store, "Clients", lambda asked: clients(len(made), replace(asked, prefix="")))
            folder = tmp_path / f"data-{len(made)}"
            made.append(Archive.open(Settings(data_dir=folder, **shared), with_vault=True))
            return Front(made[-1])

        yield make
        for archive in made:
            archive.close()

    @pytest.fixture
    def behind(self, bucket):
        """Everything below the site's prefix by its key, and everything begun there."""

        def look():
            s3 = client(bucket)
            listed = s3.list_objects_v2(Bucket=bucket.name, Prefix=bucket.prefix).get("Contents", ())
            begun = s3.list_multipart_uploads(Bucket=bucket.name).get("Uploads", ())
            ours = [found["UploadId"] for found in begun if found["Key"].startswith(bucket.prefix)]
            return [found["Key"] for found in listed], ours

        return look

    def leftovers(self, front, uid):
        arrivals = front.archive.arrivals
        pieces = [kept.name for kept in arrivals.pieces.names(f"{uid}.")]
        begun = front.archive.arrivals.store
        listed = begun._client.list_multipart_uploads(Bucket=begun._bucket).get("Uploads", ())
        ours = [found["UploadId"] for found in listed if found["Key"].startswith(f"{begun._front}{uid}.")]
        known = front.archive.catalog.arrivals.get(uid)
        return pieces + ours + ([known] if known else [])

    def test_nothing_of_it_is_plain_anywhere(self, front, bucket, behind):
        """Neither in the bucket, half arrived and whole, nor on the front end's disk."""
        words = b"JANE DOE 1950-02-03 " * (PART // 20 + 5000)
        uid = front.announce(len(words))
        for at in (0, PART - 7, len(words)):
            front.send(uid, words[front.offset(uid) : at])
            for key in behind()[0]:
                assert b"JANE" not in client(bucket).get_object(Bucket=bucket.name, Key=key)["Body"].read()
        front.finish(uid)
        (key,) = behind()[0]
        assert b"JANE" not in client(bucket).get_object(Bucket=bucket.name, Key=key)["Body"].read()
        for path in front.archive.storage.root.rglob("*"):
            assert not path.is_file() or b"JANE" not in path.read_bytes()

    def test_a_whole_upload_leaves_one_object(self, front, behind):
        """No pieces, nothing begun."""
        uid = front.announce(len(POOL))
        for at in range(0, len(POOL), 70_000):
            front.send(uid, POOL[at : at + 70_000])
        front.finish(uid)
        objects, begun = behind()
        assert len(objects) == 1
        assert begun == []

    def test_parts_are_equally_long(self, front):
        """All but the last, as servers want it that take no others; each with the SHA-256 of what was sent."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL, 5, FRAME, PART)
        parts = front.archive.catalog.arrivals.get(uid).parts
        assert len({kept.part.size for kept in parts[:-1]}) == 1
        assert len(parts) == 4
        assert all(len(kept.part.digest) == 32 for kept in parts)

    def test_a_lost_answer_is_not_taken_for_a_refusal(self, front, monkeypatch):
        """The parts were put together and nobody heard it; asked again, the server says there is nothing to do."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL)
        arrival, store = front.archive.catalog.arrivals.get(uid), front.archive.arrivals.store
        store.complete(arrival.name, arrival.token, [kept.part for kept in arrival.parts])
        store.abort(arrival.name, arrival.token)
        front.finish(uid)
        assert front.original(uid) == POOL

    @pytest.mark.parametrize("where", ["piece", "part"])
    def test_a_bit_that_turned_over_in_the_bucket_is_noticed(self, front, bucket, behind, where):
        """In a piece before it becomes part of the file, or in the file: no digest fits, and nothing is queued."""
        uid = front.announce(PART + 10)
        front.send(uid, POOL[: FRAME + 100 if where == "piece" else PART + 10])
        if where == "part":
            with pytest.raises(Broken):
                front.finish(uid, refuse)
        s3, (key,) = client(bucket), behind()[0]
        data = bytearray(s3.get_object(Bucket=bucket.name, Key=key)["Body"].read())
        data[1000] ^= 1
        s3.put_object(Bucket=bucket.name, Key=key, Body=bytes(data))
        if where == "piece":
            front.send(uid, POOL[FRAME + 100 : PART + 10])
        with pytest.raises((Broken, StorageFailed)):
            front.finish(uid, lambda found: found == hashlib.sha256(POOL[: PART + 10]).hexdigest() or refuse(found))
        assert sum(front.archive.catalog.counts().values()) == 0

    def test_half_a_frame_that_turned_over_is_noticed(self, front, bucket, behind):
        """Whoever goes on reads it back, and refuses it."""
        uid = front.announce(PART)
        front.send(uid, POOL[:100])
        s3, (key,) = client(bucket), behind()[0]
        s3.put_object(Bucket=bucket.name, Key=key, Body=bytes(128))
        with pytest.raises(OriginalDamaged):
            front.begin(uid)

    def test_parts_that_are_not_the_acknowledged_ones(self, front):
        """Somebody overwrote one: nothing is made of them, and the digest check is told that none fits."""
        uid = front.announce(PART + 10)
        front.send(uid, POOL[: PART + 10])
        arrival, store = front.archive.catalog.arrivals.get(uid), front.archive.arrivals.store
        store.send(arrival.name, arrival.token, 1, BytesIO(bytes(arrival.parts[0].part.size)))
        with pytest.raises(Broken):
            front.finish(uid, refuse)
        assert front.visible() == []

    def test_the_key_goes_with_the_record(self, front):
        """From the moment an upload is over nobody can read what still lies in the bucket."""
        uid = front.announce(PART)
        front.send(uid, POOL[:100])
        wrapped = front.archive.catalog.arrivals.get(uid).wrapped
        front.archive.catalog.terminate_upload(uid)
        assert front.archive.catalog.arrivals.get(uid).wrapped is None
        front.archive.catalog._db.forget()
        root = front.archive.storage.root.parent
        assert wrapped not in b"".join(path.read_bytes() for path in root.glob("catalogue.*"))
        tidying.discard_ended(front.archive)

    def test_what_no_row_names_is_collected_after_a_day(self, front, behind):
        """Pieces of a writer that was overtaken, and something begun that nobody wrote down."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL[: PART + 5])
        arrivals = front.archive.arrivals
        arrivals.pieces.replace(f"{uid}.0.5.99", BytesIO(b"late"))
        lost = arrivals.store.begin(f"{uid}.lost")
        now = datetime.now(UTC)
        assert tidying.collect(front.archive, now) == 0
        assert lost in behind()[1]
        front.archive.catalog._now = lambda: now + DAY
        assert tidying.collect(front.archive, now + DAY + timedelta(hours=1)) == 2
        objects, begun = behind()
        assert [key for key in objects if key.endswith(".0.5.99")] == []
        assert begun == [arrivals.catalog.arrivals.get(uid).token]

    def test_an_upload_that_began_on_the_disk_ends_there(self, front):
        """The bucket was set up meanwhile: what was promised stays promised."""
        uid = front.announce(10)
        front.archive.storage.make_incoming(uid)
        front.send(uid, POOL[:6])
        assert front.archive.storage.incoming(uid).read_bytes() == POOL[:6]
        front.send(uid, POOL[6:10])
        front.finish(uid)
        assert front.original(uid) == POOL[:10]
        assert not front.archive.storage.incoming(uid).exists()

    def test_an_original_that_arrived_in_parts_is_purged(self, front, behind):
        """Key and bytes."""
        uid = front.announce(len(POOL))
        front.send(uid, POOL)
        sid = front.finish(uid)
        front.archive.catalog.cancel(front.archive.catalog.jobs(sid)[-1].id)
        front.archive.purge(sid, "curator", "asked to")
        assert behind() == ([], [])
        with pytest.raises(OriginalPurged):
            front.archive.original(uid)


class TestNanio(BucketContract):
    """A server that knows no checksums."""

    KIND = "nanio"


class TestMinistack(BucketContract):
    """A server that knows them."""

    KIND = "ministack"
