"""What the headers of a JPEG ask of a decoder, and whether they say anything else besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coverslip.errors import DamagedSlide
from coverslip.verify.jpeg_tables import DHT, DQT, Table, is_sound, tables_of
from coverslip.verify.jpeg_walk import APP0, APP14, DRI, FRAMES, SOS, Segment, foreign

BASELINE = 0xC0
SEQUENTIAL = frozenset({BASELINE, 0xC1})
PROGRESSIVE = 0xC2
NAMES = ((0, 1, 2, 3), (1, 2, 3, 4), tuple(b"RGB"))
"""What components of a clean slide's tiles may be called."""

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame header."""

    marker: int
    bits: int
    size: tuple[int, int]
    """Width and height."""
    names: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]
    divisors: tuple[int, ...]
    """Which quantisation table each component has."""

    @property
    def progressive(self) -> bool:
        """Whether coefficients come in several scans."""
        return self.marker == PROGRESSIVE


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan header with the tables it uses; None for one that is nowhere, so that decoders take T.81's own."""

    places: tuple[int, ...]
    """Which components of the frame."""
    numbers: tuple[tuple[int, int], ...]
    """For each the numbers of its DC and AC table."""
    dc: tuple[Table | None, ...]
    ac: tuple[Table | None, ...]
    selection: tuple[int, int, int, int]
    """First and last coefficient, approximation high and low."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a decoder would do with a stream's headers; equal meanings decode equal scans to equal pixels."""

    frame: tuple[int, tuple[int, int], tuple[tuple[int, int], ...], bool]
    divisors: tuple[tuple[int, ...] | None, ...]
    scans: tuple[Scan, ...]
    restart: int
    colour: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Headers that have been read."""

    meaning: Meaning
    frame: Frame
    wrong: tuple[str, ...]
    """What stands there that no decoder asks for, or that none could use; foreign segments apart."""
    foreign: bool
    """Whether a marker segment stands there that no decoder needs."""
    taken: frozenset[Key]
    """Shared tables that were used."""


def read(shared: Mapping[Key, Table], segments: Iterable[Segment], where: str) -> Reading:
    """Read the headers of one stream, beside the page's shared tables. Raises `DamagedSlide` without a frame or scan,
    and for tables, frames and scans that do not fill their segments exactly.
    """
    reader = _Reader(shared, where)
    for segment in segments:
        reader.take(segment)
    return reader.result()


def shared_tables(segments: Sequence[Segment], where: str) -> dict[Key, Table]:
    """The tables of a page's JPEGTables; a later one of the same name counts. Raises `DamagedSlide`."""
    found: dict[Key, Table] = {}
    for segment in segments:
        if segment.marker in (DQT, DHT):
            found.update((table.key, table) for table in tables_of(segment.marker, segment.payload, where))
    return found


class _Reader:
    """Reads segment after segment and remembers which tables nobody has asked for."""

    def __init__(self, shared: Mapping[Key, Table], where: str) -> None:
        self.where = where
        self.tables = dict(shared)
        self.idle: set[Key] = set()
        """Defined in the stream itself, and not asked for since."""
        self.own: set[Key] = set()
        self.taken: set[Key] = set()
        self.frame: Frame | None = None
        self.divisors: tuple[tuple[int, ...] | None, ...] = ()
        self.scans: list[Scan] = []
        self.reached: dict[tuple[int, int], int] = {}
        """Bits left to code of a component's coefficient: 0 before the first scan of it, -1 after the last."""
        self.restart: int | None = None
        self.apps: list[Segment] = []
        self.wrong: list[str] = []

    def take(self, segment: Segment) -> None:
        if segment.filled:
            self.wrong.append("fill bytes before a marker")
        if segment.marker in (DQT, DHT):
            self._define(segment)
        elif segment.marker in FRAMES:
            if self.frame is not None:
                raise DamagedSlide("a stream has two frames", where=self.where)
            self.frame = _frame(segment, self.where)
        elif segment.marker == SOS:
            self._scan(segment.payload)
        elif segment.marker == DRI:
            self._interval(segment.payload)
        else:
            self.apps.append(segment)

    def _define(self, segment: Segment) -> None:
        for table in tables_of(segment.marker, segment.payload, self.where):
            if table.key in self.idle:
                self.wrong.append("a table that is overwritten before it is used")
            if self.scans and table.marker == DQT:
                self.wrong.append("a quantisation table behind a scan")
                continue
            self.tables[table.key] = table
            self.idle.add(table.key)
            self.own.add(table.key)

    def _interval(self, payload: bytes) -> None:
        if len(payload) != 2:
            raise DamagedSlide("a restart interval of another size", where=self.where)
        value = int.from_bytes(payload, "big")
        if self.restart is not None or self.scans or not value:
            self.wrong.append("a restart interval that changes nothing")
        if not self.scans:
            self.restart = value

    def _scan(self, payload: bytes) -> None:
        if self.frame is None:
            raise DamagedSlide("a scan before any frame", where=self.where)
        rows, selection = _rows(payload, self.frame, self.where)
        if not self.scans:
            names = [(DQT, number) for number in self.frame.divisors]
            self.divisors = tuple(found.values if (found := self._ask(name)) else None for name in names)
        with_dc = not self.frame.progressive or not (selection[0] or selection[2])
        with_ac = not self.frame.progressive or selection[0] > 0
        if any((dc and not with_dc) or (ac and not with_ac) for _, dc, ac in rows):
            self.wrong.append("a scan names tables it does not use")
        scan = Scan(
            tuple(place for place, _, _ in rows),
            tuple((dc * with_dc, ac * with_ac) for _, dc, ac in rows),
            tuple(self._ask((DHT, dc)) if with_dc else None for _, dc, _ in rows),
            tuple(self._ask((DHT, 16 + ac)) if with_ac else None for _, _, ac in rows),
            selection if self.frame.progressive else (0, 63, 0, 0),
        )
        if not _selects(self.frame, scan, selection):
            self.wrong.append("a scan selects coefficients as none can")
        if not self._goes_on(scan):
            self.wrong.append("a scan codes what another has coded")
        self.scans.append(scan)

    def _goes_on(self, scan: Scan) -> bool:
        """Whether a scan begins where the others of its coefficients ended: what is coded twice shows one of two."""
        first, last, high, low = scan.selection
        steps = [(place, coefficient) for place in scan.places for coefficient in range(first, last + 1)]
        fresh = all(self.reached.get(step, 0) == high for step in steps)
        self.reached.update(dict.fromkeys(steps, low or -1))
        return fresh

    def _ask(self, key: Key) -> Table | None:
        """The table a frame or scan refers to."""
        table = self.tables.get(key)
        self.idle.discard(key)
        if table is not None and self.frame is not None:
            sort = {"progressive": self.frame.progressive, "baseline": self.frame.marker == BASELINE}
            if not is_sound(table, self.frame.bits, **sort):
                self.wrong.append("a table that holds more than a decoder can use")
            if key not in self.own:
                self.taken.add(key)
        return table

    def result(self) -> Reading:
        if self.frame is None or not self.scans:
            raise DamagedSlide("a stream without a frame or a scan", where=self.where)
        frame = self.frame
        self.wrong += ["a table that no scan uses"] * bool(self.idle)
        if len({app.marker for app in self.apps}) != len(self.apps):
            self.wrong.append("an application segment stands twice")
        if not any(frame.names == names[: len(frame.names)] for names in NAMES):
            self.wrong.append("components have names that are no numbers")
        if any(not (1 <= side <= 4) for pair in frame.sampling for side in pair):
            self.wrong.append("components are sampled as none can be")
        restart = self.restart or 0
        if restart >= longest(frame, self.scans):
            self.wrong += ["a restart interval longer than any scan"] * bool(restart)
            restart = 0
        told = (frame.bits, frame.size, frame.sampling, frame.progressive)
        meaning = Meaning(told, self.divisors, tuple(self.scans), restart, _colour(self.apps, frame))
        return Reading(meaning, frame, tuple(self.wrong), any(True for _ in foreign(self.apps)), frozenset(self.taken))


def _frame(segment: Segment, where: str) -> Frame:
    payload = segment.payload
    if len(payload) < 9 or len(payload) != 6 + 3 * payload[5]:
        raise DamagedSlide("a frame of another size than its components ask for", where=where)
    rows = [payload[at : at + 3] for at in range(6, len(payload), 3)]
    size = (int.from_bytes(payload[3:5], "big"), int.from_bytes(payload[1:3], "big"))
    return Frame(
        segment.marker,
        payload[0],
        size,
        tuple(row[0] for row in rows),
        tuple((row[1] >> 4, row[1] & 15) for row in rows),
        tuple(row[2] for row in rows),
    )


def _rows(payload: bytes, frame: Frame, where: str) -> tuple[list[tuple[int, int, int]], tuple[int, int, int, int]]:
    """Component and tables of each row of a scan header, and what it selects."""
    count = payload[0] if payload else 0
    if not count or len(payload) != 4 + 2 * count:
        raise DamagedSlide("a scan of another size than its components ask for", where=where)
    names = [payload[1 + 2 * row] for row in range(count)]
    places = [frame.names.index(name) for name in names if name in frame.names]
    if places != sorted(set(places)) or len(places) != count:
        raise DamagedSlide("a scan of components its frame does not have, or out of order", where=where)
    pairs = [divmod(payload[2 + 2 * row], 16) for row in range(count)]
    first, last, approximation = payload[-3:]
    rows = [(place, *pair) for place, pair in zip(places, pairs, strict=True)]
    return rows, (first, last, *divmod(approximation, 16))


def _selects(frame: Frame, scan: Scan, selection: tuple[int, int, int, int]) -> bool:
    """Whether T.81 knows such a scan (B.2.3, G.1.1.1)."""
    first, last, high, low = selection
    if frame.marker in SEQUENTIAL:
        return selection == (0, 63, 0, 0)
    band = last == 0 if first == 0 else first <= last < 64 and len(scan.places) == 1
    return band and (high == 0 or high == low + 1) and low < 14


def units(frame: Frame, places: Sequence[int]) -> int:
    """How many coded units a scan of these components has (T.81 A.2)."""
    most = [max(pair[axis] for pair in frame.sampling) or 1 for axis in (0, 1)]
    if len(places) > 1:
        counts = [-(-frame.size[axis] // (8 * most[axis])) for axis in (0, 1)]
    else:
        own = frame.sampling[places[0]]
        sides = [-(-frame.size[axis] * own[axis] // most[axis]) for axis in (0, 1)]
        counts = [-(-side // 8) for side in sides]
    return counts[0] * counts[1]


def longest(frame: Frame, scans: Sequence[Scan]) -> int:
    """Units of the longest scan that such a frame can have."""
    if not frame.progressive and len(scans[0].places) == len(frame.names):
        return units(frame, scans[0].places)
    return max(units(frame, (place,)) for place in range(len(frame.names)))


def _colour(apps: Sequence[Segment], frame: Frame) -> str:
    """How a decoder without the TIFF tags would read three components (libjpeg's rule)."""
    named = [app.payload for app in apps if app.marker == APP14 and app.payload[:5] == b"Adobe"]
    adobe = named[-1] if named else b""
    jfif = any(app.marker == APP0 and app.payload[:5] == b"JFIF\0" for app in apps)
    if len(frame.names) != 3:
        return f"adobe {adobe[11]}" if len(adobe) >= 12 else "plain"
    if not jfif and len(adobe) >= 12:
        return "rgb" if adobe[11] == 0 else "ycc"
    return "rgb" if not jfif and frame.names == tuple(b"RGB") else "ycc"
