"""The verifier's own JPEG 2000 walker: main header, tile parts and packets of a bare codestream (T.800 annex A)."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.verify.limits import MAX_SEGMENTS

SOC, SOT, SOD, EOC, SIZ, COM = 0xFF4F, 0xFF90, 0xFF93, 0xFFD9, 0xFF51, 0xFF64
STRUCTURAL = frozenset({SIZ, 0xFF52, 0xFF53, 0xFF5C, 0xFF5D})
"""SIZ COD COC QCD QCC: what decoding depends on. Pointers, comments and everything rarer have no place here."""


@dataclass(frozen=True, slots=True)
class J2kSegment:
    """One marker segment of the main header or of a tile part's header."""

    marker: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class TilePart:
    """One tile part."""

    number: tuple[int, int, int]
    """Tile index, part index, number of parts."""
    segments: tuple[J2kSegment, ...]
    data: tuple[int, int]
    """Start and end of the packets."""
    start: int
    """Position of its SOT marker."""
    open_ended: bool
    """Without a length of its own: it goes on to the end."""


@dataclass(frozen=True, slots=True)
class J2k:
    """A walked codestream."""

    segments: tuple[J2kSegment, ...]
    """The main header without SOC."""
    parts: tuple[TilePart, ...]
    end: int
    """Position after EOC."""

    @property
    def all_segments(self) -> tuple[J2kSegment, ...]:
        """Main header and tile parts together."""
        return (*self.segments, *(segment for part in self.parts for segment in part.segments))


def walk_j2k(data: bytes, where: str) -> J2k:
    """Walk one codestream; bytes after EOC are left to the caller. Raises `DamagedSlide` or `LimitExceeded`."""
    if data[:2] != b"\xff\x4f":
        raise DamagedSlide("does not begin as a JPEG 2000 codestream", where=where)
    segments, position = _segments(data, 2, (SOT,), where)
    parts: list[TilePart] = []
    while data[position : position + 2] == b"\xff\x90":
        if len(parts) >= MAX_SEGMENTS:
            raise LimitExceeded("too many tile parts", where=where)
        part = _part(data, position, where)
        parts.append(part)
        position = part.data[1]
    if data[position : position + 2] != b"\xff\xd9":
        raise DamagedSlide("a codestream has no end", where=where)
    return J2k(segments, tuple(parts), position + 2)


def foreign(codestream: J2k) -> tuple[int, ...]:
    """Markers of segments that carry more than a decoder needs, comments first of all."""
    return tuple(segment.marker for segment in codestream.all_segments if segment.marker not in STRUCTURAL)


def packets(data: bytes, codestream: J2k) -> bytes:
    """All packets, in order."""
    return b"".join(data[start:end] for start, end in (part.data for part in codestream.parts))


def _segments(data: bytes, position: int, until: tuple[int, ...], where: str) -> tuple[tuple[J2kSegment, ...], int]:
    found: list[J2kSegment] = []
    while True:
        marker = int.from_bytes(data[position : position + 2], "big")
        if marker in until:
            return tuple(found), position
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        end = position + 2 + length
        if marker < 0xFF40 or length < 2 or end > len(data):
            raise DamagedSlide("a marker segment of a codestream makes no sense", where=where)
        if len(found) >= MAX_SEGMENTS:
            raise LimitExceeded("too many marker segments", where=where)
        found.append(J2kSegment(marker, data[position + 4 : end]))
        position = end


def _part(data: bytes, position: int, where: str) -> TilePart:
    if data[position + 2 : position + 4] != b"\0\x0a" or position + 12 > len(data):
        raise DamagedSlide("a tile part's header makes no sense", where=where)
    length = int.from_bytes(data[position + 6 : position + 10], "big")
    number = (int.from_bytes(data[position + 4 : position + 6], "big"), data[position + 10], data[position + 11])
    segments, body = _segments(data, position + 12, (SOD,), where)
    start = body + 2
    end = position + length if length else max(start, len(data) - 2)
    if not start <= end <= len(data):
        raise DamagedSlide("a tile part ends outside its codestream", where=where)
    return TilePart(number, segments, (start, end), position, not length)
