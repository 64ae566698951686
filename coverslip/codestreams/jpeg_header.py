"""The headers of a JPEG as values, and the one way we write them: what a decoder asks for, once, in libjpeg's order.

Source: ITU-T T.81 B.2.2 (frame), B.2.3 (scan), B.2.4.4 (restart interval), F.1 and G.1 (sequential, progressive); JFIF
1.02; Adobe TN 5116 (APP14). libjpeg's order is what nearly every encoder writes, so most headers come out as they were
and their tiles are copied in long runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from coverslip.codestreams.jpeg_tables import HUFFMAN, QUANTISATION, Key, Table, check, huffman, quantisation, words
from coverslip.errors import DamagedSlide, UnknownStructure

SOI, EOI, SOS, DQT, DHT, DRI, COM = 0xD8, 0xD9, 0xDA, QUANTISATION, HUFFMAN, 0xDD, 0xFE
APP0, APP14 = 0xE0, 0xEE
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
FRAMES: Final = frozenset({BASELINE, EXTENDED, PROGRESSIVE})
"""Baseline, extended sequential and progressive Huffman frames: what browsers and pathology readers decode."""

JFIF: Final = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
"""The canonical JFIF payload: version 1.1, no density, no thumbnail. It tells a decoder that colours are YCbCr."""
ADOBE: Final = b"Adobe\0\x64\0\0\0\0"
"""The canonical Adobe payload but for its last byte, the colour transform."""
_NAMES: Final = frozenset((bytes(range(4)), bytes(range(1, 5)), b"RGB"))
"""What components are called. Other names would say nothing to a decoder, and could be somebody's initials."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker and its payload (without the two length bytes)."""

    marker: int
    payload: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """`COM`, `APP1`, `DQT`, or the marker in hex."""
        known = {COM: "COM", DQT: "DQT", DHT: "DHT", DRI: "DRI"}.get(self.marker)
        return known or (f"APP{self.marker - APP0}" if APP0 <= self.marker <= 0xEF else f"marker {self.marker:02X}")

    def encode(self) -> bytes:
        """The segment as it stands in a codestream."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.payload) + 2) + self.payload


@dataclass(frozen=True, slots=True)
class Component:
    """One colour plane of a frame."""

    name: int
    across: int
    down: int
    """Sampling factors, 1 to 4."""
    table: int
    """Its quantisation table."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame header."""

    marker: int
    bits: int
    height: int
    width: int
    components: tuple[Component, ...]

    @property
    def progressive(self) -> bool:
        """Whether its coefficients come in several scans."""
        return self.marker == PROGRESSIVE

    def encode(self) -> bytes:
        """The segment's payload."""
        head = struct.pack(">BHHB", self.bits, self.height, self.width, len(self.components))
        return head + b"".join(bytes((c.name, c.across << 4 | c.down, c.table)) for c in self.components)


@dataclass(frozen=True, slots=True)
class Part:
    """What a scan says about one component; tables it does not use are 0."""

    component: int
    """Its place in the frame."""
    dc: int
    ac: int


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan header."""

    parts: tuple[Part, ...]
    first: int
    last: int
    """Spectral selection."""
    high: int
    low: int
    """Successive approximation."""
    uses: tuple[Key, ...]
    """Huffman tables, in the order libjpeg writes them."""

    def encode(self, frame: Frame) -> bytes:
        """The segment's payload."""
        rows = (bytes((frame.components[p.component].name, p.dc << 4 | p.ac)) for p in self.parts)
        return bytes((len(self.parts),)) + b"".join(rows) + bytes((self.first, self.last, self.high << 4 | self.low))


def frame_of(segment: Segment) -> Frame:
    """Parse a frame header. Raises DamagedSlide, or UnknownStructure for a process we do not write."""
    payload = segment.payload
    if len(payload) < 6 or len(payload) != 6 + 3 * payload[5] or not payload[5]:
        raise DamagedSlide("a JPEG frame is longer or shorter than its content")
    bits, height, width, count = struct.unpack_from(">BHHB", payload)
    rows = [payload[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    found = Frame(
        segment.marker, bits, height, width, tuple(Component(row[0], row[1] >> 4, row[1] & 15, row[2]) for row in rows)
    )
    if any(not (1 <= c.across <= 4 and 1 <= c.down <= 4 and c.table <= 3) for c in found.components):
        raise DamagedSlide("a JPEG frame samples or quantises as no frame can")
    if not any(name.startswith(bytes(c.name for c in found.components)) for name in _NAMES):
        raise UnknownStructure("a JPEG frame names its components as nobody does")
    if bits != 8 and (bits != 12 or segment.marker == BASELINE):
        raise DamagedSlide("a JPEG frame has samples of a size its process does not have")
    return found


def scan_of(payload: bytes, frame: Frame) -> Scan:
    """Parse a scan header of `frame`. Raises DamagedSlide."""
    count = payload[0] if payload else 0
    if not count or len(payload) != 4 + 2 * count:
        raise DamagedSlide("a JPEG scan is longer or shorter than its content")
    first, last, approximation = payload[1 + 2 * count :]
    high, low = divmod(approximation, 16)
    names = [c.name for c in frame.components]
    rows = [(payload[1 + 2 * i], *divmod(payload[2 + 2 * i], 16)) for i in range(count)]
    if any(name not in names or dc > 3 or ac > 3 for name, dc, ac in rows):
        raise DamagedSlide("a JPEG scan refers to components or tables its frame does not have")
    places = [names.index(name) for name, _, _ in rows]
    if places != sorted(set(places)):
        raise DamagedSlide("a JPEG scan has its components twice or out of order")
    _check_selection(frame, count, (first, last, high, low))
    with_dc, with_ac = not frame.progressive or (not first and not high), not frame.progressive or first > 0
    parts = tuple(
        Part(place, dc if with_dc else 0, ac if with_ac else 0) for place, (_, dc, ac) in zip(places, rows, strict=True)
    )
    uses = [
        Key(HUFFMAN, kind, number)
        for part in parts
        for kind, number, used in ((0, part.dc, with_dc), (1, part.ac, with_ac))
        if used
    ]
    return Scan(parts, first, last, high, low, tuple(dict.fromkeys(uses)))


def _check_selection(frame: Frame, count: int, selection: tuple[int, int, int, int]) -> None:
    """Spectral selection and successive approximation as T.81 allows them (B.2.3, G.1.1.1)."""
    first, last, high, low = selection
    if not frame.progressive:
        fine = selection == (0, 63, 0, 0)
    elif not first:
        fine = not last
    else:
        fine = first <= last <= 63 and count == 1
    if not fine or low > 13 or high not in (0, low + 1):
        raise DamagedSlide("a JPEG scan selects coefficients as no scan can")


def mcus(frame: Frame, scan: Scan) -> int:
    """Minimum coded units of a scan (T.81 A.2): blocks of its one component, or groups of blocks of several."""
    across, down = max(c.across for c in frame.components), max(c.down for c in frame.components)
    if len(scan.parts) > 1:
        return -(-frame.width // (8 * across)) * -(-frame.height // (8 * down))
    only = frame.components[scan.parts[0].component]
    width, height = -(-frame.width * only.across // across), -(-frame.height * only.down // down)
    return -(-width // 8) * -(-height // 8)


def most_mcus(frame: Frame, scan: Scan) -> int:
    """Units of the longest scan there can be: a restart interval as long as that changes nothing."""
    if len(scan.parts) == len(frame.components) and not frame.progressive:
        return mcus(frame, scan)
    return max(mcus(frame, replace(scan, parts=(Part(i, 0, 0),))) for i in range(len(frame.components)))


class Builder:
    """Takes the segments of one codestream as they come and gives back the headers as we write them.

    Tables are kept until a scan asks for them: one that no scan asks for, or that is overwritten before, is never
    written.
    """

    def __init__(self) -> None:
        """Begin before SOI."""
        self.frame: Frame | None = None
        self.interval = 0
        """MCUs between restarts; 0 for none."""
        self.foreign: list[Segment] = []
        """What will not be written."""
        self.wanted: set[Key] = set()
        """Tables that were asked for and are not in this codestream: the page's JPEGTables must have them."""
        self._tables: dict[Key, Table] = {}
        self._written: dict[Key, bytes] = {}
        self._apps: dict[int, bytes] = {}
        self._interval = 0
        self._begun = False
        self._bits: dict[int, list[int]] = {}
        """For each component and coefficient the lowest bit that is coded: 0 for none yet, -1 for all of them."""

    def take(self, segment: Segment) -> None:
        """Any segment but SOS. Raises DamagedSlide or UnknownStructure."""
        marker, payload = segment.marker, segment.payload
        if marker == COM or APP0 <= marker <= 0xEF:
            self._take_app(segment)
        elif marker in (DQT, DHT):
            for table in quantisation(payload) if marker == DQT else huffman(payload):
                self._take_table(table)
        elif marker in FRAMES:
            if self.frame is not None:
                raise DamagedSlide("a JPEG tile has two frames")
            self.frame = frame_of(segment)
        elif marker == DRI:
            self._take_interval(payload)
        else:
            raise UnknownStructure(f"a JPEG tile uses a segment ({marker:02X}) we do not write")

    def _take_app(self, segment: Segment) -> None:
        marker, payload = segment.marker, segment.payload
        clean = b""
        if marker == APP0 and payload.startswith(b"JFIF\0"):
            clean = JFIF
        elif marker == APP14 and payload.startswith(b"Adobe") and len(payload) >= 12 and payload[11] <= 2:
            clean = ADOBE + payload[11:12]
        if clean and not self._begun:
            self._apps[marker] = clean
            payload = payload[len(clean) :]
        if payload or not clean:
            self.foreign.append(Segment(marker, payload))

    def _take_table(self, table: Table) -> None:
        known = self._tables.get(table.key)
        if self._begun and table.key in self._latched and self._written.get(table.key) != table.payload:
            raise UnknownStructure("a JPEG tile changes how it quantises between two scans")
        if known is not None and self._written.get(table.key) != known.payload:
            self.foreign.append(Segment(table.key.marker, words(known) if known.payload != table.payload else b""))
        self._tables[table.key] = table
        if table.key.marker == DHT:
            self._written.pop(table.key, None)  # a scan that asks for it gets it again, as libjpeg does

    @property
    def _latched(self) -> set[Key]:
        """Quantisation tables that the first scan has fixed."""
        return {Key(DQT, 0, component.table) for component in self.frame.components} if self.frame else set()

    def _take_interval(self, payload: bytes) -> None:
        if len(payload) != 2:
            raise DamagedSlide("a JPEG restart interval is longer or shorter than its content")
        interval = int.from_bytes(payload, "big")
        if self._begun and interval != self._interval:
            raise UnknownStructure("a JPEG tile changes its restart interval between two scans")
        self._interval = interval

    def scan(self, payload: bytes) -> tuple[bytes, Scan]:
        """The headers up to and with the scan's, and the scan. Raises DamagedSlide."""
        if self.frame is None:
            raise DamagedSlide("a JPEG tile has no frame before its scan")
        found = scan_of(payload, self.frame)
        self._advance(found)
        pieces = [] if self._begun else [b"\xff\xd8", *self._opening(self.frame)]
        pieces += [Segment(DHT, table).encode() for table in self._asked(found.uses, self.frame)]
        if not self._begun:
            self.interval = self._interval if self._interval < most_mcus(self.frame, found) else 0
            if self.interval:
                pieces.append(Segment(DRI, struct.pack(">H", self.interval)).encode())
        pieces.append(Segment(SOS, found.encode(self.frame)).encode())
        self._begun = True
        return b"".join(pieces), found

    def _advance(self, scan: Scan) -> None:
        """No bit is coded twice (T.81 A.2, G.1.1.1): decoders show one of two, and the other is a hidden picture."""
        band = slice(scan.first, scan.last + 1)
        for part in scan.parts:
            bits = self._bits.setdefault(part.component, [0] * 64)
            if any(bit != scan.high for bit in bits[band]):
                raise DamagedSlide("a JPEG scan codes what another one has coded")
            bits[band] = [scan.low or -1] * (scan.last + 1 - scan.first)

    def _opening(self, frame: Frame) -> Iterator[bytes]:
        for marker in sorted(self._apps):
            yield Segment(marker, self._apps[marker]).encode()
        uses = dict.fromkeys(Key(DQT, 0, component.table) for component in frame.components)
        yield from (Segment(DQT, table).encode() for table in self._asked(tuple(uses), frame))
        yield Segment(frame.marker, frame.encode()).encode()

    def _asked(self, keys: tuple[Key, ...], frame: Frame) -> Iterator[bytes]:
        """The tables of these keys that have to be written now."""
        for key in keys:
            table = self._tables.get(key)
            if table is None:
                self.wanted.add(key)
                continue
            check_use(table, frame)
            if self._written.get(key) != table.payload:
                self._written[key] = table.payload
                yield table.payload

    def unused(self) -> tuple[Segment, ...]:
        """Tables that were defined and not asked for by any scan so far, with the words that are in them."""
        unused = (table for key, table in self._tables.items() if self._written.get(key) != table.payload)
        return tuple(Segment(table.key.marker, words(table)) for table in unused)

    @property
    def tables(self) -> Mapping[Key, bytes]:
        """Tables that were written so far."""
        return dict(self._written)


def check_use(table: Table, frame: Frame) -> None:
    """Raise DamagedSlide when a frame's scans cannot use this table."""
    check(table, frame.bits, progressive=frame.progressive, baseline=frame.marker == BASELINE)
