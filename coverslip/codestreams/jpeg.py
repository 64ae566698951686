"""JPEG codestreams as segments and scans: headers are rebuilt, the entropy-coded bytes never change.

Source: ITU-T T.81 Annex B; JFIF 1.02; the Adobe APP14 marker (Adobe TN 5116). Comments (COM), application
segments (APPn) and anything after the end of the image can carry words or whole thumbnails, so only what a decoder
needs survives.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from coverslip.errors import DamagedSlide, UnknownStructure

SOI, EOI, SOS, DQT, DHT, DRI, DNL, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xDC, 0xFE
FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended sequential and progressive Huffman frames: what browsers and pathology readers decode."""

JFIF: Final = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
"""The canonical JFIF payload: version 1.1, no density, no thumbnail. It tells a decoder that colours are YCbCr."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker and its payload (without the two length bytes)."""

    marker: int
    payload: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """`COM`, `APP1`, or the marker in hex."""
        if self.marker == COM:
            return "COM"
        return f"APP{self.marker - 0xE0}" if 0xE0 <= self.marker <= 0xEF else f"marker {self.marker:02X}"

    def encode(self) -> bytes:
        """The segment as it stands in a codestream."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.payload) + 2) + self.payload


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


@dataclass(frozen=True, slots=True)
class Codestream:
    """A codestream in pieces: rebuilt bytes and copied spans, in order."""

    pieces: tuple[bytes | Span, ...]
    foreign: tuple[Segment, ...]
    trailing: Span
    """What follows EOI; empty when nothing does."""


def header(data: bytes, start: int, stop: int) -> Header:
    """Parse from SOI to the end of the first SOS. Raises DamagedSlide or UnknownStructure."""
    kept: list[bytes] = [b"\xff\xd8"]
    foreign: list[Segment] = []
    end = start + 2
    for segment, end in _segments(data, start, stop):  # noqa: B007 (the last one is where the header ends)
        clean = rebuild(segment)
        foreign.extend(lost(segment, clean))
        if clean is not None:
            kept.append(clean.encode())
        if segment.marker == SOS:
            break
    else:
        raise DamagedSlide("a JPEG tile has no scan")
    return Header(data[start:end], b"".join(kept), tuple(foreign))


def tables(data: bytes) -> Header:
    """Parse an abbreviated table-specification stream (TIFF tag 347; TIFF Technical Note 2)."""
    kept: list[bytes] = [b"\xff\xd8"]
    foreign: list[Segment] = []
    end = 2
    for segment, end in _segments(data, 0, len(data)):  # noqa: B007 (the last one is where EOI must stand)
        clean = rebuild(segment) if segment.marker in (DQT, DHT, DRI) else None
        foreign.extend(lost(segment, clean))
        if clean is not None:
            kept.append(clean.encode())
    if data[end : end + 2] != b"\xff\xd9":
        raise DamagedSlide("JPEG tables do not end where they should")
    if len(data) > end + 2:
        foreign.append(Segment(EOI, data[end + 2 :]))
    return Header(data, b"".join(kept) + b"\xff\xd9", tuple(foreign))


def codestream(data: bytes, start: int, stop: int) -> Codestream:
    """Parse a whole codestream, several scans included, for tiles that are not just header, scan and EOI."""
    pieces: list[bytes | Span] = []
    foreign: list[Segment] = []
    first = header(data, start, stop)
    pieces.append(first.clean)
    foreign.extend(first.foreign)
    at = start + len(first.raw)
    while True:
        end = _scan_end(data, at, stop)
        pieces.append(Span(at, end))
        at = end
        if end >= stop or data[end + 1] == EOI:
            break
        at = _between_scans(data, end, stop, pieces, foreign)
    if at < stop:
        pieces.append(b"\xff\xd9")
        at += 2
    return Codestream(tuple(pieces), tuple(foreign), Span(min(at, stop), stop))


def rebuild(segment: Segment) -> Segment | None:
    """The segment as a decoder needs it, from parsed values; None when no decoder does. Raises on a malformed one."""
    marker, payload = segment.marker, segment.payload
    if marker == 0xE0 and payload.startswith(b"JFIF\0"):
        return Segment(marker, JFIF)
    if marker == 0xEE and payload.startswith(b"Adobe") and len(payload) >= 12 and payload[11] <= 2:
        return Segment(marker, b"Adobe\0\x64\0\0\0\0" + payload[11:12])
    if marker == COM or 0xE0 <= marker <= 0xEF:
        return None
    if not _exact(marker, payload):
        raise DamagedSlide(f"a JPEG segment ({segment.name}) is longer or shorter than its content")
    return segment


def lost(segment: Segment, clean: Segment | None) -> tuple[Segment, ...]:
    """What of a segment does not survive being rebuilt: all of it, or what followed the part we write anew."""
    if clean is None:
        return (segment,)
    rest = segment.payload[len(clean.payload) :]
    return (Segment(segment.marker, rest),) if rest else ()


def _exact(marker: int, payload: bytes) -> bool:
    """Whether nothing can hide behind the end of what a segment declares."""
    size = len(payload)
    if marker in FRAMES:
        return size >= 6 and size == 6 + 3 * payload[5]
    if marker == SOS:
        return size >= 1 and size == 4 + 2 * payload[0]
    if marker in (DRI, DNL):
        return size == 2
    if marker == DQT:
        return _walk_tables(payload, lambda p, at: 1 + (128 if p[at] >> 4 else 64))
    if marker == DHT:
        return _walk_tables(payload, lambda p, at: 17 + sum(p[at + 1 : at + 17]))
    raise UnknownStructure(f"a JPEG tile uses a segment ({marker:02X}) we do not write")


def _walk_tables(payload: bytes, length: Callable[[bytes, int], int]) -> bool:
    at = 0
    while at < len(payload):
        at += length(payload, at)
    return at == len(payload)


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
        if at + 4 > stop:
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > stop:
            break
        yield Segment(marker, data[at + 4 : at + 2 + length]), at + 2 + length
        at += 2 + length
    raise DamagedSlide("a JPEG tile ends inside its header")


def _scan_end(data: bytes, at: int, stop: int) -> int:
    """Offset of the first marker that is neither stuffing nor a restart; `stop` when there is none."""
    while True:
        at = data.find(b"\xff", at, stop - 1)
        if at < 0:
            return stop
        following = data[at + 1]
        if following == 0xFF:
            at += 1
        elif following and not 0xD0 <= following <= 0xD7:
            return at
        else:
            at += 2


def _between_scans(data: bytes, at: int, stop: int, pieces: list[bytes | Span], foreign: list[Segment]) -> int:
    """Collect the segments between two scans of a progressive image; returns where the next scan begins."""
    while at + 4 <= stop and data[at] == 0xFF and data[at + 1] not in (EOI, SOI):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > stop:
            break
        segment = Segment(data[at + 1], data[at + 4 : at + 2 + length])
        at += 2 + length
        clean = rebuild(segment)
        foreign.extend(lost(segment, clean))
        if clean is not None:
            pieces.append(clean.encode())
        if segment.marker == SOS or (clean is None and data[at : at + 1] != b"\xff"):
            return at
    if at < stop and data[at : at + 2] == b"\xff\xd9":
        return at
    raise DamagedSlide("a JPEG tile ends between two scans")
