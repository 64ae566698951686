"""One block of stored tiles: are the markers only those a decoder needs, and is every scan the source's own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coverslip.verify import jpeg_walk
from coverslip.verify.blocks import Block, load
from coverslip.verify.codecs import Judged, judge_for, judge_jpeg
from coverslip.verify.endings import REACH, endings, reads_like_words
from coverslip.verify.header_book import HeaderBook
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes

Bools = NDArray[np.bool_]

MAX_JUDGED = 64
"""Tiles remembered because their like may come again."""


class Search(Protocol):
    """Looks for what must be gone."""

    def search_scan(self, data: bytes) -> None:
        """In bytes that no comparison has proved to be the source's own scan."""

    def search_proved(self, data: bytes) -> None:
        """In bytes of tiles that are the source's own, where words may stand for all that."""


@dataclass(slots=True)
class Pair:
    """One level of the clean slide, with the source's where there is one."""

    file: Bytes
    page: Page
    book: HeaderBook | None
    source: Bytes | None = None
    source_page: Page | None = None
    source_book: HeaderBook | None = None
    search: Search | None = None
    same_meaning: dict[tuple[bytes, bytes], bool] = field(default_factory=dict)
    judged: dict[bytes, Judged] = field(default_factory=dict)
    """Tiles that were looked at closely, by their bytes."""


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
    headers, plain = _headers(pair.book, block)
    plain &= ~_doubtful(pair, block, headers, plain)
    judged = _judged(pair, block, np.flatnonzero(~plain))
    wrong = [(int(tiles[index]), code) for index, found in judged.items() for code in found.codes]
    identical = _identical(pair, block, headers, judged)
    if pair.source is not None:
        wrong += [(int(tile), "scan-differs") for tile in tiles[~identical]]
    _search_judged(pair, block, identical, judged)
    counts = Counter(code for _, code in wrong)
    return Outcome(tiles, block.digests(), int(identical.sum()), tuple(wrong[:64]), counts)


def _headers(book: HeaderBook | None, block: Block) -> tuple[list[bytes], Bools]:
    """Headers, and which tiles need no closer look: known header, one scan, EOI as the last two bytes."""
    if book is None:
        return [b""] * len(block.tiles), np.zeros(len(block.tiles), np.bool_)
    headers = book.headers(block)
    plain = {header: bool(header) and book.is_plain(header) for header in set(headers)}
    fine = np.array([plain[header] for header in headers], dtype=np.bool_)
    return headers, fine & one_scan(block, np.array([len(header) for header in headers], np.int64))


def _doubtful(pair: Pair, block: Block, headers: list[bytes], plain: Bools) -> Bools:
    """Which plain tiles end in what reads like words; all endings are searched, since identical tiles are not."""
    indices = np.flatnonzero(plain)
    found = np.zeros(len(headers), np.bool_)
    if not len(indices):
        return found
    data, cuts = block.data, block.cuts
    looked = [(cuts[index], len(headers[index])) for index in indices.tolist()]
    ends = endings([data[max(start + header, end - 2 - REACH) : end - 2] for (start, end), header in looked])
    if pair.search is not None:
        pair.search.search_proved(ends)
    found[indices] = reads_like_words(ends)
    return found


def _judged(pair: Pair, block: Block, indices: NDArray[np.int64]) -> dict[int, Judged]:
    """A closer look at some tiles; the same bytes (blank tiles) once."""
    judge, known = judge_for(pair.page), pair.judged
    found: dict[int, Judged] = {}
    for index in indices.tolist():
        piece = block.piece(index)
        closely = known.get(piece)
        if closely is None:
            closely = judge(pair.page, piece)
            if len(known) >= MAX_JUDGED:
                known.clear()
            known[piece] = closely
            if pair.book is not None:
                pair.book.taken |= closely.taken
        found[index] = closely
    return found


def one_scan(block: Block, headers: NDArray[np.int64]) -> Bools:
    """Which tiles hold, after their header, no marker and no fill byte but one EOI at their very end."""
    data = np.frombuffer(block.data, np.uint8)
    marks = np.flatnonzero(data[:-1] == 0xFF)
    marks = marks[data[marks + 1] != 0]
    if not len(marks):
        return np.zeros(len(block.tiles), np.bool_)
    ends = block.starts + block.sizes
    first, behind = np.searchsorted(marks, block.starts + headers), np.searchsorted(marks, ends - 1)
    at_end = marks[np.minimum(first, len(marks) - 1)] == ends - 2
    found: Bools = at_end & (behind - first == 1) & (data[np.maximum(ends - 1, 0)] == jpeg_walk.EOI)
    return found


def _identical(pair: Pair, block: Block, headers: list[bytes], judged: dict[int, Judged]) -> Bools:
    """Which tiles decode to the source's pixels because scan and tables are the source's."""
    if pair.source is None or pair.source_page is None or (pair.source_page.counts[block.tiles] == 0).any():
        return np.zeros(len(headers), np.bool_)
    source = load(pair.source, pair.source_page, block.tiles)
    same_bytes = _same_run(block, source)
    if same_bytes and pair.page.jpeg_tables == pair.source_page.jpeg_tables:
        found = np.ones(len(headers), np.bool_)
        found[[index for index, tile in judged.items() if "damaged-tile" in tile.codes]] = False
        return found
    pieces = block.pieces()
    before = pieces if same_bytes else source.pieces()
    compared = [
        _compare_judged(pair, judged[index], (new, old))
        if index in judged
        else _compare_jpeg(pair, (new, old), len(headers[index]), same_bytes)
        for index, (new, old) in enumerate(zip(pieces, before, strict=True))
    ]
    return np.array(compared, dtype=np.bool_)


def _same_run(block: Block, source: Block) -> bool:
    """True when both runs have the same layout and the same bytes: then no tile needs a look of its own."""
    if len(block.data) != len(source.data) or not np.array_equal(block.sizes, source.sizes):
        return False
    return np.array_equal(block.starts, source.starts) and block.data == source.data


def _compare_jpeg(pair: Pair, tiles: tuple[bytes, bytes], length: int, same_bytes: bool) -> bool:
    clean, source = tiles
    before = pair.source_book.length(source) if pair.source_book else 0
    known = before and _same_meaning(pair, clean[:length], source[:before])
    if known and (same_bytes or _same_scan(clean, length, source, before)):
        return True
    return _compare_judged(pair, judge_jpeg(pair.page, clean), tiles)


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
    meaning = pair.book.meaning(header)
    return meaning is not None and meaning == pair.source_book.meaning(source_header)


def _compare_judged(pair: Pair, judged: Judged, tiles: tuple[bytes, bytes]) -> bool:
    """The same bytes among the same tables need no second look."""
    if pair.source_page is None or "damaged-tile" in judged.codes:
        return False
    clean, source = tiles
    if clean == source and pair.page.jpeg_tables == pair.source_page.jpeg_tables:
        return True
    before = judge_for(pair.source_page)(pair.source_page, source)
    return judged.scan == before.scan and judged.meaning == before.meaning


def _search_judged(pair: Pair, block: Block, identical: Bools, judged: dict[int, Judged]) -> None:
    """Everything of a tile that is not the source's own; of the others what may be no picture."""
    if pair.search is None:
        return
    for index in sorted({*judged, *np.flatnonzero(~identical).tolist()}):
        found = judged.get(index)
        if not identical[index] or (found and found.codes):
            pair.search.search_scan(block.piece(index))
        elif found:
            pair.search.search_proved(found.beside)
