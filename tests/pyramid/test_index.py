"""The index file: what is checked before a byte of it is believed."""

import hashlib
import json
import struct
import zlib

import numpy as np
import pytest

from coverslip.errors import PyramidInvalid, StorageFailed
from coverslip.geometry import Size
from coverslip.pyramid import Pyramid, build, check
from coverslip.pyramid import index as form
from coverslip.pyramid.stack import Stack


@pytest.fixture(scope="module")
def pair(generated, tmp_path_factory):
    """A slide and its index."""
    slide = generated("aperio", 700, 600, tile=240)
    target = tmp_path_factory.mktemp("index") / "a.pyramid"
    build(slide, target)
    return slide, target


@pytest.fixture
def damaged(pair, tmp_path):
    """Open the slide with an index that was changed: `damaged(change)`, `change` edits a bytearray."""
    slide, target = pair

    def opened(change):
        raw = bytearray(target.read_bytes())
        changed = change(raw)
        copy = tmp_path / "damaged.pyramid"
        copy.write_bytes(raw if changed is None else changed)
        return Pyramid.open(slide, copy)

    return opened


def resealed(raw, *, stack=None, records=None, **changed):
    """Give a changed index valid checksums again, so that only its meaning is wrong."""
    head = form.parse_head(pair_head(raw))
    end = head.tail_at + head.planes * form.RECORD.itemsize
    found = np.frombuffer(bytes(raw[head.tail_at : end]), form.RECORD).copy()
    for record in found:
        block = bytes(raw[int(record["at"]) : int(record["at"] + record["length"])])
        record["digest"] = np.void(hashlib.sha256(block).digest())
    if records is not None:
        records(found)
    raw[head.tail_at :] = tail = found.tobytes() + (bytes(raw[end:]) if stack is None else stack)
    fields = {name: getattr(head, name) for name in form.Head.__dataclass_fields__}
    lengths = {"index_bytes": head.tail_at + len(tail) - head.index_at, "tail_bytes": len(tail)}
    fields |= lengths | {"index_digest": hashlib.sha256(tail).digest()} | changed
    raw[: form.HEADER_BYTES] = form.Head(**fields).pack()


def pair_head(raw):
    """The header's bytes."""
    return bytes(raw[: form.HEADER_BYTES])


def _flip(at):
    def change(raw):
        raw[at] ^= 1

    return change


def _later_format(raw):
    raw[8] = form.FORMAT + 1
    raw[252:256] = struct.pack("<I", zlib.crc32(raw[:252]))


def _entry(field, value):
    def change(raw):
        head = form.parse_head(pair_head(raw))
        entries = np.frombuffer(raw, form.ENTRY, 1, head.tail_at - form.ENTRY.itemsize)
        entries[field][0] = value
        resealed(raw)

    return change


def _level(field, value):
    def change(raw):
        head = form.parse_head(pair_head(raw))
        np.frombuffer(raw, form.LEVEL, 1, head.index_at)[field][0] = value
        resealed(raw)

    return change


def _other_size(raw):
    resealed(raw, size=Size(701, 600))


def _many_blobs(raw):
    def change(records):
        records["blobs"] = form.MAX_BLOBS

    resealed(raw, blobs=form.MAX_BLOBS, records=change)


def _record(field, value):
    def change(raw):
        def put(records):
            records[field] = value

        resealed(raw, records=put)

    return change


def _told(**changed):
    """What the tail says of the planes, with some of it changed."""
    return lambda raw: resealed(raw, stack=json.dumps(WORDS | changed).encode())


def _channel(**changed):
    return _told(channels=[WORDS["channels"][0] | changed])


WORDS = json.loads(Stack().pack())
"""What the tail of an index of one RGB plane says."""


DAMAGE = {
    "magic": _flip(0),
    "a bit of the header": _flip(20),
    "a bit of the index": _flip(-1),
    "the checksum itself": _flip(255),
    "a later format": _later_format,
    "cut off": lambda raw: raw[:-1],
    "longer": lambda raw: raw + b"\0",
    "empty": lambda raw: b"",
    "a header and nothing else": lambda raw: raw[: form.HEADER_BYTES],
    "an entry beyond its part": _entry("offset", 1 << 40),
    "an entry whose end wraps around": _entry("offset", (1 << 64) - 1),
    "an entry of an unknown part": _entry("part", 7),
    "a tile on request of tiles that are not there": _entry("part", form.PART_ON_REQUEST),
    "an entry with an unknown header": _entry("blob", 9),
    "a level with more columns": _level("columns", 3),
    "a level that begins elsewhere": _level("first", 1),
    "another size": _other_size,
    "more headers than fit": _many_blobs,
    "more headers than the header says": _record("blobs", 3),
    "a block that begins elsewhere": _record("at", 256),
    "a block that is longer": _record("length", 1 << 29),
    "a block longer than any": _record("length", (1 << 64) - 16),
    "planes that are not told in JSON": lambda raw: resealed(raw, stack=b"{"),
    "planes told as a list": lambda raw: resealed(raw, stack=b"[]"),
    "planes told in too deep JSON": lambda raw: resealed(raw, stack=b"[" * 100_000),
    "planes with a word too many": _told(more=1),
    "no planes": _told(z=0),
    "more planes than blocks": _told(z=2),
    "planes that are no whole number": _told(z=1.0),
    "planes that are true": _told(z=True),
    "no channels": _told(channels=[]),
    "grey where the header says RGB": _told(samples=1),
    "samples of 12 bits": _told(bits=12),
    "a distance that is none": _told(z_step=-1.0),
    "a distance that is no number": _told(z_step=float("nan")),
    "a colour that is none": _channel(colour="red"),
    "a name with markup": _channel(name="<b>\u0007"),
    "a name that is no text": _channel(name=7),
    "a window that is empty": _channel(window=[9, 9]),
    "a window beyond the samples": _channel(window=[0, 256]),
    "a window of three": _channel(window=[0, 1, 2]),
    "a channel with a word too many": _channel(more=1),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_index_is_never_opened(name, damaged):
    """Each change is found before a tile is served."""
    with pytest.raises(PyramidInvalid):
        damaged(DAMAGE[name])


def test_an_untouched_index_opens(damaged):
    """The cases above fail for their damage, not for the copying."""
    with damaged(lambda raw: None) as pyramid:
        assert pyramid.dz_levels == 11


def test_resealing_alone_is_harmless(damaged):
    """The tool of the cases above does not break an index by itself."""
    with damaged(lambda raw: resealed(raw)) as pyramid:
        assert pyramid.dz_levels == 11


def test_a_slide_of_another_length_is_refused(pair, tmp_path):
    """Offsets into the wrong file would serve anything."""
    slide, target = pair
    other = tmp_path / "longer.svs"
    other.write_bytes(slide.read_bytes() + b"\0")
    with pytest.raises(PyramidInvalid):
        Pyramid.open(other, target)


def test_a_missing_file_is_a_storage_error(pair, tmp_path):
    """No slide, no index: said without a file name."""
    slide, target = pair
    for paths in ((tmp_path / "no", target), (slide, tmp_path / "no")):
        with pytest.raises(StorageFailed) as caught:
            Pyramid.open(*paths)
        assert "no" not in str(caught.value).split()


def test_check_finds_a_flipped_bit_anywhere(pair, tmp_path):
    """Derived tiles and the slide have digests too; opening does not read them, `check` does."""
    slide, target = pair
    check(slide, target)
    raw = bytearray(target.read_bytes())
    raw[form.HEADER_BYTES + 700] ^= 1
    (tmp_path / "bad.pyramid").write_bytes(raw)
    with pytest.raises(PyramidInvalid, match="derived"):
        check(slide, tmp_path / "bad.pyramid")
    raw = bytearray(slide.read_bytes())
    raw[-1] ^= 1
    (tmp_path / "bad.svs").write_bytes(raw)
    with pytest.raises(PyramidInvalid, match="slide"):
        check(tmp_path / "bad.svs", target)


def test_three_range_reads_are_enough(pair):
    """Header first, then the tail it names, then a plane's block: what a reader on object storage does."""
    _, target = pair
    raw = target.read_bytes()
    head = form.parse_head(raw[: form.HEADER_BYTES])
    tail = form.parse_tail(head, raw[head.tail_at : head.file_bytes])
    record = tail.record(0)
    block = form.parse_block(head, record, 0, raw[record.at : record.at + record.length])
    assert len(block.blobs) == head.blobs
    assert head.file_bytes == len(raw)


def test_the_documented_offsets_are_the_real_ones(pair):
    """A reader written from docs/pyramid-format.md alone finds the same tile."""
    slide, target = pair
    raw = target.read_bytes()
    tile, width, height = struct.unpack_from("<III", raw, 12)
    levels, blobs = struct.unpack_from("<HI", raw, 26)
    index_at = struct.unpack_from("<Q", raw, 40)[0]
    assert (tile, width, height, levels) == (240, 700, 600, 11)
    tail_at = len(raw) - struct.unpack_from("<I", raw, 180)[0]
    block_at, block_bytes, block_blobs = struct.unpack_from("<QQI", raw, tail_at)
    assert (block_at, block_bytes, block_blobs) == (index_at, tail_at - index_at, blobs)
    assert json.loads(raw[tail_at + 64 :])["channels"][0]["window"] == [0, 255]
    columns, rows, stored, first = struct.unpack_from("<IIIQ", raw, index_at + 32 * 10 + 12)
    assert (columns, rows, stored) == (3, 3, 1)
    at = index_at + 32 * levels
    lengths = struct.unpack_from(f"<{blobs}I", raw, at)
    front = 32 * levels + 4 * blobs + sum(lengths)
    entry = index_at + front + -front % 16 + 16 * (first + 1 * columns + 1)
    offset, length, blob, part = struct.unpack_from("<QIHB", raw, entry)
    begin = at + 4 * blobs + sum(lengths[:blob])
    parts = (slide.read_bytes(), raw)
    with Pyramid.open(slide, target) as pyramid:
        served = raw[begin : begin + lengths[blob]] + parts[part][offset : offset + length]
        assert pyramid.tile(10, 1, 1) == served
