"""What holds of clean slides wherever they lie: in folders, or in a store below a bucket."""

from datetime import UTC, datetime, timedelta
from secrets import token_hex

import pytest

from coverslip.archive.clean import BucketSlides, CleanSlides
from coverslip.archive.folder_store import FolderStore
from coverslip.archive.storage import Storage, Zone
from coverslip.errors import NotFound, OutputExists

FILES = {"slide.svs": b"tissue" * 1000, "slide.pyramid": b"index", "slide.certificate.json": b"{}"}


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


class CleanContract:
    """The promises; a subclass says where."""

    @pytest.fixture
    def clean(self) -> CleanSlides:
        raise NotImplementedError

    @pytest.fixture
    def put(self):
        """Puts a file of that name beside the slides, as somebody else does."""
        raise NotImplementedError

    @pytest.fixture
    def publish(self, clean, tmp_path):
        """Publishes the files of a slide, from a draft below tmp."""

        def act(sid, artefact, files=FILES):
            draft = tmp_path / "data" / "tmp" / token_hex(4)
            draft.mkdir(parents=True)
            for name, data in files.items():
                (draft / name).write_bytes(data)
            clean.publish(draft, sid, artefact)

        return act

    def test_what_was_published_is_read(self, clean, publish):
        """Every file: its size, all of it, parts of it."""
        publish("sid", "art-1")
        for name, data in FILES.items():
            found = clean.file(Zone.REVIEW, "sid", "art-1", name)
            assert (found.size, found.read(len(data), 0)) == (len(data), data)
            assert found.read(3, 1) == data[1:4]
            assert found.read(9, len(data)) == b""
            assert abs(found.since - datetime.now(UTC)) < timedelta(hours=1)

    def test_what_somebody_else_put_there_is_in_nobodys_way(self, clean, publish, put):
        """A readme, a file manager's notes, what a server writes at the moment: each round of tidying meets them."""
        publish("sid", "art-1")
        for name in (
            "readme",
            "sid/readme",
            "sid/art-1/.tmp.ab",
            "sid/art-1/a b",
            "a b/art-1/slide.svs",
            "sid/art-1/d/e/f",
        ):
            put(name)
        assert clean.artefacts_in(Zone.REVIEW) == (("sid", "art-1"),)
        clean.remove_artefact("sid", "art-1")
        assert clean.artefacts_in(Zone.REVIEW) == ()

    def test_a_name_is_taken_once(self, clean, publish):
        """An artefact never changes."""
        publish("sid", "art-1")
        with pytest.raises(OutputExists):
            publish("sid", "art-1", {"slide.svs": b"other"})
        assert clean.file(Zone.REVIEW, "sid", "art-1", "slide.svs").size == len(FILES["slide.svs"])

    def test_what_is_missing_is_not_found(self, clean, publish):
        """Also with a name that leaves its place."""
        publish("sid", "art-1")
        for sid, artefact, name in (
            ("sid", "art-1", "slide.tiff"),
            ("sid", "art-2", "slide.svs"),
            ("other", "art-1", "slide.svs"),
            ("sid", "art-1", "../art-1/slide.svs"),
            ("..", "art-1", "slide.svs"),
            ("sid", "art-1", ""),
        ):
            with pytest.raises(NotFound):
                clean.file(Zone.REVIEW, sid, artefact, name)

    def test_a_release_can_be_read_where_it_went(self, clean, publish):
        """There and back, and twice does no harm."""
        publish("sid", "art-1")
        for source, target in ((Zone.REVIEW, Zone.RELEASED), (Zone.RELEASED, Zone.REVIEW)):
            for _ in range(2):
                clean.move_artefact("sid", "art-1", source=source, target=target)
            assert clean.file(target, "sid", "art-1", "slide.pyramid").read(9, 0) == b"index"

    def test_what_lies_there_is_listed_and_removed(self, clean, publish):
        """By slide and artefact; removing one leaves the other, and twice does no harm."""
        for artefact in ("art-1", "art-12"):
            publish("sid", artefact)
        assert sorted(clean.artefacts_in(Zone.REVIEW)) == [("sid", "art-1"), ("sid", "art-12")]
        for _ in range(2):
            clean.remove_artefact("sid", "art-1")
        assert clean.artefacts_in(Zone.REVIEW) == (("sid", "art-12"),)
        with pytest.raises(NotFound):
            clean.file(Zone.REVIEW, "sid", "art-1", "slide.svs")
        assert clean.abandon(datetime.now(UTC) - timedelta(hours=1)) == 0


class TestFolders(CleanContract):
    """The zones of a data folder."""

    @pytest.fixture
    def clean(self, tmp_path):
        return Storage(tmp_path / "data")

    @pytest.fixture
    def put(self, tmp_path):
        return lambda name: write(tmp_path / "data" / "review" / name)

    def test_what_a_crash_left_half_deleted_goes_later(self, clean, publish, monkeypatch):
        """It has no name any more; not at once, for somebody may be deleting it right now."""
        publish("sid", "art-1")
        publish("sid", "art-2")
        with monkeypatch.context() as patched:
            patched.setattr("coverslip.durable.clear", lambda folder: None)
            clean.remove_artefact("sid", "art-1")
        now = datetime.now(UTC)
        assert clean.artefacts_in(Zone.REVIEW) == (("sid", "art-2"),)
        assert (clean.abandon(now - timedelta(hours=1)), clean.abandon(now + timedelta(hours=1))) == (0, 1)
        assert clean.abandon(now + timedelta(hours=1)) == 0
        assert [path.name for path in (clean.root / "review" / "sid").iterdir()] == ["art-2"]


class TestStore(CleanContract):
    """Names in a store, here one on the disk."""

    @pytest.fixture
    def clean(self, tmp_path):
        return BucketSlides(FolderStore(tmp_path / "store"))

    @pytest.fixture
    def put(self, tmp_path):
        return lambda name: write(tmp_path / "store" / "clean" / name)


@pytest.mark.parametrize("kind", ["nanio", "ministack"])
class TestBucket(CleanContract):
    """Names in a bucket."""

    @pytest.fixture
    def bucket(self, s3_server, kind):
        from tests.s3_servers import below

        return below(s3_server(kind), token_hex(8))

    @pytest.fixture
    def clean(self, bucket):
        from coverslip.archive.s3_store import S3Store

        return BucketSlides(S3Store(bucket))

    @pytest.fixture
    def put(self, bucket):
        from tests.s3_servers import client

        return lambda name: client(bucket).put_object(
            Bucket=bucket.name, Key=f"{bucket.prefix}/clean/{name}", Body=b"x"
        )
