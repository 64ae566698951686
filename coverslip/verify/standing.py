"""Words in JPEG tables: a table that goes may spell a name, and may be the very one that stays somewhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from coverslip.errors import InputError
from coverslip.verify.jpeg_tables import DHT, DQT, tables_of, words
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
    """What `words_in_tables` gives for the tables of a clean slide.

    A value that is one of these tables whole has not been removed: another page, or the picture we encode, needs the
    same table. Whether each is needed is the business of `scans` and `structure`.
    """
    return frozenset(said for page in pages if page.is_jpeg for said in _of_page(file, page))


def _of_page(file: Bytes, page: Page) -> Iterator[bytes]:
    stored = [(at, size) for at, size in zip(page.offsets.tolist(), page.counts.tolist(), strict=True) if size]
    heads = (file.read(at, min(size, MAX_HEADER), page.path) for at, size in stored[:MAX_TILES])
    for head in filter(None, (page.jpeg_tables, *heads)):
        try:
            segments = (walk_jpeg if head is page.jpeg_tables else walk_header)(head, page.path).segments
        except InputError:
            continue  # `scans` says what is wrong with it
        yield from (said for _, said in words_in_tables(segments, page.path))
