"""What the headers of a JPEG 2000 codestream ask of a decoder, and whether they say anything else besides.

T.800 A.5.1 (SIZ), A.6 (COD, COC, QCD, QCC). The verifier's own reading: each segment to its last byte, each number
within what it may be, every other segment an objection.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from coverslip.verify.j2k_walk import SIZ, J2k, J2kSegment, TilePart
from coverslip.verify.pages import Page

COD, COC, QCD, QCC = 0xFF52, 0xFF53, 0xFF5C, 0xFF5D
KNOWN = frozenset({SIZ, COD, COC, QCD, QCC})
LEVELS = range(13)
LAYERS = range(1, 257)
PRECINCTS = frozenset(size * 17 for size in range(6, 16))
"""Square ones from 64 pixels on, both powers of two in one byte."""
_MARKERS = re.compile(rb"\xff[\x90-\xff]")


@dataclass(frozen=True, slots=True)
class Style:
    """SPcod: levels, code blocks, passes, transform and precincts."""

    levels: int
    blocks: bytes
    transform: int
    precincts: bytes


def meaning(codestream: J2k) -> tuple[object, ...]:
    """What a decoder reads in the headers; equal meanings decode equal packets to equal pixels."""
    main = tuple(sorted((s.marker, _told(s)) for s in codestream.segments if s.marker in KNOWN))
    parts = tuple(
        (part.number, tuple(sorted((s.marker, _told(s)) for s in part.segments if s.marker in KNOWN)))
        for part in codestream.parts
    )
    return main, parts


def _told(segment: J2kSegment) -> bytes:
    """A segment without what changes nothing: tiles larger than the image, largest precincts spelt out."""
    payload = segment.payload
    if segment.marker == SIZ and len(payload) >= 36:
        width, height = payload[2:6], payload[6:10]
        return payload[:18] + min(width, payload[18:22]) + min(height, payload[22:26]) + payload[26:]
    if segment.marker in (COD, COC):
        at = 0 if segment.marker == COD else 1
        style = at + (5 if segment.marker == COD else 1)
        if len(payload) > style + 5 and set(payload[style + 5 :]) == {0xFF}:
            return payload[:at] + bytes((payload[at] & ~1,)) + payload[at + 1 : style + 5]
    return payload


def objections(page: Page, tile: bytes, codestream: J2k) -> Iterator[str]:
    """What in this codestream says more than a decoder of this page's tiles asks for."""
    samples = page.samples if page.planar == 1 else 1
    yield from _main(page, samples, codestream.segments)
    general = next((s.payload for s in codestream.segments if s.marker == COD), b"")
    for part in codestream.parts:
        if part.open_ended:
            yield "a tile part does not say how long it is"
        if part.segments and part.number[1]:
            yield "a later tile part holds segments"
        yield from _settings(part.segments, samples, _style(general[5:], bool(general[:1] and general[0] & 1)))
    yield from _order(codestream)
    yield from _packets(tile, codestream, general)


def _main(page: Page, samples: int, segments: Sequence[J2kSegment]) -> Iterator[str]:
    markers = [segment.marker for segment in segments]
    if markers[:1] != [SIZ] or markers.count(SIZ) != 1:
        yield "the size is not the first segment, or stands twice"
    if not {COD, QCD} <= set(markers):
        yield "the main header does not say how tiles are coded"
    for segment in segments:
        if segment.marker == SIZ and not _is_size(page, samples, segment.payload):
            yield "the size says more than the page's"
    yield from _settings([segment for segment in segments if segment.marker != SIZ], samples, None)


def _is_size(page: Page, samples: int, payload: bytes) -> bool:
    if len(payload) != 36 + 3 * samples or int.from_bytes(payload[34:36], "big") != samples:
        return False
    profile, width, height, left, top, across, down, first, second = struct.unpack_from(">HIIIIIIII", payload)
    whole = width == page.tile.width and height <= page.tile.height
    cut = 0 < across <= width and 0 < down <= height
    planes = all(
        payload[at] == page.bits - 1 and {*payload[at + 1 : at + 3]} <= {1, 2, 4} for at in range(36, len(payload), 3)
    )
    return profile in (0, 1, 2) and whole and cut and planes and not any((left, top, first, second))


def _settings(segments: Sequence[J2kSegment], samples: int, style: Style | None) -> Iterator[str]:
    """COD, COC, QCD and QCC of one header; `style` is the main header's in a tile part."""
    if any(segment.marker not in KNOWN - {SIZ} for segment in segments):
        yield "a marker segment no decoder needs"
    keys = [(s.marker, s.payload[:1] if s.marker in (COC, QCC) else b"") for s in segments]
    if len(set(keys)) != len(keys):
        yield "a segment stands twice"
    own: dict[int, Style | None] = {}
    for segment in segments:
        payload = segment.payload
        if segment.marker == COD:
            style = _style(payload[5:], bool(payload[:1] and payload[0] & 1))
            if style is None or not _is_coding(payload, samples):
                yield "a coding style says more than a decoder asks for"
        elif segment.marker == COC and len(payload) > 2:
            own[payload[0]] = _style(payload[2:], payload[1] == 1)
            if own[payload[0]] is None or payload[0] >= samples or payload[1] > 1:
                yield "a component's coding style says more than a decoder asks for"
        elif segment.marker == COC:
            yield "a component's coding style is empty"
    for segment in segments:
        if segment.marker == QCD and not _is_quantisation(segment.payload, style):
            yield "a quantisation says more than a decoder asks for"
        if segment.marker == QCC:
            number = segment.payload[0] if segment.payload else samples
            if number >= samples or not _is_quantisation(segment.payload[1:], own.get(number, style)):
                yield "a component's quantisation says more than a decoder asks for"


def _is_coding(payload: bytes, samples: int) -> bool:
    layers = int.from_bytes(payload[2:4], "big")
    mixed = payload[4] == 0 or (payload[4] == 1 and samples >= 3)
    return payload[0] < 8 and payload[1] < 5 and layers in LAYERS and mixed


def _style(payload: bytes, spelt: bool) -> Style | None:
    """SPcod to its last byte; None when it is longer, shorter or says what no decoder knows."""
    if len(payload) < 5 or payload[0] not in LEVELS:
        return None
    levels, across, down, passes, transform = payload[:5]
    precincts = payload[5:]
    if len(precincts) != (levels + 1 if spelt else 0) or not PRECINCTS.issuperset(precincts):
        return None
    if spelt and set(precincts) == {0xFF}:
        return None
    fine = max(across, down) <= 8 and across + down <= 8 and passes < 64 and transform < 2
    return Style(levels, payload[1:4], transform, precincts) if fine else None


def _is_quantisation(payload: bytes, style: Style | None) -> bool:
    if style is None or not payload:
        return False
    bands = 3 * style.levels + 1
    match payload[0] & 31:
        case 0:
            return style.transform == 1 and len(payload) == 1 + bands and not any(step & 7 for step in payload[1:])
        case 1:
            return style.transform == 0 and len(payload) == 3
        case 2:
            return style.transform == 0 and len(payload) == 1 + 2 * bands
    return False


def _order(codestream: J2k) -> Iterator[str]:
    """Parts of each tile in turn, as many as announced, of every tile there is."""
    seen: dict[int, list[int]] = {}
    for part in codestream.parts:
        tile, number, parts = part.number
        if number != len(seen.setdefault(tile, [])):
            yield "tile parts are out of order"
        seen[tile].append(parts)
    if any(set(announced) - {0, len(announced)} for announced in seen.values()):
        yield "a tile has other parts than it announces"
    payload = next((s.payload for s in codestream.segments if s.marker == SIZ), b"")
    if len(payload) >= 26:
        width, height, across, down = (int.from_bytes(payload[at : at + 4], "big") for at in (2, 6, 18, 22))
        if set(seen) != set(range(-(-width // max(1, across)) * -(-height // max(1, down)))):
            yield "there are other tiles than the size asks for"


def _packets(tile: bytes, codestream: J2k, coding: bytes) -> Iterator[str]:
    """No marker stands among packets but those the coding style announces (A.8.1, A.8.2)."""
    numbers: dict[int, int] = {}
    for part in codestream.parts:
        own = next((s.payload for s in part.segments if s.marker == COD), coding)
        announced = own[0] if own else 0
        for found in _MARKERS.finditer(tile, *part.data):
            number = numbers.get(part.number[0], 0)
            sop = b"\xff\x91\0\4" + (number & 0xFFFF).to_bytes(2, "big")
            if announced & 2 and tile.startswith(sop, found.start()):
                numbers[part.number[0]] = number + 1
            elif not (announced & 4 and found[0] == b"\xff\x92"):
                yield "a marker stands among packets"
                return


def ends_with_its_packets(tile: bytes, part: TilePart) -> bool:
    """Whether a decoder misses the last byte of a tile part's data: if not, it belongs to no packet."""
    start, end = part.data
    shorter = (end - part.start - 1).to_bytes(4, "big")
    cut = tile[: part.start + 6] + shorter + tile[part.start + 10 : end - 1] + tile[end:]
    try:
        with Image.open(io.BytesIO(cut)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError):
        return True
    return start == end
