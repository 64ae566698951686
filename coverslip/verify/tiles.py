"""One block of stored tiles: are the markers only those a decoder needs, and is every scan the source's own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coverslip.errors import InputError
from coverslip.verify import jpeg_walk
from coverslip.verify.blocks import Block, load
from coverslip.verify.codecs import Judged, jpeg_tables, judge_for
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes

Bools = NDArray[np.bool_]


class HeaderBook:
    """JPEG headers of one page seen so far: nearly all its tiles begin alike, so each header is walked once."""

    def __init__(self, page: Page) -> None:
        """Begin with no header known. Raises `DamagedSlide` when the page's shared tables make no sense."""
        self.page = page
        self.tables = jpeg_tables(page)
        self.known: dict[bytes, tuple[jpeg_walk.Segment, ...]] = {}
        self._latest = b"\0"

    def length(self, tile: bytes) -> int:
        """How long this tile's header is; 0 when it does not begin as a JPEG stream with a scan."""
        latest = self._latest
        if tile.startswith(latest):
            return len(latest)
        try:
            walked = jpeg_walk.walk_header(tile, self.page.path)
        except InputError:
            return 0
        if walked.segments[-1].marker != jpeg_walk.SOS:
            return 0
        self._latest = tile[: walked.end]
        self.known.setdefault(self._latest, walked.segments)
        return walked.end

    def is_plain(self, header: bytes) -> bool:
        """True when nothing but tables, frame and scan stand in a header met before."""
        return not any(jpeg_walk.foreign(self.known.get(header, ())))

    def meaning(self, header: bytes) -> jpeg_walk.Meaning:
        """What a header met before means together with the shared tables."""
        return jpeg_walk.meaning(self.tables, self.known[header], self.page.path)


@dataclass(slots=True)
class Pair:
    """One level of the clean slide, with the source's where there is one."""

    file: Bytes
    page: Page
    book: HeaderBook | None
    source: Bytes | None = None
    source_page: Page | None = None
    source_book: HeaderBook | None = None
    search: Callable[[bytes], None] | None = None
    """Called with bytes that no comparison has proved to be the source's own scan."""
    same_meaning: dict[tuple[bytes, bytes], bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one block came to."""

    tiles: NDArray[np.int64]
    digests: bytes
    """32 bytes per tile, in the order of `tiles`."""
    identical: int
    wrong: tuple[tuple[int, str], ...]
    """Tile number and code, at most a few per code."""
    counts: Counter[str]


def judge_block(pair: Pair, tiles: NDArray[np.int64]) -> Outcome:
    """Read, hash, walk and compare one block of tiles."""
    block = load(pair.file, pair.page, tiles)
    pieces = block.pieces()
    digests = b"".join([hashlib.sha256(piece).digest() for piece in pieces])
    headers, plain = _headers(pair.book, block, pieces)
    judge = judge_for(pair.page)
    judged = {int(index): judge(pair.page, pieces[index]) for index in np.flatnonzero(~plain)}
    wrong = [(int(tiles[index]), code) for index, found in judged.items() for code in found.codes]
    identical = _identical(pair, block, pieces, (headers, judged))
    if pair.source is not None:
        wrong += [(int(tile), "scan-differs") for tile in tiles[~identical]]
    _search_unproven(pair, pieces, identical, judged)
    return Outcome(tiles, digests, int(identical.sum()), tuple(wrong[:64]), Counter(code for _, code in wrong))


def _headers(book: HeaderBook | None, block: Block, pieces: list[bytes]) -> tuple[list[int], Bools]:
    """Header lengths, and which tiles need no closer look: known header, one scan, EOI as the last two bytes."""
    if book is None:
        return [0] * len(pieces), np.zeros(len(pieces), np.bool_)
    lengths = [book.length(piece) for piece in pieces]
    headers = [piece[:length] for piece, length in zip(pieces, lengths, strict=True)]
    plain = {header: book.is_plain(header) for header in set(headers)}
    fine = np.array([plain[header] for header in headers], dtype=np.bool_)
    known = np.array(lengths, dtype=np.int64)
    return lengths, fine & (known > 0) & one_scan(block, known)


def one_scan(block: Block, headers: NDArray[np.int64]) -> Bools:
    """Which tiles hold, after their header, no marker but restarts and one EOI at their very end."""
    data = np.frombuffer(block.data, np.uint8)
    at = np.flatnonzero(data[:-1] == 0xFF)
    following = data[at + 1]
    marker = (following != 0) & (following != 0xFF) & ((following & 0xF8) != 0xD0)
    at, following = at[marker], following[marker]
    order = np.argsort(block.starts, kind="stable")
    tile = order[np.maximum(np.searchsorted(block.starts[order], at, side="right") - 1, 0)]
    ends = block.starts + block.sizes
    inside = (at >= (block.starts + headers)[tile]) & (at < ends[tile] - 1)
    final = inside & (at == ends[tile] - 2) & (following == jpeg_walk.EOI)
    markers = np.bincount(tile[inside], minlength=len(block.tiles))
    ended = np.bincount(tile[final], minlength=len(block.tiles))
    return np.equal(markers, 1) & np.equal(ended, 1)


def _identical(pair: Pair, block: Block, pieces: list[bytes], walked: tuple[list[int], dict[int, Judged]]) -> Bools:
    """Which tiles decode to the source's pixels because scan and tables are the source's."""
    if pair.source is None or pair.source_page is None or (pair.source_page.counts[block.tiles] == 0).any():
        return np.zeros(len(pieces), np.bool_)
    headers, judged = walked
    source = load(pair.source, pair.source_page, block.tiles)
    same_bytes = _same_run(block, source)
    before = pieces if same_bytes else source.pieces()
    found = [
        _compare_judged(pair, judged[index], old)
        if index in judged
        else _compare_jpeg(pair, (new, old), headers[index], same_bytes)
        for index, (new, old) in enumerate(zip(pieces, before, strict=True))
    ]
    return np.array(found, dtype=np.bool_)


def _same_run(block: Block, source: Block) -> bool:
    """True when both runs have the same layout and the same bytes: then no tile needs a look of its own."""
    if len(block.data) != len(source.data) or not np.array_equal(block.sizes, source.sizes):
        return False
    return np.array_equal(block.starts, source.starts) and block.data == source.data


def _compare_jpeg(pair: Pair, tiles: tuple[bytes, bytes], length: int, same_bytes: bool) -> bool:
    clean, source = tiles
    before = pair.source_book.length(source) if pair.source_book else 0
    if not before or not _same_meaning(pair, clean[:length], source[:before]):
        return False
    return same_bytes or _same_scan(clean, length, source, before)


def _same_scan(clean: bytes, start: int, source: bytes, source_start: int) -> bool:
    """Equal up to and including the clean tile's EOI; what follows EOI in the source is no scan."""
    if source.startswith(clean[start:], source_start):
        return True
    return clean[start:-2] == source[source_start:]


def _same_meaning(pair: Pair, header: bytes, source_header: bytes) -> bool:
    key = (header, source_header)
    if key not in pair.same_meaning:
        pair.same_meaning[key] = _compare_meaning(pair, header, source_header)
    return pair.same_meaning[key]


def _compare_meaning(pair: Pair, header: bytes, source_header: bytes) -> bool:
    if pair.book is None or pair.source_book is None:
        return False
    try:
        return pair.book.meaning(header) == pair.source_book.meaning(source_header)
    except InputError:
        return False


def _compare_judged(pair: Pair, judged: Judged, source: bytes) -> bool:
    if pair.source_page is None or "damaged-tile" in judged.codes:
        return False
    before = judge_for(pair.source_page)(pair.source_page, source)
    return judged.scan == before.scan and judged.meaning == before.meaning


def _search_unproven(pair: Pair, pieces: list[bytes], identical: Bools, judged: dict[int, Judged]) -> None:
    if pair.search is None:
        return
    for index, piece in enumerate(pieces):
        if not identical[index] or (index in judged and judged[index].codes):
            pair.search(piece)
