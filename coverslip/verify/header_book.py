"""JPEG headers of one page: nearly all its tiles begin alike, so each header is read once."""

from __future__ import annotations

from coverslip.errors import InputError
from coverslip.verify import jpeg_walk
from coverslip.verify.blocks import Block
from coverslip.verify.codecs import fits, jpeg_tables
from coverslip.verify.jpeg_meaning import Key, Meaning, Reading, read
from coverslip.verify.pages import Page

MAX_KNOWN = 4096
"""Distinct headers that are remembered; a page whose every tile has tables of its own has more."""


class HeaderBook:
    """Headers met so far, and what they take from the page's shared tables. Safe to share between threads."""

    def __init__(self, page: Page) -> None:
        """Begin with no header known. Raises `DamagedSlide` when the page's shared tables make no sense."""
        self.page = page
        self.tables = jpeg_tables(page)
        self.known: dict[bytes, Reading | None] = {}
        """None for a header that makes no sense."""
        self.taken: set[Key] = set()
        """Shared tables that some tile asks for."""
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
        header = tile[: walked.end]
        if header not in self.known and len(self.known) < MAX_KNOWN:
            self.known[header] = self._read(walked.segments)
        self._latest = header  # last: the other thread takes it at once, and has to find it known
        return walked.end

    def headers(self, block: Block) -> list[bytes]:
        """Each tile's header; empty where it does not begin as a JPEG stream with a scan."""
        latest, data, cuts = self._latest, block.data, block.cuts
        if all(data.startswith(latest, start, end) for start, end in cuts):
            return [latest] * len(cuts)
        lengths = [self.length(data[start:end]) for start, end in cuts]
        return [data[start : start + length] for (start, _), length in zip(cuts, lengths, strict=True)]

    def _read(self, segments: tuple[jpeg_walk.Segment, ...]) -> Reading | None:
        try:
            found = read(self.tables, segments, self.page.path)
        except InputError:
            return None
        self.taken |= found.taken
        return found

    def is_plain(self, header: bytes) -> bool:
        """True when a header met before says what a decoder of this page needs and no more, without restarts."""
        found = self.known.get(header)
        if found is None or found.wrong or found.foreign or found.meaning.restart:
            return False
        return fits(self.page, found.frame)

    def meaning(self, header: bytes) -> Meaning | None:
        """What a header met before means together with the shared tables."""
        found = self.known.get(header)
        return found.meaning if found else None

    @property
    def unused(self) -> frozenset[Key]:
        """Shared tables that no tile met so far asks for."""
        return frozenset(self.tables.keys() - self.taken)
