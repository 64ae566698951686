"""Clean slides and originals in a bucket: everything answers as it does from a folder, and nothing lies here."""

import hashlib
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import queueing, slides, tidying
from coverslip.archive.kinds import JobKind
from coverslip.archive.records import Refused
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.archive.turns import Priority
from coverslip.errors import OriginalPurged
from coverslip.geometry import Size
from coverslip.pyramid import build
from samples import aperio
from workers.sweeper import tidy


@pytest.fixture(scope="module")
def pair(house, house_with_bucket):
    """The same released slide from a folder and from a bucket."""
    return [(one, one.slide(State.RELEASED)) for one in (house, house_with_bucket)]


def both(pair, path, role=None, **headers):
    """The two answers to one address."""
    return [one.client(role).get(path.format(sid=sid), headers=headers) for one, sid in pair]


ADDRESSES = (
    "/slides/{sid}.dzi",
    "/slides/{sid}_files/10/0_0.jpg",
    "/slides/{sid}_files/10/2_1.jpg",
    "/slides/{sid}_files/9/0_0.jpg",
    "/slides/{sid}_files/0/0_0.jpg",
    "/slides/{sid}/thumbnail?width=64",
    "/slides/{sid}/levels",
    "/slides/{sid}/levels/0/tiles/0/0",
    "/slides/{sid}/associated",
    "/slides/{sid}/icc",
    "/slides/{sid}/region?x=10&y=20&w=100&h=50",
    "/slides/{sid}/file",
    "/slides/{sid}.szi",
    "/slides/{sid}_files/99/0_0.jpg",
)


@pytest.mark.parametrize("path", ADDRESSES)
def test_the_answer_is_the_same(pair, path):
    """Status, type, tag and every byte; ids apart."""
    local, remote = both(pair, path)
    assert remote.status_code == local.status_code
    for name in ("content-type", "cache-control", "content-length"):
        assert remote.headers.get(name) == local.headers.get(name), name
    if "json" not in local.headers["content-type"] and not path.endswith(".szi"):
        assert remote.headers.get("etag") == local.headers.get("etag")
        assert remote.content == local.content


@pytest.mark.parametrize(
    "asked", ["bytes=0-9", "bytes=100-", "bytes=-7", "bytes=5-5", "bytes=9999999999-", "bytes=9-1", "x"]
)
def test_a_range_is_the_same(pair, asked):
    """As a viewer that opens the file over HTTP asks for it, refusals included."""
    local, remote = both(pair, "/slides/{sid}/file", range=asked)
    assert (remote.status_code, remote.headers.get("content-range")) == (
        local.status_code,
        local.headers.get("content-range"),
    )
    if local.status_code == 206:
        assert remote.content == local.content


def test_a_range_of_something_older_is_all_of_it(pair):
    """If-Range with another tag."""
    local, remote = both(pair, "/slides/{sid}/file", range="bytes=0-9", **{"if-range": '"other"'})
    assert remote.status_code == local.status_code == 200
    assert remote.content == local.content


def test_whoever_has_it_is_sent_nothing(pair):
    """304 for the file and for a tile."""
    for path in ("/slides/{sid}/file", "/slides/{sid}_files/9/0_0.jpg"):
        tags = {"if-none-match": both(pair, path)[1].headers["etag"]}
        assert [answer.status_code for answer in both(pair, path, **tags)] == [304, 304]


def test_a_certificate_comes_from_the_bucket(pair):
    """Byte for byte."""
    local, remote = both(pair, "/api/v1/slides/{sid}/report", role="curator")
    assert remote.content == local.content
    assert remote.status_code == 200


def test_the_record_alone_makes_public(house_with_bucket):
    """In review, released and withdrawn without a byte moving; at each step who may look is who may look."""
    house = house_with_bucket
    sid = house.slide(State.IN_REVIEW)
    tile = f"/slides/{sid}_files/9/0_0.jpg"

    def seen(role=None):
        house.archive.catalog.slide(sid)
        return house.client(role).get(tile, headers={"cache-control": "no-cache"}).status_code

    assert (seen(), seen("curator")) == (404, 200)
    before = sorted(kept.name for kept in house.archive.clean._store.names())
    house.archive.transition(sid, State.RELEASED, "curator")
    until(lambda: seen() == 200)
    house.archive.transition(sid, State.WITHDRAWN, "curator")
    until(lambda: seen() == 410)
    assert sorted(kept.name for kept in house.archive.clean._store.names()) == before


def until(holds):
    """An answer is believed for a second."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_nothing_of_a_slide_lies_here(house_with_bucket):
    """Neither clean files nor originals; the review and released folders stay empty."""
    house_with_bucket.slide(State.RELEASED)
    root = house_with_bucket.archive.storage.root
    for zone in ("review", "released", "phi/originals"):
        assert [path for path in (root / zone).rglob("*") if path.is_file()] == []


def test_an_original_goes_to_the_bucket_encrypted_and_is_purged_there(house_with_bucket):
    """From the upload to the end of its key."""
    archive, data = house_with_bucket.archive, b"an original, " * 20_000
    upload = archive.catalog.create_upload("o", len(data), datetime.now(UTC) + timedelta(days=1), "x", {})
    writer = archive.writer(upload, archive.begin_patch(upload.uid))
    writer.write(data)
    writer.keep(writer.mark())
    writer.close()
    seen = []
    sid = archive.finish_upload(archive.catalog.upload(upload.uid), "strict", "default", seen.append)
    assert seen == [hashlib.sha256(data).hexdigest()]
    (kept,) = archive.originals.store.names(upload.uid)
    assert b"an original" not in archive.originals.store.read(kept.name, kept.size, 0)
    claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
    with archive.storage.scratch(sid, claim.artefact), archive.plain_original(claim, lambda: None) as source:
        assert source.read_bytes() == data
    archive.catalog.fail(claim, "storage-failed")
    archive.catalog.cancel(archive.catalog.jobs(sid)[-1].id)
    archive.purge(sid, "curator")
    assert list(archive.originals.store.names(upload.uid)) == []
    with pytest.raises(OriginalPurged):
        archive.original(upload.uid)


def test_what_no_record_points_to_is_collected_once_an_hour(house_with_bucket, tmp_path):
    """A publication whose record never came goes; what a record points to stays; the next look is an hour later."""
    archive = house_with_bucket.archive
    sid = house_with_bucket.slide(State.RELEASED)
    known = archive.catalog.slide(sid)
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "slide.svs").write_bytes(b"x")

    def there():
        return {artefact for found, artefact in archive.clean.artefacts_in(Zone.REVIEW) if found == sid}

    archive.clean.publish(draft, sid, "orphan-1")
    assert there() == {known.artefact, "orphan-1"}
    tidy(archive)
    assert there() == {known.artefact}
    archive.clean.publish(draft, sid, "orphan-2")
    tidy(archive)
    assert there() == {known.artefact, "orphan-2"}
    archive.clean.remove_artefact(sid, "orphan-2")


def is_stored(answer):
    """Whether a tile came out of an index instead of being made."""
    return answer.headers["cache-status"].endswith("detail=stored")


def test_a_complete_pyramid_is_served_from_the_bucket(house_with_bucket, tmp_path):
    """Whoever has the slide open goes on with the new index; the tile is the same, and nobody makes it any more."""
    archive = house_with_bucket.archive
    clean, index = tmp_path / "slide.svs", tmp_path / "slide.pyramid"
    aperio.write(clean, Size(2100, 1100), identifiers=False)
    build(clean, index)
    sha256 = hashlib.sha256(clean.read_bytes()).hexdigest()
    tiled = replace(house_with_bucket.tiled, clean=clean, index=index, sha256=sha256)
    sid = replace(house_with_bucket, tiled=tiled).slide(State.IN_REVIEW)
    curator = house_with_bucket.client("curator")
    made = curator.get(f"/slides/{sid}_files/11/0_1.jpg")
    assert not is_stored(made)
    with archive.catalog._db.write() as session:
        queueing.add(session, datetime.now(UTC), slides.locked(session, sid), JobKind.PYRAMID, Priority.LATER)
    claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
    with archive.clean_here(claim, archive.catalog.slide(sid), lambda: None) as copied:
        assert copied.read_bytes() == clean.read_bytes()
        (tmp_path / "made").mkdir()
        build(copied, tmp_path / "made" / "slide.pyramid", complete=True)
    archive.complete_pyramid(claim, tmp_path / "made")
    until(lambda: is_stored(curator.get(f"/slides/{sid}_files/11/1_1.jpg")))
    stored = curator.get(f"/slides/{sid}_files/11/0_1.jpg")
    assert is_stored(stored)
    assert stored.content == made.content


def test_retention_leaves_nothing_of_an_original_anywhere(house_with_bucket, monkeypatch):
    """Once its time is over there is no object or piece of it, no key, no name and no copy; a line in the trail."""
    archive, data = house_with_bucket.archive, b"PATIENT NAME " * 20_000
    upload = archive.catalog.create_upload("o", len(data), datetime.now(UTC) + timedelta(days=1), "DOE^JANE.svs", {})
    for stop in (100_000, len(data)):
        begin = archive.catalog.upload(upload.uid).offset
        writer = archive.writer(archive.catalog.upload(upload.uid), archive.begin_patch(upload.uid))
        writer.write(data[begin:stop])
        writer.keep(writer.mark())
        writer.close()
    sid = archive.finish_upload(archive.catalog.upload(upload.uid), "strict", "default", str)
    claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
    archive.catalog.finish(claim, Refused("unsupported-slide"))
    settled, wrapped = archive.catalog.slide(sid).updated, archive.catalog.sealed(upload.uid).wrapped
    monkeypatch.setattr(archive, "keep_originals", timedelta(days=1))
    assert tidying.purge_overdue(archive, settled + timedelta(hours=23)) == 0
    assert tidying.purge_overdue(archive, settled + timedelta(hours=24, seconds=1))
    stores = (archive.originals.store, archive.arrivals.pieces, archive.clean._store)
    assert [kept.name for store in stores for kept in store.names() if upload.uid in kept.name] == []
    for path in archive.storage.root.rglob("*"):
        assert upload.uid not in path.name
        assert not path.is_file() or not any(word in path.read_bytes() for word in (b"PATIENT NAME", wrapped))
    assert archive.catalog.events(sid)[-1].action == "original-purged"
