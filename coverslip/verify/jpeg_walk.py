"""The verifier's own JPEG walker: marker segments, where the scans lie, and what the tables mean."""

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


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment."""

    marker: int
    start: int
    """Position of its 0xFF."""
    end: int
    payload: bytes
    """Without marker and length."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A walked JPEG stream."""

    segments: tuple[Segment, ...]
    """All but SOI and EOI, in order."""
    scans: tuple[tuple[int, int], ...]
    """Start and end of each entropy-coded scan."""
    end: int
    """Position after EOI."""

    @property
    def header_end(self) -> int:
        """Where the first scan begins, or the end without one."""
        return self.scans[0][0] if self.scans else self.end


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


def foreign(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Segments that carry more than a decoder needs: all but tables, frames, scans, plain Adobe and JFIF."""
    for segment in segments:
        if segment.marker not in STRUCTURAL and not _is_plain_app(segment):
            yield segment


def _is_plain_app(segment: Segment) -> bool:
    payload = segment.payload
    if segment.marker == APP14:
        return len(payload) == 12 and payload[:5] == b"Adobe" and payload[11] <= 2
    return segment.marker == APP0 and len(payload) == 14 and payload[:5] == b"JFIF\0" and payload[12:14] == b"\0\0"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a decoder would do with a stream's headers; equal meanings decode equal scans to equal pixels."""

    quantisation: tuple[tuple[int, tuple[int, ...]], ...]
    huffman: tuple[tuple[int, bytes], ...]
    frame: tuple[int, bytes]
    scans: tuple[bytes, ...]
    restart: int
    colour: str


def meaning(tables: Iterable[Segment], segments: Iterable[Segment], where: str) -> Meaning:
    """What the stream's headers mean after the shared `tables`. Raises `DamagedSlide` for tables that make no sense."""
    quantisation: dict[int, tuple[int, ...]] = {}
    huffman: dict[int, bytes] = {}
    frame, scans, restart, apps = (0, b""), [], 0, []
    for segment in (*tables, *segments):
        if segment.marker == DQT:
            quantisation.update(_quantisation(segment.payload, where))
        elif segment.marker == DHT:
            huffman.update(_huffman(segment.payload, where))
        elif segment.marker in FRAMES:
            frame = (segment.marker, segment.payload)
        elif segment.marker == SOS:
            scans.append(segment.payload)
        elif segment.marker == DRI:
            restart = int.from_bytes(segment.payload[:2], "big")
        else:
            apps.append(segment)
    ordered = tuple(sorted(quantisation.items())), tuple(sorted(huffman.items()))
    return Meaning(*ordered, frame, tuple(scans), restart, _colour(apps, frame[1]))


def _quantisation(payload: bytes, where: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    position = 0
    while position < len(payload):
        wide, number = divmod(payload[position], 16)
        step = 2 if wide else 1
        body = payload[position + 1 : position + 1 + 64 * step]
        if len(body) != 64 * step:
            raise DamagedSlide("a quantisation table ends early", where=where)
        yield number, tuple(int.from_bytes(body[at : at + step], "big") for at in range(0, len(body), step))
        position += 1 + 64 * step


def _huffman(payload: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(payload):
        lengths = payload[position + 1 : position + 17]
        end = position + 17 + sum(lengths)
        if len(lengths) != 16 or end > len(payload):
            raise DamagedSlide("a Huffman table ends early", where=where)
        yield payload[position], payload[position + 1 : end]
        position = end


def _colour(apps: list[Segment], frame: bytes) -> str:
    """How a decoder without the TIFF tags would read three components (libjpeg's rule)."""
    adobe = next((app.payload for app in apps if app.marker == APP14 and app.payload[:5] == b"Adobe"), b"")
    jfif = any(app.marker == APP0 and app.payload[:5] == b"JFIF\0" for app in apps)
    if len(frame) < 6 or frame[5] != 3:
        return f"adobe {adobe[11]}" if len(adobe) == 12 else "plain"
    if not jfif and len(adobe) == 12:
        return "rgb" if adobe[11] == 0 else "ycc"
    return "rgb" if not jfif and frame[6::3][:3] == b"RGB" else "ycc"


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
