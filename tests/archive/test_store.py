"""What every store promises, on a folder and on two S3 servers that have nothing in common."""

import os
import secrets
import threading
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest

from coverslip.archive import folder_store, s3_store
from coverslip.archive.folder_store import FolderStore
from coverslip.archive.s3_store import S3Store
from coverslip.archive.store import Store
from coverslip.errors import NotFound, OutputExists, StorageAway, StorageFailed, StorageFull
from tests.s3_servers import below, client

HOUR = timedelta(hours=1)
PART = 5 << 20
"""The least S3 allows; the code under test uses 32 MiB."""
LARGE = 2 * PART + 12345
"""Two parts and a rest."""


def chunks(data, size=1 << 20):
    """As an encrypting generator hands them over."""
    return (data[at : at + size] for at in range(0, len(data), size))


class Broken(Exception):
    """Whatever a source of bytes may raise."""


def breaking_off(data):
    yield from chunks(data)
    raise Broken


class StoreContract:
    """The promises; a subclass says where the store lies and how to look behind it."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def begun(self):
        """Begins a put that never ends, the way a killed process leaves it."""
        raise NotImplementedError

    @pytest.mark.parametrize("length", [0, 1, PART, LARGE])
    def test_what_was_put_is_read(self, store, length):
        """Whole, in parts around every edge, and its size."""
        data = os.urandom(length)
        store.put("uid.one", chunks(data))
        assert store.stat("uid.one").size == length
        assert store.read("uid.one", length, 0) == data
        for offset in {0, 1, length // 2, max(0, PART - 7), max(0, length - 5)}:
            assert store.read("uid.one", 10, offset) == data[offset : offset + 10]
        assert store.read("uid.one", 10, length) == b""
        assert store.read("uid.one", 10, length + 5) == b""

    def test_a_name_is_taken_once(self, store):
        """The second put is refused and changes nothing."""
        store.put("a/b/slide.svs", chunks(b"first"))
        with pytest.raises(OutputExists):
            store.put("a/b/slide.svs", chunks(b"second"))
        assert store.read("a/b/slide.svs", 9, 0) == b"first"

    @pytest.mark.parametrize("length", [10, LARGE])
    def test_nothing_shows_before_it_is_whole(self, store, length):
        """Half-way through a put nobody sees anything of it."""
        seen = []

        def watched():
            for chunk in chunks(bytes(length)):
                yield chunk
                seen.extend(store.names())
                with pytest.raises(NotFound):
                    store.stat("uid.one")

        store.put("uid.one", watched())
        assert seen == []
        assert [kept.name for kept in store.names()] == ["uid.one"]

    @pytest.mark.parametrize("length", [10, LARGE])
    def test_a_put_that_breaks_off_leaves_nothing(self, store, length):
        """What the source of the bytes raises comes through; no file, nothing to clean up, and the name is free."""
        with pytest.raises(Broken):
            store.put("uid.one", breaking_off(bytes(length)))
        assert list(store.names()) == []
        assert store.abandon(datetime.now(UTC) + HOUR) == 0
        store.put("uid.one", chunks(b"x"))

    def test_what_is_missing_is_not_found(self, store):
        """By our own error, whatever is asked; deleting it is no error."""
        for ask in (store.stat, lambda name: store.read(name, 1, 0)):
            with pytest.raises(NotFound):
                ask("uid.none")
        store.remove("uid.none")

    @pytest.mark.parametrize(
        "name", ["", "..", "../x", "/x", "a//b", "a/../b", ".hidden", "a/.b", "é", "a\n", "a" * 97]
    )
    def test_a_name_that_is_not_ours_reaches_nothing(self, store, name):
        """Default deny, before any disk or network."""
        for act in (store.stat, store.remove, lambda n: store.put(n, ()), lambda n: store.read(n, 1, 0)):
            with pytest.raises(NotFound):
                act(name)

    def test_files_are_listed_with_size_and_time(self, store):
        """By prefix, which need not end at a slash; the time is the store's own."""
        for name in ("one.a", "one.b", "two/x/slide.svs"):
            store.put(name, chunks(b"abc"))
        found = {kept.name: kept for kept in store.names()}
        assert sorted(found) == ["one.a", "one.b", "two/x/slide.svs"]
        assert sorted(kept.name for kept in store.names("one.")) == ["one.a", "one.b"]
        assert [kept.name for kept in store.names("two/x/")] == ["two/x/slide.svs"]
        for kept in found.values():
            assert kept.size == 3
            assert abs(kept.since - datetime.now(UTC)) < HOUR

    def test_what_is_removed_is_gone(self, store):
        """And its name can be used again."""
        store.put("uid.one", chunks(b"x"))
        store.remove("uid.one")
        assert list(store.names()) == []
        with pytest.raises(NotFound):
            store.read("uid.one", 1, 0)
        store.put("uid.one", chunks(b"y"))

    def test_what_a_dead_process_began_is_deleted_when_it_is_old(self, store, begun):
        """Not what may still be under way; never what is whole."""
        store.put("uid.whole", chunks(b"x"))
        begun("uid.half")
        assert [kept.name for kept in store.names()] == ["uid.whole"]
        assert store.abandon(datetime.now(UTC) - HOUR) == 0
        assert store.abandon(datetime.now(UTC) + HOUR) == 1
        assert store.abandon(datetime.now(UTC) + HOUR) == 0
        assert store.stat("uid.whole").size == 1

    def test_many_read_at_once(self, store):
        """Readers share a store."""
        data = os.urandom(100_000)
        store.put("uid.one", chunks(data))
        wrong = []

        def look(offset):
            if store.read("uid.one", 1000, offset) != data[offset : offset + 1000]:
                wrong.append(offset)

        threads = [threading.Thread(target=look, args=(offset,)) for offset in range(0, 64_000, 4000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestFolder(StoreContract):
    """A local folder."""

    @pytest.fixture
    def store(self, tmp_path):
        return FolderStore(tmp_path / "store")

    @pytest.fixture
    def begun(self, tmp_path):
        return lambda name: (tmp_path / "store" / ".0123.part").write_bytes(b"half")

    def test_only_we_may_look(self, store, tmp_path):
        """0600 in 0700."""
        store.put("a/b", chunks(b"x"))
        assert (tmp_path / "store" / "a").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "store" / "a" / "b").stat().st_mode & 0o777 == 0o600

    def test_the_disk_begins_before_the_end(self, store, monkeypatch):
        """With every byte once and in order, and what is asked of it changes nothing about what lies there."""
        begun = []
        monkeypatch.setattr(folder_store, "EARLY", 3 << 20)
        monkeypatch.setattr(folder_store, "begin_flush", lambda handle, start, length: begun.append((start, length)))
        data = os.urandom(8 << 20)
        store.put("large", chunks(data))
        assert begun == [(0, 3 << 20), (3 << 20, 3 << 20)]
        assert store.read("large", len(data), 0) == data

    def test_a_full_disk_is_said_so(self, store, tmp_path, monkeypatch):
        """And nothing stays of what was begun."""

        def full(handle, data):
            raise OSError(28, "ENOSPC")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StorageFull):
            store.put("uid.one", chunks(b"x"))
        assert list((tmp_path / "store").iterdir()) == []


class S3Contract(StoreContract):
    """What holds of buckets besides; the server runs once, each test has a prefix of its own."""

    KIND = ""

    @pytest.fixture
    def server(self, s3_server):
        return s3_server(self.KIND)

    @pytest.fixture
    def bucket(self, server):
        return below(server, f"site/{secrets.token_hex(8)}")

    @pytest.fixture
    def store(self, bucket, monkeypatch):
        monkeypatch.setattr(s3_store, "PART", PART)
        return S3Store(bucket)

    @pytest.fixture
    def begun(self, bucket):
        def begin(name):
            made = client(bucket).create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}/{name}")
            client(bucket).upload_part(
                Bucket=bucket.name, Key=f"{bucket.prefix}/{name}", UploadId=made["UploadId"], PartNumber=1, Body=b"half"
            )

        return begin

    def test_other_prefixes_are_not_ours(self, server, store):
        """Two installations may share a bucket."""
        other = S3Store(below(server, "elsewhere"))
        other.put("uid.theirs", chunks(b"x"))
        assert list(store.names()) == []
        other.remove("uid.theirs")

    def test_what_arrived_otherwise_is_deleted_and_said(self, store, monkeypatch):
        """The look after completion compares; a server that lost a byte keeps nothing."""
        head = store._client.head_object
        answers = []

        def shorter(**asked):
            answers.append(head(**asked))
            return {**answers[-1], "ContentLength": answers[-1]["ContentLength"] - 1}

        monkeypatch.setattr(store._client, "head_object", shorter)
        with pytest.raises(StorageFailed):
            store.put("uid.one", chunks(bytes(LARGE)))
        monkeypatch.undo()
        assert answers
        assert list(store.names()) == []

    def test_what_somebody_deletes_while_it_is_completed_is_not_found(self, store, monkeypatch):
        """Whoever ends an upload while another one finishes it; no bucket did anything wrong."""
        token = store.begin("uid.one")
        part = store.send("uid.one", token, 1, BytesIO(b"whole"))
        head = store._client.head_object

        def too_late(**asked):
            store.remove("uid.one")
            return head(**asked)

        monkeypatch.setattr(store._client, "head_object", too_late)
        with pytest.raises(NotFound):
            store.complete("uid.one", token, [part])


class TestNanio(S3Contract):
    """A server that writes to a folder and knows no conditions and no checksums."""

    KIND = "nanio"


class TestMinistack(S3Contract):
    """A server in memory, close to Amazon's, conditions and checksums included."""

    KIND = "ministack"

    @pytest.mark.parametrize("length", [10, LARGE])
    def test_of_two_writers_one_wins(self, store, monkeypatch, length):
        """Both saw that the name was free; the server takes one of them."""
        store.put("uid.one", chunks(b"first"))
        monkeypatch.setattr(store, "_head", lambda key: None)
        with pytest.raises(OutputExists):
            store.put("uid.one", chunks(bytes(length)))
        monkeypatch.undo()
        assert store.read("uid.one", 9, 0) == b"first"
        assert store.abandon(datetime.now(UTC) + HOUR) == 0

    @pytest.mark.parametrize("length", [10, LARGE])
    def test_a_part_that_changed_on_its_way_is_refused(self, store, monkeypatch, length):
        """Each part carries the SHA-256 of what we meant to send."""

        class Lying:
            def __init__(self, data=b""):
                self.update(data)

            def update(self, data):
                pass

            def digest(self):
                return bytes(32)

        monkeypatch.setattr(s3_store.hashlib, "sha256", Lying)
        with pytest.raises(StorageFailed):
            store.put("uid.one", chunks(bytes(length)))
        monkeypatch.undo()
        assert list(store.names()) == []


def test_a_server_that_is_away_is_our_error():
    """No address and no key in the text."""
    away = s3_store.Bucket("slides", endpoint="http://127.0.0.1:1", key_id="id", secret="hush")
    store = S3Store(away)
    for ask in (store.stat, lambda name: store.put(name, ()), store.remove, lambda name: list(store.names())):
        with pytest.raises(StorageAway) as caught:
            ask("uid.one")
        assert "127.0.0.1" not in str(caught.value)
    with pytest.raises(StorageAway):
        store.read("uid.one", 1, 0)
