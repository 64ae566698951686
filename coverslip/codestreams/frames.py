"""Whether a codestream decodes to what its page says: anything else crashes readers or shows bytes nobody wrote.

Source: ITU-T T.81 B.2.2 (frame), B.2.3 (scan), G.1.1 (progressive); ITU-T T.800 A.5.1 (SIZ).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from coverslip.codestreams import jpeg
from coverslip.codestreams.jpeg import Header, Shared
from coverslip.codestreams.jpeg_header import check_use
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


def check_jpeg(header: Header, expected: Expected, shared: Shared) -> None:
    """Raise DamagedSlide unless frame, scan and tables of a header fit each other and the page.

    Every quantisation table that the frame refers to must be defined. Huffman tables need not be: libvips writes them
    into the first tile only, and decoders fall back on those of T.81 K.3.
    """
    frame, scan = header.frame, header.scan
    tall = frame.height == expected.size.height if expected.tiled else frame.height <= expected.size.height
    if frame.width != expected.size.width or not tall or not frame.height:
        raise DamagedSlide("a JPEG tile has another size than its page says")
    if frame.bits != expected.bits or len(frame.components) != expected.samples:
        raise DamagedSlide("a JPEG tile has other samples than its page says")
    if frame.progressive and (scan.first or scan.high):
        raise DamagedSlide("a progressive JPEG tile begins with a scan that cannot be its first")
    for key in header.wanted:
        table = shared.at(key)
        if table is not None:
            check_use(table, frame)
        elif key.marker == jpeg.DQT:
            raise DamagedSlide("a JPEG tile uses a table that is defined nowhere")


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
