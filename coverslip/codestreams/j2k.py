"""JPEG 2000 codestreams: packets are copied, headers rebuilt without comments.

Source: ITU-T T.800 Annex A. A COM segment may stand in the main header and in every tile-part header; taking one out of
a tile-part shortens it, so its length (Psot) is written anew. Pointer segments (TLM, PLM, PLT) only speed decoders up
and would have to be recomputed: they are left out.
"""

from __future__ import annotations

import struct
from typing import Final

from coverslip.codestreams import jpeg
from coverslip.codestreams.frames import Expected, check_j2k
from coverslip.codestreams.jpeg import Codestream, Segment, Span
from coverslip.errors import DamagedSlide, UnknownStructure

SOC, SOT, SOD, EOC, COM = 0x4F, 0x90, 0x93, 0xD9, 0x64
NEEDED: Final = frozenset({0x50, 0x51, 0x52, 0x53, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x61})
"""CAP, SIZ, COD, COC, QCD, QCC, RGN, POC, PPM, PPT: what decoding depends on."""
POINTERS: Final = frozenset({0x55, 0x57, 0x58, 0x63})
"""TLM, PLM, PLT, CRG."""


def codestream(data: bytes, start: int, stop: int, expected: Expected) -> Codestream:
    """Parse one codestream into rebuilt headers and copied packets. Raises DamagedSlide or UnknownStructure."""
    if data[start : start + 2] != b"\xff\x4f":
        raise UnknownStructure("a JPEG 2000 tile is not a bare codestream")
    pieces: list[bytes | Span] = [b"\xff\x4f"]
    foreign: list[Segment] = []
    if data[start + 2 : start + 4] != b"\xff\x51":
        raise DamagedSlide("a JPEG 2000 tile does not begin with its size")
    length = int.from_bytes(data[start + 4 : start + 6], "big")
    check_j2k(data[start + 6 : start + 4 + length], expected)
    at = _headers(data, start + 2, stop, pieces, foreign)
    while at + 12 <= stop and data[at + 1] == SOT:
        at = _tile_part(data, at, stop, pieces, foreign)
    if at < stop:
        if data[at : at + 2] != b"\xff\xd9":
            raise DamagedSlide("a JPEG 2000 tile does not end where its tile-parts do")
        pieces.append(b"\xff\xd9")
        at += 2
    return Codestream(_joined(pieces), tuple(foreign), Span(at, stop))


def _headers(data: bytes, at: int, stop: int, pieces: list[bytes | Span], foreign: list[Segment]) -> int:
    """Collect segments until SOT, SOD or EOC; returns the offset of that marker."""
    while at + 4 <= stop and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (SOT, SOD, EOC):
            return at
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > stop:
            break
        segment = Segment(marker, data[at + 4 : at + 2 + length])
        if marker in NEEDED:
            pieces.append(segment.encode())
        else:
            if marker != COM and marker not in POINTERS:
                raise UnknownStructure(f"a JPEG 2000 tile uses a segment ({marker:02X}) we do not write")
            # Rcom, two bytes before the words, says whether they are words (A.9.2).
            foreign.append(Segment(jpeg.COM, segment.payload[2:]) if marker == COM else segment)
        at += 2 + length
    raise DamagedSlide("a JPEG 2000 tile ends inside its header")


def _tile_part(data: bytes, at: int, stop: int, pieces: list[bytes | Span], foreign: list[Segment]) -> int:
    length, tile, psot, part, parts = struct.unpack_from(">HHIBB", data, at + 2)
    end = at + psot if psot else (stop - 2 if data[stop - 2 : stop] == b"\xff\xd9" else stop)
    if length != 10 or end > stop or end < at + 14:
        raise DamagedSlide("a JPEG 2000 tile-part is longer than its tile")
    inner: list[bytes | Span] = []
    packets = _headers(data, at + 12, end, inner, foreign)
    if data[packets + 1] != SOD:
        raise DamagedSlide("a JPEG 2000 tile-part has no data")
    head = b"".join(piece for piece in inner if isinstance(piece, bytes))
    total = 12 + len(head) + end - packets
    sot = struct.pack(">BBHHIBB", 0xFF, SOT, 10, tile, total if psot else 0, part, parts)
    pieces.append(sot + head)
    pieces.append(Span(packets, end))
    return end


def _joined(pieces: list[bytes | Span]) -> tuple[bytes | Span, ...]:
    """Neighbouring rebuilt pieces as one."""
    joined: list[bytes | Span] = []
    for piece in pieces:
        if joined and isinstance(piece, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)
