"""The verifier's own JPEG walker: marker segments, and where the scans lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.verify.limits import MAX_SEGMENTS

SOI, EOI, SOS, DQT, DHT, DRI, APP0, APP14, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xE0, 0xEE, 0xFE
FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
STRUCTURAL = FRAMES | {SOI, EOI, SOS, DQT, DHT, DRI}
_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends a scan: not a stuffed byte, not a restart, not a fill byte."""
_FILL = re.compile(rb"\xff\xff*(?=\xff|\Z)")
RESTART = re.compile(rb"\xff([\xd0-\xd7])")


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment."""

    marker: int
    start: int
    """Position of its 0xFF."""
    end: int
    payload: bytes
    """Without marker and length."""

    @property
    def filled(self) -> bool:
        """Whether fill bytes stand before its marker (T.81 B.1.1.2)."""
        return self.end - self.start > len(self.payload) + 4


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A walked JPEG stream."""

    segments: tuple[Segment, ...]
    """All but SOI and EOI, in order."""
    scans: tuple[tuple[int, int], ...]
    """Start and end of each entropy-coded scan."""
    end: int
    """Position after EOI."""


def walk_jpeg(data: bytes, where: str) -> Jpeg:
    """Walk a whole stream, scans included; bytes after EOI are left to the caller. Raises `DamagedSlide`."""
    segments: list[Segment] = []
    scans: list[tuple[int, int]] = []
    position = _start(data, where)
    while True:
        segment = _segment(data, position, where)
        if segment.marker == EOI:
            return Jpeg(tuple(segments), tuple(scans), segment.end)
        if len(segments) >= MAX_SEGMENTS:
            raise LimitExceeded("too many marker segments", where=where)
        segments.append(segment)
        position = segment.end
        if segment.marker == SOS:
            scans.append((position, _scan_end(data, position, where)))
            position = scans[-1][1]


def walk_header(data: bytes, where: str) -> Jpeg:
    """Walk up to the first scan and stop; `end` is where the scan begins. Raises `DamagedSlide`."""
    segments: list[Segment] = []
    position = _start(data, where)
    while True:
        segment = _segment(data, position, where)
        segments.append(segment)
        position = segment.end
        if segment.marker in (SOS, EOI):
            return Jpeg(tuple(segments), (), position)
        if len(segments) >= MAX_SEGMENTS:
            raise LimitExceeded("too many marker segments", where=where)


def without_fill(scan: bytes) -> bytes:
    """A scan without the fill bytes before its restart markers and behind it."""
    return _FILL.sub(b"", scan)


def foreign(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Segments that carry more than a decoder needs: all but tables, frames, scans, plain Adobe and JFIF."""
    for segment in segments:
        if segment.marker not in STRUCTURAL and not _is_plain_app(segment):
            yield segment


def _is_plain_app(segment: Segment) -> bool:
    """One of the four payloads that say a colour transform and nothing else."""
    if segment.marker == APP14:
        return segment.payload in {b"Adobe\0\x64\0\0\0\0" + bytes([transform]) for transform in range(3)}
    return segment.marker == APP0 and segment.payload == b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"


def _start(data: bytes, where: str) -> int:
    if data[:2] != b"\xff\xd8":
        raise DamagedSlide("does not begin as a JPEG stream", where=where)
    return 2


def _segment(data: bytes, position: int, where: str) -> Segment:
    start = position
    while data[position + 1 : position + 2] == b"\xff":
        position += 1
    if data[position : position + 1] != b"\xff" or position + 1 >= len(data):
        raise DamagedSlide("a marker is expected here", where=where)
    marker = data[position + 1]
    if marker == EOI:
        return Segment(marker, start, position + 2, data[start:position])
    if marker in (0x00, 0x01, SOI) or 0xD0 <= marker <= 0xD7:
        raise DamagedSlide("a marker stands where none may", where=where)
    length = int.from_bytes(data[position + 2 : position + 4], "big")
    end = position + 2 + length
    if length < 2 or end > len(data):
        raise DamagedSlide("a marker segment ends early", where=where)
    return Segment(marker, start, end, data[position + 4 : end])


def _scan_end(data: bytes, position: int, where: str) -> int:
    found = _IN_SCAN.search(data, position)
    if found is None:
        raise DamagedSlide("a scan has no end", where=where)
    return found.start()
