"""JPEG codestreams as headers and scans: headers are rebuilt, the entropy-coded bytes never change.

Source: ITU-T T.81 Annex B; JFIF 1.02; the Adobe APP14 marker (Adobe TN 5116). Comments (COM), application segments
(APPn), tables nobody uses, fill bytes and anything after the end of the image can carry words or whole thumbnails, so
only what a decoder needs survives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from coverslip.codestreams.jpeg_header import (
    COM,
    DHT,
    DQT,
    DRI,
    EOI,
    FRAMES,
    JFIF,
    SOI,
    SOS,
    Builder,
    Frame,
    Scan,
    Segment,
    mcus,
)
from coverslip.codestreams.jpeg_tables import Key, Table, huffman, quantisation, words
from coverslip.codestreams.mcu import check_ends
from coverslip.errors import DamagedSlide

__all__ = [
    "COM",
    "DHT",
    "DQT",
    "DRI",
    "EOI",
    "FRAMES",
    "JFIF",
    "SOI",
    "SOS",
    "Codestream",
    "Frame",
    "Header",
    "Key",
    "Scan",
    "Segment",
    "Shared",
    "Span",
    "codestream",
    "header",
    "joined",
    "tables",
]

_RESTART: Final = re.compile(rb"\xff([\xd0-\xd7])")
_END_OF_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FILL: Final = re.compile(rb"\xff\xff*(?=\xff)")
"""Not `\xff+`: a pattern that begins with one byte is looked for twenty times as fast."""
"""Fill bytes: any number of them may stand before a marker (T.81 B.1.1.2)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Entropy-coded bytes, copied as they are: [start, stop) in the buffer or file they were found in."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Header:
    """Everything from SOI to the end of the first SOS, which the tiles of a page usually share byte for byte."""

    raw: bytes = field(repr=False)
    clean: bytes = field(repr=False)
    """The same header rebuilt from what a decoder needs."""
    foreign: tuple[Segment, ...]
    """Segments that did not survive."""
    frame: Frame
    scan: Scan
    interval: int
    """MCUs between restarts; 0 for none."""
    wanted: frozenset[Key]
    """Tables it asks for and does not have."""
    own: Mapping[Key, bytes] = field(repr=False)
    """Tables it has, as they stand in a segment of their own."""

    @property
    def same(self) -> bool:
        """Whether nothing had to change."""
        return self.clean == self.raw


@dataclass(frozen=True, slots=True)
class Codestream:
    """A codestream in pieces: rebuilt bytes and copied spans, in order."""

    pieces: tuple[bytes | Span, ...]
    foreign: tuple[Segment, ...]
    trailing: Span
    """What follows EOI; empty when nothing does."""
    wanted: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class Shared:
    """JPEGTables: what the tiles of a page may take from it."""

    tables: tuple[Table, ...]
    foreign: tuple[Segment, ...]

    def at(self, key: Key) -> Table | None:
        """The table of this kind and number."""
        return next((table for table in self.tables if table.key == key), None)

    @property
    def payloads(self) -> Mapping[Key, bytes]:
        """Each table as it stands in a segment of its own."""
        return {table.key: table.payload for table in self.tables}

    def clean(self, wanted: Iterable[Key]) -> bytes:
        """A stream of the tables that are wanted, each once; empty when none is."""
        asked = set(wanted)
        segments = (Segment(t.key.marker, t.payload).encode() for t in self.tables if t.key in asked)
        body = b"".join(segments)
        return b"\xff\xd8" + body + b"\xff\xd9" if body else b""


def header(data: bytes, start: int, stop: int) -> Header:
    """Parse from SOI to the end of the first SOS. Raises DamagedSlide or UnknownStructure."""
    return _header(data, start, stop)[0]


def _header(data: bytes, start: int, stop: int) -> tuple[Header, Builder]:
    builder = Builder()
    for segment, end in _segments(data, start, stop):  # noqa: B007 (where the scan's header ends, the header does)
        if segment.marker == SOS:
            clean, scan = builder.scan(segment.payload)
            break
        builder.take(segment)
    else:
        raise DamagedSlide("a JPEG tile has no scan")
    if builder.frame is None:
        raise DamagedSlide("a JPEG tile has no frame before its scan")
    foreign = (*builder.foreign, *builder.unused())
    found = Header(
        data[start:end],
        clean,
        foreign,
        builder.frame,
        scan,
        builder.interval,
        frozenset(builder.wanted),
        builder.tables,
    )
    return found, builder


def tables(data: bytes) -> Shared:
    """Parse an abbreviated table-specification stream (TIFF tag 347; TIFF Technical Note 2).

    A table defined twice counts as it was defined last. Raises DamagedSlide.
    """
    found: dict[Key, Table] = {}
    foreign: list[Segment] = []
    end = 2
    for segment, end in _segments(data, 0, len(data)):  # noqa: B007 (the last one is where EOI must stand)
        if segment.marker not in (DQT, DHT):
            foreign.append(segment)  # a decoder forgets DRI at the next SOI
            continue
        for table in quantisation(segment.payload) if segment.marker == DQT else huffman(segment.payload):
            overwritten = found.pop(table.key, table)
            if overwritten.payload != table.payload:
                foreign.append(Segment(segment.marker, words(overwritten)))
            found[table.key] = table
    if data[end : end + 2] != b"\xff\xd9":
        raise DamagedSlide("JPEG tables do not end where they should")
    if len(data) > end + 2:
        foreign.append(Segment(EOI, data[end + 2 :]))
    return Shared(tuple(sorted(found.values(), key=_order)), tuple(foreign))


def _order(table: Table) -> tuple[bool, int, int]:
    """Quantisation first, then DC and AC of each number."""
    return table.key.marker == DHT, table.key.number, table.key.kind


def codestream(data: bytes, start: int, stop: int, shared: Mapping[Key, bytes] = MappingProxyType({})) -> Codestream:
    """Parse a whole codestream, several scans included, for tiles that are not just header, scan and EOI.

    `shared` are the tables of the page. Raises DamagedSlide or UnknownStructure.
    """
    first, builder = _header(data, start, stop)
    begin = start + len(first.raw)
    pieces: list[bytes | Span] = [Span(start, begin) if first.same else first.clean]
    at, scan = begin, first.scan
    while True:
        end, following = _scan_end(data, at, stop)
        coded = data[at:end]
        if not coded:
            raise DamagedSlide("a JPEG tile has a scan with nothing in it")
        _check_restarts(coded, first.frame, scan, builder.interval)
        only = following >= stop or data[following + 1] == EOI
        before = first.raw if only and at == begin else b""
        check_ends(coded, first.frame, scan, builder.interval, {**shared, **builder.tables}, before)
        pieces.extend(_without_fill(data, at, end))
        if only:
            break
        at = _between_scans(data, following, stop, builder)
        if data[at : at + 2] == b"\xff\xd9":
            following = at
            break
        clean, scan = builder.scan(_payload(data, at, stop))
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        pieces.append(Span(following, at) if data[following:at] == clean else clean)
    after = min(following + 2, stop)
    pieces.append(Span(following, after) if after - following == 2 else b"\xff\xd9")
    return Codestream(
        joined(pieces), (*builder.foreign, *builder.unused()), Span(after, stop), frozenset(builder.wanted)
    )


def _segments(data: bytes, start: int, stop: int) -> Iterator[tuple[Segment, int]]:
    """Segments from SOI on, each with the offset after it, until a marker without a payload (EOI)."""
    if data[start : start + 2] != b"\xff\xd8":
        raise DamagedSlide("a JPEG tile does not begin with SOI")
    at = start + 2
    while at + 2 <= stop and data[at] == 0xFF:
        while at + 2 < stop and data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        if marker in (EOI, SOI) or 0xD0 <= marker <= 0xD7:
            return
        payload = _payload(data, at, stop)
        yield Segment(marker, payload), at + 4 + len(payload)
        at += 4 + len(payload)
    raise DamagedSlide("a JPEG tile ends inside its header")


def _payload(data: bytes, at: int, stop: int) -> bytes:
    """What a segment that begins at `at` holds."""
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    if length < 2 or at + 2 + length > stop:
        raise DamagedSlide("a JPEG tile ends inside its header")
    return data[at + 4 : at + 2 + length]


def _scan_end(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """Where a scan ends, fill bytes left out, and where the marker behind it begins: at `stop` without one."""
    found = _END_OF_SCAN.search(data, at, stop)
    marker = stop if found is None else found.start()
    return at + len(data[at:marker].rstrip(b"\xff")), marker


def _check_restarts(scan: bytes, frame: Frame, header: Scan, interval: int) -> None:
    """Restart markers stand where the interval asks for them, numbered in turn, and nowhere else (T.81 E.1.4)."""
    found = [mark[0] & 7 for mark in _RESTART.findall(scan)]
    count = -(-mcus(frame, header) // interval) - 1 if interval else 0
    if found != [number % 8 for number in range(count)]:
        raise DamagedSlide("a JPEG scan restarts where it should not, or does not where it should")


def _without_fill(data: bytes, start: int, stop: int) -> Iterator[Span]:
    """A scan without the fill bytes before its restart markers."""
    for fill in _FILL.finditer(data, start, stop):
        yield Span(start, fill.start())
        start = fill.end()
    yield Span(start, stop)


def _between_scans(data: bytes, at: int, stop: int, builder: Builder) -> int:
    """Take the segments between two scans of an image; returns where the next SOS or EOI begins."""
    while at + 4 <= stop and data[at] == 0xFF and data[at + 1] not in (EOI, SOI, SOS):
        payload = _payload(data, at, stop)
        builder.take(Segment(data[at + 1], payload))
        at += 4 + len(payload)
        while at + 2 < stop and data[at : at + 2] == b"\xff\xff":
            at += 1
    if data[at : min(at + 2, stop)] in (b"\xff\xd9", b"\xff\xda"):
        return at
    raise DamagedSlide("a JPEG tile ends between two scans")


def joined(pieces: Iterable[bytes | Span]) -> tuple[bytes | Span, ...]:
    """Spans that touch as one, rebuilt pieces that touch as one, empty ones left out."""
    joined: list[bytes | Span] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, Span) and isinstance(last, Span) and last.stop == piece.start:
            joined[-1] = Span(last.start, piece.stop)
        elif isinstance(piece, bytes) and isinstance(last, bytes):
            joined[-1] = last + piece
        elif piece != b"" and not (isinstance(piece, Span) and piece.start == piece.stop):
            joined.append(piece)
    return tuple(joined)
