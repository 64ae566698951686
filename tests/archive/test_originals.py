"""Originals at rest: nothing of them can be read or changed unnoticed, and a destroyed key is the end of them."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import tidying
from coverslip.archive.archive import Archive
from coverslip.archive.folder_store import FolderStore
from coverslip.archive.frames import BATCH, FRAME, TAG, Opened
from coverslip.archive.originals import Originals, Sealed
from coverslip.archive.records import Refused
from coverslip.archive.states import State
from coverslip.errors import NotFound, OriginalDamaged, OriginalPurged, StateConflict, StorageFailed
from coverslip.geometry import Size
from coverslip.settings import Settings
from samples import aperio
from workers.sweeper import tidy

HEADER = 24
STRIDE = FRAME + TAG
LENGTH = BATCH + 3 * FRAME + 12345
KEY = b"k" * 32


@pytest.fixture
def plain():
    """Bytes that do not repeat, so that a swapped frame shows."""
    return random.Random(4).randbytes(LENGTH)


@pytest.fixture
def originals(tmp_path):
    return Originals(FolderStore(tmp_path / "store"), KEY)


@pytest.fixture
def seal(originals, tmp_path):
    """Seals bytes; returns where they lie."""

    def put(data, uid="uid"):
        path = tmp_path / "arrived"
        path.write_bytes(data)
        return originals.seal(uid, path, str)

    return put


def everything(opened):
    return b"".join(opened.pieces())


def stored(tmp_path, sealed):
    return tmp_path / "store" / sealed.name


@pytest.mark.parametrize("length", [0, 1, FRAME - 1, FRAME, FRAME + 1, BATCH - 1, BATCH, BATCH + 1, LENGTH])
def test_what_is_kept_is_what_came(originals, seal, plain, length):
    """Around every edge of a frame."""
    opened = originals.open("uid", seal(plain[:length]))
    assert opened.length == length
    assert everything(opened) == plain[:length]


def test_any_part_is_read_without_the_rest(originals, seal, plain):
    """A range decrypts only the frames it touches, and ends where the file ends."""
    sealed = seal(plain)
    asked = []
    read = originals.store.read

    def counting(name, length, offset):
        asked.append(length)
        return read(name, length, offset)

    originals.store.read = counting
    opened = originals.open("uid", sealed)
    ranges = random.Random(5)
    for offset in (0, FRAME - 1, FRAME, LENGTH - 1, LENGTH, *(ranges.randrange(LENGTH) for _ in range(20))):
        asked.clear()
        length = ranges.randrange(1, FRAME)
        assert opened.read(length, offset) == plain[offset : offset + length]
        assert sum(asked) <= 2 * STRIDE


def test_nothing_of_it_stands_in_the_store(originals, tmp_path):
    """No magic number, no vendor's word, no identifier, and the same file twice looks different."""
    source = tmp_path / "DOE^JANE.svs"
    aperio.write(source, Size(700, 500))
    kept = [stored(tmp_path, originals.seal("uid", source, str)) for _ in range(2)]
    first, second = (path.read_bytes() for path in kept)
    data = source.read_bytes()
    words = [data[at : at + 16] for at in range(0, 4096, 64) if any(data[at : at + 16])]
    for piece in (data[:8], b"Aperio", b"ImageDescription", b"DOE^JANE", *words):
        assert piece not in first
    assert first[HEADER:] != second[HEADER:]
    assert source.name not in {path.name for path in kept}


def _flip(at):
    def change(data):
        data[at] ^= 1

    return change


def _drop_a_frame(data):
    del data[HEADER + STRIDE : HEADER + 2 * STRIDE]


def _swap_two_frames(data):
    first, second = slice(HEADER, HEADER + STRIDE), slice(HEADER + STRIDE, HEADER + 2 * STRIDE)
    data[first], data[second] = data[second], data[first]


def _cut_to(length):
    def change(data):
        del data[length:]

    return change


def _add_a_byte(data):
    data.append(0)


def _end_a_frame_earlier(data):
    """The header says so as well: only what is authenticated knows better."""
    data[12:20] = (3 * FRAME).to_bytes(8, "little")
    del data[HEADER + 3 * STRIDE :]


BROKEN = {
    "magic": _flip(0),
    "version": _flip(7),
    "frame size": _flip(9),
    "length": _flip(12),
    "first byte": _flip(HEADER),
    "a tag": _flip(HEADER + STRIDE - 1),
    "last byte": _flip(-1),
    "a frame is gone": _drop_a_frame,
    "two frames change places": _swap_two_frames,
    "cut in a frame": _cut_to(HEADER + STRIDE + 100),
    "cut after a frame": _cut_to(HEADER + 2 * STRIDE),
    "cut in the header": _cut_to(10),
    "empty": _cut_to(0),
    "longer": _add_a_byte,
    "shorter, and the header agrees": _end_a_frame_earlier,
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_change_shows(originals, seal, plain, tmp_path, change):
    """One bit anywhere, a frame dropped, moved or cut: refused by type, before any of that frame is handed out."""
    sealed = seal(plain)
    data = bytearray(stored(tmp_path, sealed).read_bytes())
    change(data)
    stored(tmp_path, sealed).write_bytes(data)
    with pytest.raises(OriginalDamaged):
        everything(originals.open("uid", sealed))


def test_a_frame_of_another_original_shows(originals, seal, plain, tmp_path):
    """Every original has a key of its own."""
    one, two = seal(plain), seal(plain, uid="other")
    data = bytearray(stored(tmp_path, one).read_bytes())
    data[HEADER : HEADER + STRIDE] = stored(tmp_path, two).read_bytes()[HEADER : HEADER + STRIDE]
    stored(tmp_path, one).write_bytes(data)
    with pytest.raises(OriginalDamaged):
        originals.open("uid", one).read(1, 0)


def test_frames_are_bound_to_their_upload(originals, seal, plain):
    """With the right key, under the name of another upload, nothing opens."""
    sealed = seal(plain)
    key = originals._wrap.decrypt(sealed.wrapped[:12], sealed.wrapped[12:], b"uid")
    size = originals.store.stat(sealed.name).size

    def read(length, offset):
        return originals.store.read(sealed.name, length, offset)

    assert Opened(read, size, key, "uid").read(FRAME, 0) == plain[:FRAME]
    with pytest.raises(OriginalDamaged):
        Opened(read, size, key, "other").read(1, 0)


def test_a_wrong_key_opens_nothing(originals, seal, plain):
    """Another installation's key, another upload's row, a row that was cut."""
    sealed = seal(plain)
    for keeper, uid, row in (
        (Originals(originals.store, b"x" * 32), "uid", sealed),
        (originals, "other", sealed),
        (originals, "uid", Sealed(sealed.name, sealed.wrapped[:-1])),
        (originals, "uid", Sealed(sealed.name, b"")),
    ):
        with pytest.raises(OriginalDamaged):
            keeper.open(uid, row)


def test_a_header_cannot_ask_for_much(originals, seal, tmp_path):
    """Its numbers are bounded and compared with what there is, before anything is read by them."""
    sealed = seal(b"x")
    data = bytearray(stored(tmp_path, sealed).read_bytes())
    data[8:12] = (1 << 31).to_bytes(4, "little")
    stored(tmp_path, sealed).write_bytes(data)
    with pytest.raises(OriginalDamaged):
        originals.open("uid", sealed)


def test_nothing_stays_of_a_file_that_was_refused(originals, tmp_path):
    """The digest is judged before the file gets its name."""

    def refuse(sha256):
        raise StateConflict

    path = tmp_path / "arrived"
    path.write_bytes(b"x" * (2 * FRAME))
    with pytest.raises(StateConflict):
        originals.seal("uid", path, refuse)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_file_that_changes_while_it_is_sealed_is_refused(originals, tmp_path):
    """Shorter or longer than it was when we began: not what anybody's digest was made of."""
    path = tmp_path / "arrived"
    path.write_bytes(b"x" * FRAME)
    put = originals.store.put

    def grown(name, chunks):
        path.write_bytes(b"x" * (FRAME + 1))
        put(name, chunks)

    originals.store.put = grown
    with pytest.raises(StorageFailed):
        originals.seal("uid", path, str)


@pytest.fixture
def archive(tmp_path, sqlite_url):
    """An installation that keeps originals for a day."""
    settings = Settings(data_dir=tmp_path / "data", database_url=sqlite_url, keep_originals=timedelta(days=1))
    found = Archive.open(settings, with_vault=True)
    yield found
    found.close()


def arrive(archive):
    """A queued slide whose original lies encrypted; its id and its upload's."""
    data = b"original" * 1000
    upload = archive.catalog.create_upload("o", len(data), datetime.now(UTC) + timedelta(days=1), "DOE^JANE.svs", {})
    generation = archive.begin_patch(upload.uid)
    archive.storage.incoming(upload.uid).write_bytes(data)
    archive.catalog.advance(upload.uid, generation, len(data))
    return archive.finish_upload(archive.catalog.upload(upload.uid), "strict", "default", str), upload.uid


def publish(archive, sid, produced):
    claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
    with archive.storage.scratch(sid, claim.artefact) as draft:
        (draft / "slide.svs").write_bytes(b"clean")
        archive.publish(claim, draft, produced)


def test_an_upload_is_plain_text_no_longer_than_it_takes(archive):
    """Once it is a slide only the encrypted file is there."""
    sid, uid = arrive(archive)
    assert archive.catalog.slide(sid).state is State.QUEUED
    assert not archive.storage.incoming(uid).exists()
    assert everything(archive.original(uid)) == b"original" * 1000
    for path in archive.storage.root.rglob("*"):
        assert not path.is_file() or b"originaloriginal" not in path.read_bytes()


def test_a_purge_between_verdict_and_tidying_up_fails_nobody(archive, monkeypatch):
    """Who gave the verdict is done, however quick the curator is who reads it."""
    sid, uid = arrive(archive)
    claim = archive.catalog.claim(archive.catalog.jobs(sid)[-1].id, "worker")
    finish = archive.catalog.finish

    def finish_and_purge(*given, **how):
        finish(*given, **how)
        archive.purge(sid, "curator")

    monkeypatch.setattr(archive.catalog, "finish", finish_and_purge)
    archive.set_aside(claim, Refused("damaged-slide"))
    assert archive.catalog.slide(sid).state is State.REJECTED
    assert archive.catalog.is_purged(uid)


def test_retention_ends_in_a_purge(archive, produced):
    """A day after the release, not before: no key, no bytes, no file name; the clean slide and the trail stay."""
    sid, uid = arrive(archive)
    publish(archive, sid, produced)
    archive.transition(sid, State.RELEASED, "curator")
    released = archive.catalog.slide(sid).updated
    assert tidying.purge_overdue(archive, released + timedelta(hours=23)) == 0
    wrapped = archive.catalog.sealed(uid).wrapped
    assert tidying.purge_overdue(archive, released + timedelta(hours=25)) == 1
    assert tidying.purge_overdue(archive, released + timedelta(hours=25)) == 0
    with pytest.raises(OriginalPurged):
        archive.original(uid)
    with pytest.raises(NotFound):
        archive.catalog.unseal(uid, "curator")
    assert list(archive.originals.store.names()) == []
    assert b"".join(path.read_bytes() for path in archive.storage.root.glob("catalogue.*")).count(wrapped) == 0
    assert archive.catalog.events(sid)[-1].action == "original-purged"
    assert (archive.where_is(archive.catalog.slide(sid)) / "slide.svs").read_bytes() == b"clean"


@pytest.mark.parametrize("moves", [(State.REJECTED,), (State.RELEASED, State.WITHDRAWN)], ids=lambda moves: moves[-1])
def test_of_a_slide_that_is_over_nothing_stays(archive, produced, moves):
    """Nobody is shown it again: its clean files go with its original, and a crash in between keeps none of them."""
    sid, _ = arrive(archive)
    publish(archive, sid, produced)
    for state in moves:
        archive.transition(sid, state, "curator")
    folder = archive.where_is(archive.catalog.slide(sid))
    archive.catalog.purge(sid, "curator")
    assert folder.exists()
    assert archive.catalog.slide(sid).artefact is None
    tidy(archive)
    assert not folder.exists()
    with pytest.raises(OriginalPurged):
        archive.purge(sid, "curator")
    assert archive.catalog.load("o").owned == 0


def test_a_purge_deletes_what_a_withdrawal_left(archive, produced):
    """Purged while it was public, withdrawn later: asked again, and by retention, its clean files go; once."""
    slides = [arrive(archive)[0] for _ in range(2)]
    for sid in slides:
        publish(archive, sid, produced)
        archive.transition(sid, State.RELEASED, "curator")
        archive.purge(sid, "curator")
        with pytest.raises(OriginalPurged):
            archive.purge(sid, "curator")
        archive.transition(sid, State.WITHDRAWN, "curator")
    first, second = (archive.where_is(archive.catalog.slide(sid)) for sid in slides)
    archive.purge(slides[0], "curator", "asked to")
    assert (first.exists(), second.exists()) == (False, True)
    assert tidying.purge_overdue(archive, datetime.now(UTC) + timedelta(hours=25)) == 1
    assert not second.exists()
    assert tidying.purge_overdue(archive, datetime.now(UTC) + timedelta(hours=25)) == 0
    assert archive.catalog.load("o").owned == 0
    for sid in slides:
        with pytest.raises(OriginalPurged):
            archive.purge(sid, "curator")


def test_nothing_is_purged_where_nobody_set_a_time(tmp_path, produced):
    """The default keeps originals."""
    archive = Archive.open(Settings(data_dir=tmp_path / "data"), with_vault=True)
    sid, uid = arrive(archive)
    publish(archive, sid, produced)
    archive.transition(sid, State.RELEASED, "curator")
    assert tidying.purge_overdue(archive, datetime.now(UTC) + timedelta(days=9999)) == 0
    assert archive.original(uid) is not None
    archive.close()


def test_a_purge_waits_for_nobody_and_is_the_end(archive):
    """Not while somebody works; afterwards the slide cannot be queued again."""
    sid, _ = arrive(archive)
    with pytest.raises(StateConflict):
        archive.purge(sid, "curator")
    archive.catalog.cancel(archive.catalog.jobs(sid)[-1].id)
    assert len(archive.catalog.dead_letters()) == 1
    archive.purge(sid, "curator", "asked to")
    assert archive.catalog.dead_letters() == ()
    with pytest.raises(OriginalPurged):
        archive.purge(sid, "curator")
    with pytest.raises(OriginalPurged):
        archive.catalog.retry(sid)


def test_an_original_from_before_encryption_is_purged_too(archive):
    """There is no key to destroy: the bytes go."""
    upload = archive.catalog.create_upload("o", 1, datetime.now(UTC) + timedelta(days=1), "x", {})
    generation = archive.begin_patch(upload.uid)
    archive.storage.incoming(upload.uid).write_bytes(b"x")
    archive.catalog.advance(upload.uid, generation, 1)
    sid = archive.catalog.finish_upload(upload.uid, generation, "00" * 32, "strict")
    assert archive.original(upload.uid) is None
    tidy(archive)
    assert archive.storage.original(upload.uid).read_bytes() == b"x"
    archive.catalog.cancel(archive.catalog.jobs(sid)[-1].id)
    archive.purge(sid, "curator")
    with pytest.raises(NotFound):
        archive.storage.original(upload.uid)


def test_what_no_record_points_to_goes_after_a_day(archive):
    """A sealed file whose upload never became a slide is left alone while its record may still come."""
    _, uid = arrive(archive)
    plain = archive.storage.root / "plain"
    plain.write_bytes(b"x")
    archive.originals.seal(uid, plain, str)
    now = datetime.now(UTC)
    assert tidying.discard_originals(archive, now - timedelta(hours=24)) == 0
    assert tidying.discard_originals(archive, now + timedelta(hours=1)) == 1
    assert [kept.name for kept in archive.originals.store.names()] == [archive.catalog.sealed(uid).name]
