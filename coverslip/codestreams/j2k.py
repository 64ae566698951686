"""JPEG 2000 codestreams: packets are copied, headers written anew from values.

Source: ITU-T T.800 Annex A. A COM segment may stand in the main header and in every tile-part header; taking one out of
a tile-part shortens it, so its length (Psot) is written anew. Pointer segments (TLM, PLM, PLT) only speed decoders up
and would have to be recomputed, CRG only moves components on paper: they are left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from coverslip.codestreams import j2k_header as head
from coverslip.codestreams import jpeg
from coverslip.codestreams.frames import Expected
from coverslip.codestreams.jpeg import Codestream, Segment, Span
from coverslip.codestreams.tails import wordy
from coverslip.errors import DamagedSlide, UnknownStructure

SOT, SOD, EOC, COM = 0x90, 0x93, 0xD9, 0x64
EOC_BYTES: Final = b"\xff\xd9"
NEEDED: Final = frozenset({head.COD, head.COC, head.QCD, head.QCC})
POINTERS: Final = frozenset({0x55, 0x57, 0x58, 0x63})
"""TLM, PLM, PLT, CRG."""
MAX_KNOWN: Final = 16
_MARK: Final = re.compile(rb"\xff[\x90-\xff]")
"""Bytes that packets do not have: coded data never shows a marker (T.800 A.1.3)."""
_SOP: Final = b"\xff\x91\0\4"
_EPH: Final = b"\xff\x92"


@dataclass(frozen=True, slots=True)
class _Main:
    """A main header, which the tiles of a page usually share byte for byte."""

    raw: bytes = field(repr=False)
    clean: bytes = field(repr=False)
    sizes: head.Sizes
    settings: head.Settings
    foreign: tuple[Segment, ...]


class Parser:
    """Parses the codestreams of one page; remembers the headers they share."""

    def __init__(self, expected: Expected) -> None:
        """Begin with no header known."""
        self._expected = expected
        self._known: list[_Main] = []
        self._sound: set[bytes] = set()
        """Tiles whose end read like words and was none, by their bytes: blank tiles repeat."""

    def codestream(self, data: bytes, start: int, stop: int) -> Codestream:
        """One codestream as rebuilt headers and copied packets.

        Raises DamagedSlide, LimitExceeded or UnknownStructure.
        """
        main = self._main(data, start, stop)
        foreign = list(main.foreign)
        at = start + len(main.raw)
        pieces: list[bytes | Span] = [Span(start, at) if main.clean == main.raw else main.clean]
        parts = _Parts(main)
        while data[at : at + 2] == b"\xff\x90":
            at = parts.take(data, at, stop, pieces, foreign)
        parts.end()
        if at < stop and data[at : at + 2] != EOC_BYTES:
            raise DamagedSlide("a JPEG 2000 tile does not end where its tile-parts do")
        after = min(at + 2, stop)
        pieces.append(Span(at, after) if after - at == 2 else EOC_BYTES)
        self._check_end(data[start:after], parts.ends_at(start))
        return Codestream(jpeg.joined(pieces), tuple(foreign), Span(after, stop))

    def _main(self, data: bytes, start: int, stop: int) -> _Main:
        found = next((known for known in self._known if data.startswith(known.raw, start)), None)
        if found is None:
            found = _main_header(data, start, stop, self._expected)
            self._known = [*self._known[-MAX_KNOWN:], found]
        return found

    def _check_end(self, stream: bytes, lasts: Iterator[tuple[int, int]]) -> None:
        """Raise DamagedSlide for words behind the last packet of a tile.

        Where packets end only decoding tells, so only ends that read like words are looked at (`tails`): a tile that
        still decodes with a byte less has bytes that belong to no packet.
        """
        view = np.frombuffer(stream, np.uint8)
        for begin, end in lasts:
            places = np.array([[begin + 14], [end]], np.int64)
            if not wordy(view, *places).any() or stream in self._sound:
                continue
            if _decodes(_without_last_byte(stream, begin, end)):
                raise DamagedSlide("bytes that read like words stand behind the last packet of a JPEG 2000 tile")
            if len(self._sound) < MAX_KNOWN:
                self._sound.add(stream)


def _main_header(data: bytes, start: int, stop: int, expected: Expected) -> _Main:
    if data[start : start + 2] != b"\xff\x4f":
        raise UnknownStructure("a JPEG 2000 tile is not a bare codestream")
    segments, foreign, end = _segments(data, start + 2, stop, SOT)
    if not segments or segments[0][0] != head.SIZ or any(marker == head.SIZ for marker, _ in segments[1:]):
        raise DamagedSlide("a JPEG 2000 tile does not begin with its size, or has two")
    sizes = head.sizes_of(segments[0][1], expected)
    settings = head.settings_of(segments[1:], expected.samples)
    size = sizes.encode()
    clean = b"\xff\x4f" + struct.pack(">BBH", 0xFF, head.SIZ, len(size) + 2) + size + settings.encode()
    return _Main(data[start:end], clean, sizes, settings, tuple(foreign))


def _segments(data: bytes, at: int, stop: int, until: int) -> tuple[list[tuple[int, bytes]], list[Segment], int]:
    """Needed and foreign segments up to a marker, and where it begins."""
    needed: list[tuple[int, bytes]] = []
    foreign: list[Segment] = []
    while (at + 4 <= stop and data[at] == 0xFF) or data[at : at + 2] == bytes((0xFF, until)):
        marker = data[at + 1]
        if marker == until:
            return needed, foreign, at
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > stop:
            break
        payload = data[at + 4 : at + 2 + length]
        if marker in NEEDED or marker == head.SIZ:
            needed.append((marker, payload))
        elif marker == COM or marker in POINTERS:
            # Rcom, two bytes before the words, says whether they are words (A.9.2).
            foreign.append(Segment(jpeg.COM, payload[2:]) if marker == COM else Segment(marker, payload))
        else:
            raise UnknownStructure(f"a JPEG 2000 tile uses a segment ({marker:02X}) we do not write")
        at += 2 + length
    raise DamagedSlide("a JPEG 2000 tile ends inside its header")


class _Parts:
    """The tile-parts of one codestream, in order."""

    def __init__(self, main: _Main) -> None:
        self._main = main
        self._seen: dict[int, list[int]] = {}
        """For each tile the number of parts each of its parts announced."""
        self._packets: dict[int, int] = {}
        self._last: dict[int, tuple[int, int]] = {}
        """For each tile where its last part begins and ends."""

    def take(self, data: bytes, at: int, stop: int, pieces: list[bytes | Span], foreign: list[Segment]) -> int:
        """Add one tile-part; returns where it ends."""
        if at + 14 > stop:
            raise DamagedSlide("a JPEG 2000 tile ends inside its header")
        length, tile, psot, part, parts = struct.unpack_from(">HHIBB", data, at + 2)
        end = at + psot if psot else (stop - 2 if data[stop - 2 : stop] == EOC_BYTES else stop)
        if length != 10 or end > stop or end < at + 14:
            raise DamagedSlide("a JPEG 2000 tile-part is longer than its tile")
        seen = self._seen.setdefault(tile, [])
        if tile >= self._main.sizes.tiles or part != len(seen):
            raise DamagedSlide("a JPEG 2000 tile-part is of no tile, or out of order")
        seen.append(parts)
        segments, lost, packets = _segments(data, at + 12, end, SOD)
        if segments and part:
            raise UnknownStructure("a JPEG 2000 tile changes how it is coded between its parts")
        settings = head.settings_of(segments, len(self._main.sizes.sampling), self._main.settings) if segments else None
        inner = settings.encode() if settings else b""
        coding = (settings and settings.coding) or self._main.settings.coding
        self._check_packets(data[packets + 2 : end], tile, coding.markers if coding else 0)
        self._last[tile] = (at, end)
        foreign += lost
        total = 12 + len(inner) + end - packets
        rebuilt = struct.pack(">BBHHIBB", 0xFF, SOT, 10, tile, total, part, parts) + inner
        pieces.append(Span(at, packets) if rebuilt == data[at:packets] else rebuilt)
        pieces.append(Span(packets, end))
        return end

    def _check_packets(self, packets: bytes, tile: int, markers: int) -> None:
        """No marker stands among packets but those the coding style announces, numbered in turn (A.8)."""
        for found in _MARK.finditer(packets):
            at = found.start()
            number = self._packets.get(tile, 0)
            if markers & head.SOP and packets[at : at + 6] == _SOP + struct.pack(">H", number & 0xFFFF):
                self._packets[tile] = number + 1
            elif not (markers & head.EPH and found[0] == _EPH):
                raise DamagedSlide("a JPEG 2000 tile-part holds a marker among its packets")

    def end(self) -> None:
        """All tiles are there, with as many parts as they announced."""
        if len(self._seen) != self._main.sizes.tiles:
            raise DamagedSlide("a JPEG 2000 tile is not whole")
        if any(set(announced) - {0, len(announced)} for announced in self._seen.values()):
            raise DamagedSlide("a JPEG 2000 tile has more parts or fewer than it announced")

    def ends_at(self, start: int) -> Iterator[tuple[int, int]]:
        """Where each tile's last part begins and ends, from the codestream's start on."""
        yield from ((begin - start, end - start) for begin, end in self._last.values())


def _without_last_byte(stream: bytes, begin: int, end: int) -> bytes:
    """The codestream with one byte less in a tile-part."""
    shorter = struct.pack(">I", end - begin - 1)
    whole = stream if stream.endswith(EOC_BYTES) else stream + EOC_BYTES
    return whole[: begin + 6] + shorter + whole[begin + 10 : end - 1] + whole[end:]


def _decodes(stream: bytes) -> bool:
    import imagecodecs  # costs 100 ms, and hardly any slide needs it

    try:
        imagecodecs.jpeg2k_decode(stream)
    except (imagecodecs.Jpeg2kError, ValueError):
        return False
    return True


def codestream(data: bytes, start: int, stop: int, expected: Expected) -> Codestream:
    """Parse one codestream by itself. Raises as `Parser.codestream` does."""
    return Parser(expected).codestream(data, start, stop)
