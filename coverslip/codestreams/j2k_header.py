"""The marker segments of a JPEG 2000 codestream as values, and the one way we write them.

Source: ITU-T T.800 A.5.1 (SIZ), A.6.1 and A.6.2 (COD, COC), A.6.4 and A.6.5 (QCD, QCC), tables A.13 to A.30. A decoder
reads what it needs from each and passes over the rest, so each is held against its exact length, and each number
against what it may be. Segments that scanners do not write (CAP, POC, PPM, PPT, RGN) are refused: nobody has a use for
them here, and they hold whatever somebody puts there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final

from coverslip.codestreams.frames import Expected, check_j2k
from coverslip.errors import DamagedSlide, UnknownStructure

SIZ, COD, COC, QCD, QCC = 0x51, 0x52, 0x53, 0x5C, 0x5D
MAX_LEVELS: Final = 12
"""Decompositions: a tile has at most 4096 pixels a side."""
MAX_LAYERS: Final = 256
SMALLEST_PRECINCT: Final = 6
"""As a power of two; smaller ones than 64 pixels nobody writes."""
LARGEST_PRECINCT: Final = 15
PRECINCTS, SOP, EPH = 1, 2, 4
"""Bits of Scod."""


@dataclass(frozen=True, slots=True)
class Style:
    """How one component is cut and transformed: what COD and COC have in common (SPcod)."""

    levels: int
    block: tuple[int, int]
    """Code-block width and height as stored: the power of two less two."""
    passes: int
    transform: int
    """0 irreversible, 1 reversible."""
    precincts: tuple[int, ...]
    """Powers of two, one a resolution, the same in both directions; empty for the largest."""

    def encode(self) -> bytes:
        """SPcod."""
        sizes = bytes(power << 4 | power for power in self.precincts)
        return bytes((self.levels, *self.block, self.passes, self.transform)) + sizes


@dataclass(frozen=True, slots=True)
class Coding:
    """A COD segment."""

    markers: int
    """Which of SOP and EPH stand between packets."""
    progression: int
    layers: int
    mixed: int
    """Whether the first three components are transformed together."""
    style: Style

    def encode(self) -> bytes:
        """The segment's payload."""
        scod = self.markers | (PRECINCTS if self.style.precincts else 0)
        return struct.pack(">BBHB", scod, self.progression, self.layers, self.mixed) + self.style.encode()


@dataclass(frozen=True, slots=True)
class Steps:
    """A QCD or QCC segment: how coefficients were quantised."""

    guard: int
    kind: int
    """0 none, 1 derived from one step, 2 a step for each band."""
    steps: tuple[int, ...]

    def encode(self) -> bytes:
        """Sqcd and SPqcd."""
        form = ">B" if self.kind == 0 else ">H"
        return bytes((self.guard << 5 | self.kind,)) + b"".join(struct.pack(form, step) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Sizes:
    """A SIZ segment, as far as it is not fixed by the page."""

    profile: int
    width: int
    height: int
    tile: tuple[int, int]
    bits: int
    sampling: tuple[tuple[int, int], ...]

    @property
    def tiles(self) -> int:
        """How many tiles the codestream is cut into."""
        return -(-self.width // self.tile[0]) * -(-self.height // self.tile[1])

    def encode(self) -> bytes:
        """The segment's payload."""
        head = struct.pack(
            ">HIIIIIIIIH", self.profile, self.width, self.height, 0, 0, *self.tile, 0, 0, len(self.sampling)
        )
        return head + b"".join(bytes((self.bits - 1, *pair)) for pair in self.sampling)


def sizes_of(payload: bytes, expected: Expected) -> Sizes:
    """Parse SIZ. Raises DamagedSlide, LimitExceeded, or UnknownStructure for an image that does not begin at 0, 0."""
    check_j2k(payload, expected)
    profile, right, bottom, left, top, across, down, *first = struct.unpack_from(">HIIIIIIII", payload)
    if profile > 2:
        raise UnknownStructure("a JPEG 2000 tile keeps to a profile we do not write")
    if left or top or any(first):
        raise UnknownStructure("a JPEG 2000 tile does not begin where its grid does")
    rows = [payload[36 + 3 * i : 39 + 3 * i] for i in range(expected.samples)]
    if any(row[0] != expected.bits - 1 or row[1] not in (1, 2, 4) or row[2] not in (1, 2, 4) for row in rows):
        raise DamagedSlide("a JPEG 2000 tile has other samples than its page says")
    tile = (min(across, right), min(down, bottom))
    return Sizes(profile, right, bottom, tile, expected.bits, tuple((row[1], row[2]) for row in rows))


def coding_of(payload: bytes, samples: int) -> Coding:
    """Parse COD. Raises DamagedSlide or UnknownStructure."""
    if len(payload) < 10:
        raise DamagedSlide("a JPEG 2000 coding style is longer or shorter than its content")
    scod, progression, layers, mixed = struct.unpack_from(">BBHB", payload)
    if scod > 7 or progression > 4 or mixed > 1 or (mixed and samples < 3) or not layers:
        raise DamagedSlide("a JPEG 2000 coding style says what no decoder knows")
    if layers > MAX_LAYERS:
        raise UnknownStructure("a JPEG 2000 tile has more layers than anybody writes")
    style = _style(payload[5:], own=bool(scod & PRECINCTS))
    return Coding(scod & (SOP | EPH), progression, layers, mixed, style)


def component_coding_of(payload: bytes, samples: int) -> tuple[int, Style]:
    """Parse COC: the component and its style. Raises DamagedSlide or UnknownStructure."""
    if len(payload) < 7 or payload[0] >= samples or payload[1] > PRECINCTS:
        raise DamagedSlide("a JPEG 2000 coding style is of no component")
    return payload[0], _style(payload[2:], own=bool(payload[1]))


def _style(payload: bytes, *, own: bool) -> Style:
    levels, *block, passes, transform = payload[:5]
    if len(payload) != 5 + (levels + 1 if own else 0):
        raise DamagedSlide("a JPEG 2000 coding style is longer or shorter than its content")
    if levels > MAX_LEVELS:
        raise UnknownStructure("a JPEG 2000 tile is decomposed further than it has pixels")
    if max(block) > 8 or sum(block) > 8 or passes > 0x3F or transform > 1:
        raise DamagedSlide("a JPEG 2000 coding style says what no decoder knows")
    pairs = [divmod(size, 16) for size in payload[5:]]
    if any(high != low or low < SMALLEST_PRECINCT for high, low in pairs):
        raise UnknownStructure("a JPEG 2000 tile has precincts that nobody writes")
    found = Style(levels, (block[0], block[1]), passes, transform, tuple(low for _, low in pairs))
    return replace(found, precincts=()) if set(found.precincts) <= {LARGEST_PRECINCT} else found


def steps_of(payload: bytes, style: Style) -> Steps:
    """Parse QCD, or QCC without its component, for what is coded in `style`. Raises DamagedSlide."""
    kind, guard = (payload[0] & 31, payload[0] >> 5) if payload else (31, 0)
    width, bands = (1, 2)[kind > 0], 1 if kind == 1 else 3 * style.levels + 1
    if len(payload) != 1 + width * bands or kind > 2 or (kind == 0) != (style.transform == 1):
        raise DamagedSlide("a JPEG 2000 quantisation is longer or shorter than its content, or of another kind")
    steps = tuple(int.from_bytes(payload[at : at + width], "big") for at in range(1, len(payload), width))
    if kind == 0 and any(step & 7 for step in steps):
        raise DamagedSlide("a JPEG 2000 quantisation says what no decoder knows")
    return Steps(guard, kind, steps)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the segments of one header say, each at most once."""

    coding: Coding | None = None
    styles: tuple[tuple[int, Style], ...] = ()
    """By component."""
    steps: Steps | None = None
    component_steps: tuple[tuple[int, Steps], ...] = ()

    def encode(self) -> bytes:
        """The segments, in the order of their markers, components in order."""
        found = [(COD, self.coding.encode())] if self.coding else []
        found += [(COC, bytes((number, bool(style.precincts))) + style.encode()) for number, style in self.styles]
        found += [(QCD, self.steps.encode())] if self.steps else []
        found += [(QCC, bytes((number,)) + steps.encode()) for number, steps in self.component_steps]
        return b"".join(struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload for marker, payload in found)


def settings_of(segments: list[tuple[int, bytes]], samples: int, before: Settings | None = None) -> Settings:
    """Parse the COD, COC, QCD and QCC of a header; `before` is the main header's, where it is a tile-part's.

    Raises DamagedSlide for one that stands twice, is missing or does not fit the others.
    """
    singles = [marker for marker, _ in segments if marker in (COD, QCD)]
    if len(set(singles)) != len(singles):
        raise DamagedSlide("a JPEG 2000 segment stands twice in one header")
    coding = next((coding_of(payload, samples) for marker, payload in segments if marker == COD), None)
    styles = dict(_components(segments, COC, samples))
    found = {number: component_coding_of(payload, samples)[1] for number, payload in styles.items()}
    general = coding or (before.coding if before else None)
    quantised = next((payload for marker, payload in segments if marker == QCD), None)
    if general is None or (before is None and quantised is None):
        raise DamagedSlide("a JPEG 2000 tile does not say how it is coded")
    style_of = {**(dict(before.styles) if before and coding is None else {}), **found}
    steps = steps_of(quantised, general.style) if quantised is not None else None
    own = {
        number: steps_of(payload[1:], style_of.get(number, general.style))
        for number, payload in _components(segments, QCC, samples)
    }
    return Settings(coding, tuple(sorted(found.items())), steps, tuple(sorted(own.items())))


def _components(segments: list[tuple[int, bytes]], marker: int, samples: int) -> list[tuple[int, bytes]]:
    """The segments of one kind with the component each is of."""
    found = [(payload[0] if payload else samples, payload) for kind, payload in segments if kind == marker]
    if any(number >= samples for number, _ in found) or len({number for number, _ in found}) != len(found):
        raise DamagedSlide("a JPEG 2000 segment is of no component, or stands twice for one")
    return found
