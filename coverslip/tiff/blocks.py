"""The tiles of a page as they will be written: which source bytes are copied, and what is put in front of them.

One pass over the page, in the order the tiles lie in the file, in chunks of a few MiB. Tiles of a page nearly always
share one JPEG header, so a tile costs one comparison; the search for markers inside scans, and for ends that read like
words, is vectorised over the whole chunk. Only tiles that surprise are parsed one by one.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from coverslip.codestreams import j2k, jpeg, raw
from coverslip.codestreams.frames import Expected, check_jpeg
from coverslip.codestreams.jpeg import Codestream, Header, Key, Segment, Span
from coverslip.codestreams.jpeg_tables import words
from coverslip.codestreams.tails import wordy
from coverslip.errors import DamagedSlide, UnknownStructure
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, TiffFile, check_blocks

Offsets = npt.NDArray[np.int64]

CHUNK: Final = 2 << 20
AHEAD: Final = 4
"""Chunks read before they are looked at."""
JPEG, J2K, NONE, LZW, DEFLATE = 7, (33003, 33005, 34712), 1, 5, (8, 32946)
COPYABLE: Final = frozenset((JPEG, *J2K, NONE, LZW, *DEFLATE))
"""Compressions whose tiles end where their own structure says, so they can be copied without a byte too many."""
MAX_SOUND: Final = 64
"""Tiles remembered whole because their like may come again."""
MAX_FOREIGN: Final = 4096
"""Distinct foreign payloads remembered per page; further ones are dropped all the same, and counted."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something inside tiles that will not be written."""

    name: str
    payload: bytes = field(repr=False)
    count: int


@dataclass(frozen=True)
class Blocks:
    """How each tile (or strip) of a page is written, in tile order; arrays have one entry a tile."""

    start: Offsets
    """First copied byte, in the source file."""
    stop: Offsets
    prefix: npt.NDArray[np.int32]
    """Which of `prefixes` goes in front; -1 for none."""
    prefixes: tuple[bytes, ...]
    rebuilt: dict[int, tuple[bytes | Span, ...]]
    """Tiles written piece by piece instead."""
    foreign: tuple[Foreign, ...]
    tables: bytes = field(default=b"", repr=False)
    """JPEGTables of the page: what its tiles take from there, and nothing else."""

    @property
    def lengths(self) -> Offsets:
        """Bytes each tile will have."""
        sizes = np.array([*(len(prefix) for prefix in self.prefixes), 0], np.int64)
        lengths = self.stop - self.start + sizes[self.prefix]
        for index, pieces in self.rebuilt.items():
            lengths[index] = sum(len(p) if isinstance(p, bytes) else p.stop - p.start for p in pieces)
        return lengths


def survey(tiff: TiffFile, page: Directory, tick: Callable[[float], None] = lambda done: None) -> Blocks:
    """Look at every tile of a page once.

    Raises UnknownStructure for a compression that cannot be copied, DamagedSlide for tiles that contradict themselves.
    """
    check_blocks(tiff, page)
    compression = page.compression
    if compression not in COPYABLE:
        raise UnknownStructure(f"compression {compression} cannot be copied", where=page.path)
    surveyor = _Surveyor(page)
    looked = surveyor.jpeg_chunk if compression == JPEG else surveyor.slow_chunk(_parser(page))
    total = max(1, int(surveyor.counts.sum()))
    done = 0
    for chunk in _chunks(tiff, surveyor):
        looked(chunk)
        done += chunk.length
        tick(min(1.0, done / total))
    return surveyor.result()


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A run of tiles that lie close together, with the bytes that hold them."""

    tiles: Offsets
    base: int
    """Where the bytes begin in the file."""
    data: bytearray = field(repr=False)
    """Lent by `_Buffers`, and longer than the chunk."""
    length: int
    marks: Offsets
    """Positions of markers, headers' own included; empty when nobody will ask."""

    def tile(self, start: int, stop: int) -> bytes:
        """A copy of some of the bytes, by position in the file."""
        return bytes(self.data[start - self.base : stop - self.base])


class _Buffers:
    """Memory for chunks, used again and again: fresh memory for each would leave holes that grow with the slide."""

    def __init__(self) -> None:
        self._spare: list[bytearray] = []
        self._is_marker = np.empty(0, np.bool_)

    def lend(self, length: int) -> bytearray:
        """At least `length` bytes, whatever is in them."""
        buffer = self._spare.pop() if self._spare else bytearray(CHUNK * 5 // 4)
        return buffer if len(buffer) >= length else bytearray(length)

    def give_back(self, buffer: bytearray) -> None:
        """Take a buffer nobody reads any more."""
        self._spare.append(buffer)

    def markers(self, data: bytearray, length: int) -> Offsets:
        """Where markers begin; one thread at a time."""
        if len(self._is_marker) < length:
            self._is_marker = np.empty(len(data), np.bool_)
        view = np.frombuffer(data, np.uint8, length)
        marks = np.flatnonzero(np.equal(view[:-1], 0xFF, out=self._is_marker[: length - 1]))
        found: Offsets = marks[_MARKER[view[marks + 1]]]
        return found


def _chunks(tiff: TiffFile, surveyor: _Surveyor) -> Iterator[_Chunk]:
    """All chunks in file order, read and searched a few ahead on a second thread; each is gone with the next."""
    buffers, spans = _Buffers(), _spans(surveyor)
    waiting: deque[Future[_Chunk]] = deque()
    with ThreadPoolExecutor(1, "survey") as ahead:
        while True:
            for first, last in islice(spans, AHEAD - len(waiting)):
                waiting.append(ahead.submit(_read, tiff.fd, surveyor, first, last, buffers))
            if not waiting:
                return
            chunk = waiting.popleft().result()
            yield chunk
            buffers.give_back(chunk.data)


def _spans(surveyor: _Surveyor) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) tile of each chunk, in the order the tiles lie in the file."""
    begins = surveyor.offsets[surveyor.order]
    ends = begins + surveyor.counts[surveyor.order]
    first = 0
    while first < len(begins):
        last = int(np.searchsorted(begins, begins[first] + CHUNK, "left"))
        gaps = np.flatnonzero(begins[first + 1 : last] - ends[first : last - 1] > CHUNK // 16)
        last = first + 1 + int(gaps[0]) if len(gaps) else max(last, first + 1)
        yield first, last
        first = last


def _read(fd: int, surveyor: _Surveyor, first: int, last: int, buffers: _Buffers) -> _Chunk:
    tiles = surveyor.order[first:last]
    base = int(surveyor.offsets[tiles[0]])
    length = int((surveyor.offsets[tiles] + surveyor.counts[tiles]).max()) - base
    data = buffers.lend(length)
    if os.preadv(fd, [memoryview(data)[:length]], base) != length:
        raise DamagedSlide("the file ends inside a tile", where=surveyor.page.path)
    is_jpeg = surveyor.page.compression == JPEG
    return _Chunk(tiles, base, data, length, buffers.markers(data, length) if is_jpeg else np.zeros(0, np.int64))


class _Surveyor:
    """Collects what one page's tiles need."""

    def __init__(self, page: Directory) -> None:
        self.page = page
        self.offsets = page.offsets.astype(np.int64)
        self.counts = page.byte_counts.astype(np.int64)
        self.order = np.argsort(self.offsets, kind="stable")
        self.order = self.order[self.counts[self.order] > 0]
        self.start, self.stop = self.offsets.copy(), self.offsets + self.counts
        self.prefix = np.full(len(self.offsets), -1, np.int32)
        self.prefixes: dict[bytes, int] = {}
        self.rebuilt: dict[int, tuple[bytes | Span, ...]] = {}
        self.foreign: Counter[tuple[str, bytes]] = Counter()
        self._headers: dict[bytes, Header] = {}
        self._wanted: set[Key] = set()
        self._shared = _shared(page)
        self._expected = _expected(page)
        self._sound: set[bytes] = set()
        self._check_overlaps()

    def _check_overlaps(self) -> None:
        begins, ends = self.offsets[self.order], (self.offsets + self.counts)[self.order]
        same = (begins[1:] == begins[:-1]) & (ends[1:] == ends[:-1])
        if bool(np.any((begins[1:] < ends[:-1]) & ~same)):
            raise DamagedSlide("tiles overlap each other", where=self.page.path)

    def jpeg_chunk(self, chunk: _Chunk) -> None:
        """Match headers by comparison, find stray markers for all tiles at once, parse the surprising ones."""
        tiles, data = chunk.tiles, chunk.data
        begins = self.offsets[tiles] - chunk.base
        stops = begins + self.counts[tiles]
        headers = self._headers_of(data, begins.tolist(), stops.tolist())
        scans = begins + np.array([len(header.raw) for header in headers], np.int64)
        strange = _strange(chunk, scans, stops)
        doubtful = strange | wordy(np.frombuffer(data, np.uint8), scans, np.where(strange, scans, stops - 2))
        changed = np.array([not header.same for header in headers])
        doubtful |= np.array([header.interval > 0 for header in headers])
        for i in np.flatnonzero(doubtful | changed).tolist():
            tile = int(tiles[i])
            if doubtful[i]:
                self._look_closely(tile, self._whole(chunk, tile), headers[i])
            else:
                self._take(tile, headers[i])

    def _headers_of(self, data: bytearray, begins: list[int], stops: list[int]) -> list[Header]:
        """Each tile's header; nearly always the first one's."""
        header = self._header(bytes(data[begins[0] : stops[0]]))
        if all(data.startswith(header.raw, at) for at in begins):
            return [header] * len(begins)
        headers = []
        for at, stop in zip(begins, stops, strict=True):
            if not data.startswith(header.raw, at):
                header = self._header(bytes(data[at:stop]))
            headers.append(header)
        return headers

    def _look_closely(self, tile: int, whole: bytes, header: Header) -> None:
        """Parse a tile to its end; tiles that repeat, as blank ones do, once."""
        if whole in self._sound:
            self._take(tile, header)
            return
        stream = jpeg.codestream(whole, 0, len(whole), self._shared.payloads)
        self._wanted |= stream.wanted
        self._rebuild(tile, stream, whole)
        complete = self.stop[tile] == self.offsets[tile] + self.counts[tile]
        if complete and tile not in self.rebuilt and len(self._sound) < MAX_SOUND:
            self._sound.add(whole)

    def _whole(self, chunk: _Chunk, tile: int) -> bytes:
        begin = int(self.offsets[tile])
        return chunk.tile(begin, begin + int(self.counts[tile]))

    def slow_chunk(self, parse: Callable[[bytes, int, int, int], Codestream]) -> Callable[[_Chunk], None]:
        """A chunk function that parses every tile with `parse(data, start, stop, tile)`."""

        def look(chunk: _Chunk) -> None:
            for tile in chunk.tiles.tolist():
                whole = self._whole(chunk, tile)
                self._rebuild(tile, parse(whole, 0, len(whole), tile), whole)

        return look

    def _header(self, tile: bytes) -> Header:
        found = next((known for known in self._headers.values() if tile.startswith(known.raw)), None)
        if found is None:
            found = jpeg.header(tile, 0, len(tile))
            check_jpeg(found, self._expected, self._shared)
            self._wanted |= found.wanted
            if len(self._headers) >= 16:
                self._headers.clear()
            self._headers[found.raw] = found
        return found

    def _take(self, tile: int, header: Header) -> None:
        if header.same:
            return
        self.prefix[tile] = self.prefixes.setdefault(header.clean, len(self.prefixes))
        self.start[tile] += len(header.raw)
        self._note(header.foreign)

    def _rebuild(self, tile: int, stream: Codestream, data: bytes) -> None:
        base = int(self.offsets[tile])
        moved = tuple(p if isinstance(p, bytes) else Span(p.start + base, p.stop + base) for p in stream.pieces)
        match moved:
            case (Span(start, stop),):
                self.start[tile], self.stop[tile] = start, stop
            case (bytes(head), Span(start, stop)):
                self.prefix[tile] = self.prefixes.setdefault(head, len(self.prefixes))
                self.start[tile], self.stop[tile] = start, stop
            case _:
                self.rebuilt[tile] = moved
        self._note(stream.foreign)
        hidden = stream.trailing
        if hidden.stop > hidden.start:
            self._note((Segment(jpeg.EOI, data[hidden.start : hidden.stop]),), name="trailing")

    def _note(self, segments: tuple[Segment, ...], name: str = "") -> None:
        for segment in segments:
            key = (name or segment.name, segment.payload[: 1 << 16])
            if key in self.foreign or len(self.foreign) < MAX_FOREIGN:
                self.foreign[key] += 1

    def result(self) -> Blocks:
        for table in self._shared.tables:
            if table.key not in self._wanted:
                self.foreign["unused table", words(table)] += 1
        foreign = tuple(Foreign(name, payload, count) for (name, payload), count in self.foreign.items())
        tables = self._shared.clean(self._wanted)
        return Blocks(self.start, self.stop, self.prefix, tuple(self.prefixes), self.rebuilt, foreign, tables)


_MARKER = np.ones(256, np.bool_)
_MARKER[0] = False
"""Whether a byte after 0xFF makes it a marker or a fill byte, and no stuffing: nothing an ordinary scan has.

Looked up for the few bytes after an 0xFF: three times as fast as comparing all.
"""


def _strange(chunk: _Chunk, scans: Offsets, stops: Offsets) -> npt.NDArray[np.bool_]:
    """Which tiles do not end with EOI or have a marker inside the scan, restarts and fill bytes included."""
    view, marks = np.frombuffer(chunk.data, np.uint8), chunk.marks
    ends = np.maximum(stops - 2, 0)
    strange: npt.NDArray[np.bool_] = (view[ends] != 0xFF) | (view[ends + 1] != jpeg.EOI) | (ends < scans)
    strange |= np.searchsorted(marks, ends) > np.searchsorted(marks, scans)
    return strange


def _expected(page: Directory) -> Expected:
    """What the page says its tiles decode to."""
    bits = page.numbers(t.BITS_PER_SAMPLE)
    per_sample = int(bits[0]) if len(bits) else 1
    return Expected(page.tile_size, page.number(t.SAMPLES_PER_PIXEL, 1), per_sample, page.tiled)


def _shared(page: Directory) -> jpeg.Shared:
    """The page's JPEG tables. Raises InputError for tables that are none."""
    found = page.raw(t.JPEG_TABLES)
    return jpeg.tables(found) if found and page.compression == JPEG else jpeg.Shared((), ())


def _parser(page: Directory) -> Callable[[bytes, int, int, int], Codestream]:
    """How tiles of this page's compression are parsed."""
    if page.compression in J2K:
        parser = j2k.Parser(_expected(page))
        return lambda data, start, stop, tile: parser.codestream(data, start, stop)
    expected = _raw_sizes(page)

    def parse(data: bytes, start: int, stop: int, tile: int) -> Codestream:
        if page.compression == LZW:
            end = raw.lzw_end(data, start, stop, expected(tile))
        elif page.compression in DEFLATE:
            end = raw.deflate_end(data, start, stop, expected(tile))
        else:
            end = raw.uncompressed_end(stop, start, expected(tile))
        return Codestream((Span(start, end),), (), Span(end, stop))

    return parse


def _raw_sizes(page: Directory) -> Callable[[int], int]:
    """Bytes a decoded tile or strip has."""
    size, tile = page.size, page.tile_size
    separate = page.number(t.PLANAR_CONFIGURATION, 1) == 2
    bits = page.numbers(t.BITS_PER_SAMPLE)
    per_pixel = int(bits[0] if separate else bits.sum()) if len(bits) else 1
    rows = -(-size.height // tile.height)

    def expected(index: int) -> int:
        height = tile.height if page.tiled else min(tile.height, size.height - index % rows * tile.height)
        return -(-tile.width * per_pixel // 8) * height

    return expected
