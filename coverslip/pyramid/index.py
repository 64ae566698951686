"""The index file `slide.pyramid`: where each deep-zoom tile lies. `docs/pyramid-format.md` describes every byte.

header      256 bytes, with its own checksum
derived     tiles the slide cannot give, complete JPEG files end to end
blocks      one per plane: level records, header blobs, one 16-byte entry per tile; covered by SHA-256s in the tail
tail        where each block lies, what the planes are; covered by a SHA-256 in the header
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from coverslip.errors import PyramidInvalid
from coverslip.geometry import Size
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.recipes import parse as parse_recipe
from coverslip.pyramid.stack import Stack
from coverslip.pyramid.stack import parse as parse_stack

MAGIC: Final = b"CVSLPYR\n"
FORMAT: Final = 4
SINGLE: Final = (2, 3)
"""The formats before planes: one block, no tail. Still read; 2 knew no tiles that are made of coded ones."""
HEADER_BYTES: Final = 256
MAX_INDEX_BYTES: Final = 1 << 30
"""Of one block."""
MAX_TAIL_BYTES: Final = 8 << 20
MAX_BLOBS: Final = 4096

PART_SLIDE: Final = 0
"""Bytes of the clean slide."""
PART_DERIVED: Final = 1
"""Bytes of the index file itself."""
PART_ON_REQUEST: Final = 2
"""No bytes: the tile is made of the four tiles above it when it is asked for."""
PART_CODED: Final = 3
"""Bytes of the clean slide that no browser shows: the tile is made of them, by the recipe that is its blob."""

ENTRY: Final = np.dtype([("offset", "<u8"), ("length", "<u4"), ("blob", "<u2"), ("part", "u1"), ("spare", "u1")])
LEVEL: Final = np.dtype(
    [("plane", "<u2"), ("dz_level", "<u2"), ("width", "<u4"), ("height", "<u4"), ("columns", "<u4"), ("rows", "<u4"),
     ("stored", "<u4"), ("first", "<u8")]
)  # fmt: skip
ENTRY_FORM: Final = struct.Struct("<QIHBB")

RECORD: Final = np.dtype([("at", "<u8"), ("length", "<u8"), ("blobs", "<u4"), ("spare", "V12"), ("digest", "V32")])
"""Of one plane: where its block lies, how long it is, how many blobs it has, its SHA-256."""
_HEADER: Final = struct.Struct("<8sHHIIIHHIQQQQ32s32s32s16sHHI")
_CHECKSUM: Final = struct.Struct("<I")

Entries = npt.NDArray[np.void]
Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Head:
    """What the first 256 bytes say: enough to know which second range to read."""

    tile: int
    size: Size
    planes: int
    blobs: int
    """Of all blocks together."""
    slide_bytes: int
    slide_digest: bytes
    """SHA-256 of the clean slide this index belongs to."""
    index_at: int
    """Where the first block begins."""
    index_bytes: int
    """Of all blocks and the tail."""
    index_digest: bytes
    """SHA-256 of the tail; where there is none, of the only block."""
    derived_digest: bytes
    """SHA-256 over the SHA-256 of every derived tile in file order."""
    quality: int
    """IJG quality of derived tiles, also of those made on request."""
    channels: int
    """Samples per pixel of derived tiles: 1 or 3."""
    tail_bytes: int
    """0 where there is no tail."""
    format: int = FORMAT

    @property
    def tail_at(self) -> int:
        """Where the tail begins."""
        return self.file_bytes - self.tail_bytes

    @property
    def file_bytes(self) -> int:
        """Length of the index file: the index is its last part."""
        return self.index_at + self.index_bytes

    @property
    def version(self) -> str:
        """Content version: changes when any served byte can have changed. 32 hex digits."""
        return _version(self.slide_digest, self.index_digest, self.derived_digest, self.quality).hex()

    def pack(self) -> bytes:
        """The 256 bytes."""
        body = _HEADER.pack(
            MAGIC, self.format, HEADER_BYTES, self.tile, self.size.width, self.size.height, self.planes,
            DeepZoom(self.size, self.tile).levels, self.blobs, self.slide_bytes, self.index_at, self.index_bytes,
            self.file_bytes, self.slide_digest, self.index_digest, self.derived_digest, bytes.fromhex(self.version),
            self.quality, self.channels, self.tail_bytes,
        )  # fmt: skip
        body = body.ljust(HEADER_BYTES - _CHECKSUM.size, b"\0")
        return body + _CHECKSUM.pack(zlib.crc32(body))


def _version(slide: bytes, index: bytes, derived: bytes, quality: int) -> bytes:
    return hashlib.sha256(slide + index + derived + bytes((quality,))).digest()[:16]


def parse_head(untrusted: Buffer) -> Head:
    """Read the first 256 bytes. Raises PyramidInvalid when they are not a header this version reads."""
    raw = bytes(untrusted[:HEADER_BYTES])
    if len(raw) < HEADER_BYTES or raw[:8] != MAGIC:
        raise PyramidInvalid("this is not a pyramid index", where="header")
    body, (checksum,) = raw[: -_CHECKSUM.size], _CHECKSUM.unpack_from(raw, HEADER_BYTES - _CHECKSUM.size)
    if zlib.crc32(body) != checksum:
        raise PyramidInvalid("the header does not match its checksum", where="header")
    (_, form, length, tile, width, height, planes, levels, blobs, slide_bytes, index_at, index_bytes,
     file_bytes, slide, index, derived, version, quality, channels, tail) = _HEADER.unpack_from(raw)  # fmt: skip
    if form not in (*SINGLE, FORMAT) or length != HEADER_BYTES:
        raise PyramidInvalid("the format version is not one we read: build the pyramid again", where="header")
    if not (1 <= quality <= 100 and channels in (1, 3)):
        raise PyramidInvalid("the header has an impossible encoding", where="header")
    head = Head(
        tile, Size(width, height), planes, blobs, slide_bytes, slide, index_at, index_bytes, index, derived, quality,
        channels, tail, form,
    )  # fmt: skip
    if not (tile and width and height and planes and blobs <= MAX_BLOBS * planes):
        raise PyramidInvalid("the header has an impossible size", where="header")
    if index_at < HEADER_BYTES or index_bytes > MAX_INDEX_BYTES * planes or file_bytes != head.file_bytes:
        raise PyramidInvalid("the header's lengths contradict each other", where="header")
    if (form == FORMAT) != bool(tail) or tail > min(index_bytes, MAX_TAIL_BYTES) or (planes > 1 and not tail):
        raise PyramidInvalid("the header's lengths contradict each other", where="header")
    if levels != DeepZoom(head.size, tile).levels or version.hex() != head.version:
        raise PyramidInvalid("the header contradicts itself", where="header")
    return head


@dataclass(frozen=True, slots=True)
class Record:
    """Where one plane's block lies."""

    at: int
    length: int
    blobs: int
    digest: bytes
    """SHA-256 of the block."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the blocks lie, and what the planes are."""

    records: Entries = field(repr=False)
    stack: Stack

    def record(self, plane: int) -> Record:
        """Of one plane."""
        found = self.records[plane]
        return Record(int(found["at"]), int(found["length"]), int(found["blobs"]), found["digest"].tobytes())

    def pack(self) -> bytes:
        """As it stands at the end of the file."""
        return self.records.tobytes() + self.stack.pack()


def tail_of(records: Iterable[Record], stack: Stack) -> Tail:
    """Put a tail together."""
    rows = [(found.at, found.length, found.blobs, b"", found.digest) for found in records]
    return Tail(np.array(rows, RECORD), stack)


def parse_tail(head: Head, untrusted: Buffer) -> Tail:
    """Open the last `tail_bytes` of the file. Raises PyramidInvalid when they do not fit their checksum or the header.

    Formats before planes have none: their one plane is what the header says.
    """
    if head.format in SINGLE:
        only = Record(head.index_at, head.index_bytes, head.blobs, head.index_digest)
        return tail_of((only,), Stack(samples=head.channels))
    raw = bytes(untrusted)
    if len(raw) != head.tail_bytes or hashlib.sha256(raw).digest() != head.index_digest:
        raise PyramidInvalid("the index does not match its checksum", where="index/tail")
    end = head.planes * RECORD.itemsize
    if end > len(raw):
        raise PyramidInvalid("the index ends early", where="index/tail")
    tail = Tail(np.frombuffer(raw, RECORD, head.planes), parse_stack(raw[end:]))
    if tail.stack.count != head.planes or tail.stack.samples != head.channels:
        raise PyramidInvalid("the header contradicts the planes", where="index/tail")
    _check_records(head, tail.records)
    return tail


def _check_records(head: Head, records: Entries) -> None:
    """Blocks lie one behind the other, each on a multiple of 16, up to the tail."""
    at, length = records["at"], records["length"]
    if int(length.max()) > MAX_INDEX_BYTES or int(records["blobs"].max()) > MAX_BLOBS:
        raise PyramidInvalid("a plane's block is larger than any", where="index/tail")
    if bool((at % np.uint64(ENTRY.itemsize)).any()):
        raise PyramidInvalid("a plane's block is not where it should be", where="index/tail")
    ends = np.uint64(head.index_at) + np.cumsum(length, dtype=np.uint64)
    if int(at[0]) != head.index_at or bool((at[1:] != ends[:-1]).any()):
        raise PyramidInvalid("a plane's block is not where it should be", where="index/tail")
    if int(ends[-1]) != head.tail_at or int(records["blobs"].sum(dtype=np.uint64)) != head.blobs:
        raise PyramidInvalid("the blocks are not all there is", where="index/tail")


@dataclass(frozen=True, slots=True)
class Block:
    """A parsed and checked plane."""

    levels: Entries = field(repr=False)
    """Level records, dz_level rising."""
    blobs: tuple[bytes, ...] = field(repr=False)
    """What goes in front of a stored tile's bytes; number 0 is empty."""
    entries: Buffer = field(repr=False)
    """All 16-byte entries; `ENTRY` as numpy reads them, `ENTRY_FORM` as struct does."""


def pack_block(levels: Entries, blobs: tuple[bytes, ...], entries: Entries) -> bytes:
    """One plane: level records, blob lengths, blobs padded to 16, entries."""
    front = levels.tobytes() + b"".join(len(blob).to_bytes(4, "little") for blob in blobs) + b"".join(blobs)
    return front + bytes(-len(front) % ENTRY.itemsize) + entries.tobytes()


def parse_block(head: Head, record: Record, plane: int, untrusted: Buffer) -> Block:
    """Open one plane's block. Raises PyramidInvalid when it does not fit its checksum, the header or the slide."""
    view = memoryview(untrusted)
    if len(view) != record.length or hashlib.sha256(view).digest() != record.digest:
        raise PyramidInvalid("the index does not match its checksum", where=f"index/plane {plane}")
    count = DeepZoom(head.size, head.tile).levels
    if count * LEVEL.itemsize + record.blobs * 4 > len(view):
        raise PyramidInvalid("the index ends early", where="index/levels")
    levels = np.frombuffer(view, LEVEL, count)
    blobs, at = _blobs(view, count * LEVEL.itemsize, record.blobs)
    entries = view[at + -at % ENTRY.itemsize :]
    _check_levels(head, plane, levels, len(entries))
    _check_entries(head, len(blobs), np.frombuffer(entries, ENTRY))
    _check_on_request(head, levels, np.frombuffer(entries, ENTRY))
    _check_coded(head, blobs, np.frombuffer(entries, ENTRY))
    return Block(levels, blobs, entries)


def _blobs(view: memoryview, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    lengths = np.frombuffer(view, "<u4", count, at).tolist()
    at += 4 * count
    if at + sum(lengths) > len(view):
        raise PyramidInvalid("the index ends early", where="index/blobs")
    found = []
    for length in lengths:
        found.append(bytes(view[at : at + length]))
        at += length
    return tuple(found), at


def _check_levels(head: Head, plane: int, levels: Entries, entry_bytes: int) -> None:
    """The geometry is a function of size and tile, so the records must say exactly that."""
    if not np.array_equal(levels, level_records(head.size, head.tile, plane, levels["stored"])):
        raise PyramidInvalid("the level records contradict the geometry", where="index/levels")
    last = levels[-1]
    if entry_bytes != (int(last["first"]) + int(last["columns"]) * int(last["rows"])) * ENTRY.itemsize:
        raise PyramidInvalid("there are not as many entries as tiles", where="index/entries")


def _check_entries(head: Head, blobs: int, entries: Entries) -> None:
    limits = np.array([head.slide_bytes, head.index_at, 0, head.slide_bytes], np.uint64)
    if int(entries["part"].max()) >= len(limits) or int(entries["blob"].max()) >= blobs:
        raise PyramidInvalid("an entry names a part or blob that is not there", where="index/entries")
    ends = entries["offset"] + entries["length"]
    if bool(np.any(ends < entries["offset"])) or bool(np.any(ends > limits[entries["part"]])):
        raise PyramidInvalid("an entry lies outside its part", where="index/entries")


def _check_on_request(head: Head, levels: Entries, entries: Entries) -> None:
    """What is made of four tiles must have four tiles of the slide above it, none of which is made on request."""
    zoom = DeepZoom(head.size, head.tile)
    for number, below in enumerate(levels):
        row, column = np.nonzero(_grid(entries, below)["part"] == PART_ON_REQUEST)
        if not len(row):
            continue
        above = levels[number + 1] if number != zoom.largest else None
        if above is None or 2 * int(row.max()) + 1 >= above["rows"] or 2 * int(column.max()) + 1 >= above["columns"]:
            raise PyramidInvalid("a tile on request lacks what it is made of", where="index/entries")
        parts = _grid(entries, above)["part"]
        quarters = [parts[2 * row + down, 2 * column + across] for down, across in np.ndindex(2, 2)]
        if bool(np.any(np.stack(quarters) == PART_ON_REQUEST)):
            raise PyramidInvalid("a tile on request lacks what it is made of", where="index/entries")


def _check_coded(head: Head, blobs: tuple[bytes, ...], entries: Entries) -> None:
    """What is made of one tile of the slide must have bytes, and a recipe for as many samples as the header says."""
    coded = entries[entries["part"] == PART_CODED]
    recipes = [parse_recipe(blobs[number]) for number in np.unique(coded["blob"]).tolist()]
    if any(recipe is None or recipe.channels != head.channels for recipe in recipes) or not coded["length"].all():
        raise PyramidInvalid("a tile on request lacks what it is made of", where="index/entries")


def _grid(entries: Entries, level: np.void) -> Entries:
    """The entries of one level as rows and columns (a view)."""
    first, rows, columns = int(level["first"]), int(level["rows"]), int(level["columns"])
    return entries[first : first + rows * columns].reshape(rows, columns)


def level_records(size: Size, tile: int, plane: int, stored: npt.ArrayLike) -> Entries:
    """The level records of one plane; `stored` says per record whether the slide itself holds the level."""
    zoom = DeepZoom(size, tile)
    records = np.zeros(zoom.levels, LEVEL)
    first = 0
    for dz_level in range(zoom.levels):
        extent, grid = zoom.reduced(zoom.largest - dz_level), zoom.grid(zoom.largest - dz_level)
        records[dz_level] = (plane, dz_level, extent.width, extent.height, grid.width, grid.height, 0, first)
        first += grid.area
    records["stored"] = stored
    return records
