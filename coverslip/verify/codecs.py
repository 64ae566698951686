"""What one stored tile says outside its scan, per codec: the header, what is foreign in it, and where it ends."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from coverslip.errors import DamagedSlide, InputError
from coverslip.verify import j2k_meaning, j2k_walk, jpeg_walk
from coverslip.verify.endings import GAP, endings, has_long_word, reads_like_words
from coverslip.verify.jpeg_end import ends_with_its_picture, intervals, restarts_in_turn
from coverslip.verify.jpeg_meaning import Frame, Key, Reading, read, shared_tables
from coverslip.verify.jpeg_strict import is_needed_throughout
from coverslip.verify.jpeg_tables import Table
from coverslip.verify.lzw_walk import lzw_end
from coverslip.verify.pages import SEPARATE, Page

DEFLATE = frozenset({8, 32946})
LZW = 5
UNCOMPRESSED = 1


@dataclass(frozen=True, slots=True)
class Judged:
    """One tile, walked to its end."""

    codes: tuple[str, ...]
    """What is wrong with it: `foreign-marker`, `more-than-needed`, `bytes-after-end`, `damaged-tile`."""
    scan: bytes
    """Everything that becomes pixels."""
    meaning: object
    """Equal meanings and equal scans decode to equal pixels."""
    beside: bytes = field(default=b"", repr=False)
    """What may be no picture although it is the source's own: headers and endings; all of a tile without headers."""
    taken: frozenset[Key] = frozenset()
    """JPEG tables it takes from its page."""


class Judge(Protocol):
    """Walks one tile to its end."""

    def __call__(self, page: Page, tile: bytes) -> Judged:
        """Judge one tile; never raises."""
        ...


def judge_for(page: Page) -> Judge:
    """The judge for this page's codec."""
    if page.is_jpeg:
        return judge_jpeg
    if page.is_j2k:
        return judge_j2k
    return judge_plain


def judge_jpeg(page: Page, tile: bytes) -> Judged:
    """Walk one JPEG stream."""
    try:
        jpeg = jpeg_walk.walk_jpeg(tile, page.path)
        reading = read(jpeg_tables(page), jpeg.segments, page.path)
    except InputError:
        return Judged(("damaged-tile",), tile, None)
    scans = [tile[start:end] for start, end in jpeg.scans]
    bare = [jpeg_walk.without_fill(scan) for scan in scans]
    codes = {
        "foreign-marker": reading.foreign,
        "more-than-needed": bool(reading.wrong) or bare != scans or not fits(page, reading.frame),
        "bytes-after-end": jpeg.end < len(tile) or any(_has_words_behind(page, tile, jpeg, reading)),
        "damaged-tile": not all(restarts_in_turn(scan, reading, number) for number, scan in enumerate(scans)),
    }
    found = tuple(code for code, wrong in codes.items() if wrong)
    beside = b"".join(segment.payload for segment in jpeg.segments) + GAP + b"".join(map(_ends, scans))
    return Judged(found, b"".join(bare), reading.meaning, beside, reading.taken)


def fits(page: Page, frame: Frame) -> bool:
    """Whether a stream has the samples and pixels its page shows and no others; of a strip it may have fewer rows."""
    width, height = frame.size
    tall = height == page.tile.height if page.tiled else 0 < height <= page.tile.height
    samples = 1 if page.planar == SEPARATE else page.samples
    return tall and (width, len(frame.names), frame.bits) == (page.tile.width, samples, page.bits)


def _ends(scan: bytes) -> bytes:
    return endings(intervals(scan))


def _has_words_behind(page: Page, tile: bytes, jpeg: jpeg_walk.Jpeg, reading: Reading) -> Iterator[bool]:
    """For each scan: whether an end in it reads like words and is no picture; a progressive one is not followed."""
    for number, (start, end) in enumerate(jpeg.scans):
        scan = tile[start:end]
        ends = _ends(scan)
        if reading.frame.progressive:
            yield has_long_word(ends)
        elif not reads_like_words(ends).any() or (len(jpeg.scans) == 1 and _is_needed(page, tile, end, reading)):
            yield False
        else:
            yield not ends_with_its_picture(scan, reading, number)


def _is_needed(page: Page, tile: bytes, end: int, reading: Reading) -> bool:
    """Asks libjpeg, with the page's tables in front of the tile's own."""
    shared = page.jpeg_tables[2:-2]
    return is_needed_throughout(tile[:2] + shared + tile[2:end], end + len(shared), reading)


def jpeg_tables(page: Page) -> dict[Key, Table]:
    """The page's shared tables. Raises `DamagedSlide`."""
    return dict(_shared(page.jpeg_tables, f"{page.path}/347")) if page.jpeg_tables else {}


@lru_cache(maxsize=8)
def _shared(tables: bytes, where: str) -> Mapping[Key, Table]:
    """Read once for all of a page's tiles."""
    return shared_tables(jpeg_walk.walk_jpeg(tables, where).segments, where)


def shared_keys(page: Page) -> frozenset[Key]:
    """Which tables a page shares among its tiles; none when they make no sense."""
    try:
        return frozenset(jpeg_tables(page)) if page.is_jpeg else frozenset()
    except InputError:
        return frozenset()


def judge_j2k(page: Page, tile: bytes) -> Judged:
    """Walk one JPEG 2000 codestream."""
    try:
        codestream = j2k_walk.walk_j2k(tile, page.path)
    except InputError:
        return Judged(("damaged-tile",), tile, None)
    lasts = [tile[slice(*part.data)] for part in codestream.parts]
    ends = endings(lasts)
    doubtful = np.flatnonzero(reads_like_words(ends))
    whole = tile[: codestream.end]
    codes = {
        "foreign-marker": bool(j2k_walk.foreign(codestream)),
        "more-than-needed": any(j2k_meaning.objections(page, tile, codestream)),
        "bytes-after-end": codestream.end < len(tile)
        or not all(j2k_meaning.ends_with_its_packets(whole, codestream.parts[part]) for part in doubtful.tolist()),
    }
    beside = b"".join(segment.payload for segment in codestream.all_segments) + GAP + ends
    found = tuple(code for code, wrong in codes.items() if wrong)
    return Judged(found, j2k_walk.packets(tile, codestream), j2k_meaning.meaning(codestream), beside)


def judge_plain(page: Page, tile: bytes) -> Judged:
    """Find the end of a stream without headers; codecs whose end cannot be found are compared as they stand."""
    try:
        end, fits = _plain_end(page, tile)
    except DamagedSlide:
        return Judged(("damaged-tile",), tile, page.codec)
    codes = {
        "more-than-needed": not fits,
        "bytes-after-end": tile[end:] not in (b"", b"\0"),  # some LZW encoders end on one empty byte
    }
    return Judged(tuple(code for code, wrong in codes.items() if wrong), tile[:end], page.codec, tile)


def _plain_end(page: Page, tile: bytes) -> tuple[int, bool]:
    """Where the stream ends, and whether no more comes out of it than the tile has pixels for."""
    planes = 1 if page.planar == SEPARATE else page.samples
    expected = -(-page.tile.width * planes * page.bits // 8) * page.tile.height
    if page.codec == UNCOMPRESSED:
        return min(len(tile), expected), True
    if page.codec == LZW:
        end, size = lzw_end(tile, page.path)
        return end, size <= expected
    return _deflate_end(tile, expected, page.path) if page.codec in DEFLATE else (len(tile), True)


def _deflate_end(tile: bytes, expected: int, where: str) -> tuple[int, bool]:
    """Inflates at most one byte more than a tile can hold."""
    inflater = zlib.decompressobj()
    try:
        size = len(inflater.decompress(tile, expected + 1))
    except zlib.error as error:
        raise DamagedSlide("a tile does not inflate", where=where) from error
    return len(tile) - len(inflater.unused_data) - len(inflater.unconsumed_tail), size <= expected
