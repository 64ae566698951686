"""Words in JPEG tables: a table that goes may spell a name, and may be the very one that stays somewhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from coverslip.errors import InputError
from coverslip.verify.jpeg_meaning import read, shared_tables
from coverslip.verify.jpeg_tables import DHT, DQT, Table, tables_of, words
from coverslip.verify.jpeg_walk import Segment, walk_header, walk_jpeg
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes

MAX_TILES = 64
"""Tiles of a page whose headers are read for the tables that stay."""
MAX_HEADER = 1 << 16


def words_in_tables(segments: Iterable[Segment], where: str) -> Iterator[tuple[int, bytes]]:
    """Marker and content of every table in which letters follow each other; of damaged ones, of those before it."""
    try:
        for segment in segments:
            if segment.marker in (DQT, DHT):
                found = tables_of(segment.marker, segment.payload, where)
                yield from ((table.marker, said) for table in found if (said := words(table)))
    except InputError:
        return


def standing_words(file: Bytes, pages: Sequence[Page]) -> frozenset[bytes]:
    """What `words_in_tables` gives for the tables that scans of a clean slide are decoded with.

    A value that is one of these tables whole has not been removed: another page, or the picture we encode, needs the
    same table. Of streams that hold more than a decoder needs, nothing counts: somebody put it there.
    """
    return frozenset(said for page in pages if page.is_jpeg for said in _of_page(file, page))


def _of_page(file: Bytes, page: Page) -> Iterator[bytes]:
    known: set[bytes] = set()
    for tile in np.flatnonzero(page.counts)[:MAX_TILES].tolist():
        at, size = int(page.offsets[tile]), int(page.counts[tile])
        head = file.read(at, min(size, MAX_HEADER), page.path)
        with suppress(InputError):  # `scans` says what is wrong with it
            header = walk_header(head, page.path)
            if (said := head[: header.end]) not in known:  # most tiles of a page begin alike
                known.add(said)
                yield from filter(None, map(words, _needed(page, header.segments)))


def _needed(page: Page, segments: Sequence[Segment]) -> Iterator[Table]:
    """The tables that the scans of one stream are decoded with."""
    shared = shared_tables(walk_jpeg(page.jpeg_tables, page.path).segments, page.path) if page.jpeg_tables else {}
    reading = read(shared, segments, page.path)
    if reading.wrong:
        return
    for scan in reading.meaning.scans:
        yield from filter(None, (*scan.dc, *scan.ac))
    own = shared_tables(segments, page.path)
    for number in reading.frame.divisors:
        if (table := own.get((DQT, number)) or shared.get((DQT, number))) is not None:
            yield table
