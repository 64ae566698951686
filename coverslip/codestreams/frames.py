"""Whether a codestream decodes to what its page says: anything else crashes readers or shows bytes nobody wrote.

Source: ITU-T T.81 B.2.2 (frame), B.2.3 (scan), G.1.1 (progressive); ITU-T T.800 A.5.1 (SIZ).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from coverslip.codestreams import jpeg
from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.geometry import Size

MAX_J2K_TILES: Final = 1024


@dataclass(frozen=True, slots=True)
class Expected:
    """What a page says each of its tiles decodes to."""

    size: Size
    """A strip may have fewer rows than this."""
    samples: int
    bits: int
    tiled: bool
    tables: bytes
    """JPEGTables of the page, cleaned; empty when there are none."""


def check_jpeg(header: bytes, expected: Expected) -> None:
    """Raise DamagedSlide unless frame, scan and tables of a cleaned header fit each other and the page."""
    segments = list(_segments(header))
    frames = [payload for marker, payload in segments if marker in jpeg.FRAMES]
    if len(frames) != 1:
        raise DamagedSlide("a JPEG tile has no frame, or two")
    bits, height, width, count = struct.unpack_from(">BHHB", frames[0])
    tall = height == expected.size.height if expected.tiled else height <= expected.size.height
    if width != expected.size.width or not tall or not height:
        raise DamagedSlide("a JPEG tile has another size than its page says")
    if bits != expected.bits or count != expected.samples:
        raise DamagedSlide("a JPEG tile has other samples than its page says")
    scan = segments[-1][1]
    progressive = any(marker == 0xC2 for marker, _ in segments)
    if progressive and scan[-3] == 0 and scan[-2] != 0:
        raise DamagedSlide("a progressive JPEG tile begins with a scan that cannot be its first")
    _check_tables(frames[0], [*segments, *_segments(expected.tables)])


def _check_tables(frame: bytes, segments: list[tuple[int, bytes]]) -> None:
    """Every quantisation table that the frame refers to must be defined.

    Huffman tables need not be: libvips writes them into the first tile only, and decoders fall back on those of T.81
    K.3.
    """
    wanted = {frame[6 + 3 * i + 2] for i in range(frame[5])}
    if not wanted <= set(_quantisers(segments)):
        raise DamagedSlide("a JPEG tile uses a table that is defined nowhere")


def _quantisers(segments: list[tuple[int, bytes]]) -> Iterator[int]:
    for marker, payload in segments:
        at = 0
        while marker == jpeg.DQT and at < len(payload):
            yield payload[at] & 15
            at += 129 if payload[at] >> 4 else 65


def _segments(header: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and payloads of a header we built ourselves."""
    at = 2
    while at + 4 <= len(header) and header[at + 1] != jpeg.EOI:
        length = int.from_bytes(header[at + 2 : at + 4], "big")
        yield header[at + 1], header[at + 4 : at + 2 + length]
        at += 2 + length


def check_j2k(siz: bytes, expected: Expected) -> None:
    """Raise DamagedSlide or LimitExceeded unless a SIZ segment's payload fits the page."""
    if len(siz) < 36:
        raise DamagedSlide("a JPEG 2000 tile has no size")
    _, right, bottom, left, top, across, down, _, _, count = struct.unpack_from(">HIIIIIIIIH", siz)
    if right - left != expected.size.width or not 0 < bottom - top <= expected.size.height:
        raise DamagedSlide("a JPEG 2000 tile has another size than its page says")
    if count != expected.samples or len(siz) != 36 + 3 * count:
        raise DamagedSlide("a JPEG 2000 tile has other samples than its page says")
    if not across or not down:
        raise DamagedSlide("a JPEG 2000 tile is cut into nothing")
    if -(-right // across) * -(-bottom // down) > MAX_J2K_TILES:
        raise LimitExceeded(f"a JPEG 2000 tile is cut into more than {MAX_J2K_TILES} pieces")
