"""The numbers of a colour profile's tags as the verifier reads them: what says a colour, and what says nothing.

Source: ICC.1:2022 §8 and §9 (which tags a profile may have), §10.5 curve, §10.10 and §10.11 lut16 and lut8, §10.12 and
§10.13 lutAToB and lutBToA, §10.18 parametric curve, §10.22 s15Fixed16Array, §10.31 XYZ.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from coverslip.errors import DamagedSlide

SAMPLES = {b"RGB ": 3, b"GRAY": 1, b"XYZ ": 3, b"Lab ": 3}
IDENTITY = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
MAX_ENTRIES = 4096
ONE = 65536
"""Of a number with sixteen bits behind the point."""
PARAMETERS = (1, 3, 4, 5, 7)
LUT = 32
"""Bytes before the first stage of a lutAToB or lutBToA."""


@dataclass(slots=True)
class Walk:
    """One tag under way: which bytes say a colour, which say nothing, and which nobody asked for."""

    data: bytes
    colours: list[bytes] = field(default_factory=list)
    spare: list[bytes] = field(default_factory=list)
    """Bytes that mean nothing: zero in a clean profile."""
    owned: list[tuple[int, int]] = field(default_factory=list)
    wrong: bool = False
    """Whether a number or an order is none that a clean profile has."""

    def take(self, at: int, size: int) -> bytes:
        """Own some bytes. Raises `DamagedSlide` when they are not there."""
        if at + size > len(self.data):
            raise DamagedSlide("a colour transform is shorter than its content")
        self.owned.append((at, at + size))
        return self.data[at : at + size]

    def says(self, at: int, size: int) -> bytes:
        """Own bytes that say a colour."""
        self.colours.append(self.take(at, size))
        return self.colours[-1]

    def idle(self, at: int, size: int) -> None:
        """Own bytes that say nothing."""
        self.spare.append(self.take(at, size))

    def numbers(self, at: int, count: int, most: int) -> None:
        """Own numbers with sixteen bits behind the point, none further from zero than `most`."""
        found = struct.unpack(f">{count}i", self.says(at, 4 * count))
        self.wrong |= any(abs(number) > most * ONE for number in found)

    @property
    def is_exact(self) -> bool:
        """Whether nothing stands in the tag but colours, zeros where it must be, and padding to a multiple of four."""
        reached = 0
        for start, end in sorted(self.owned):
            if start < reached or start > reached + 3 or self.data[reached:start].strip(b"\0"):
                return False
            reached = end
        rest = self.data[reached:]
        return not self.wrong and not any(map(any, self.spare)) and len(rest) <= 3 and not any(rest)


def types(signature: bytes, device_class: bytes, space: bytes) -> tuple[bytes, ...]:
    """What such a tag may be in a profile of this class and colour space; empty when it has no place there."""
    if signature in (b"wtpt", b"bkpt") or (space == b"RGB " and signature in (b"rXYZ", b"gXYZ", b"bXYZ")):
        return (b"XYZ ",)
    if signature == b"chad":
        return (b"sf32",)
    if signature in ((b"kTRC",) if space == b"GRAY" else (b"rTRC", b"gTRC", b"bTRC")):
        return (b"curv", b"para")
    if signature in (b"A2B0", b"A2B1", b"A2B2"):
        return (b"mft1", b"mft2", b"mAB ")
    if signature in (b"B2A0", b"B2A1", b"B2A2") or (signature == b"gamt" and device_class == b"prtr"):
        return (b"mft1", b"mft2", b"mBA ")
    return ()


def walk(signature: bytes, data: bytes, space: bytes, connection: bytes) -> Walk:
    """Read one tag of the transform. Raises `DamagedSlide` when it cannot be read."""
    found = Walk(data)
    read = _SIMPLE.get(found.take(0, 4))
    found.idle(4, 4)
    if read is not None:
        read(found)
    else:
        begins, ends = (space, connection) if signature.startswith(b"A2B") else (connection, space)
        inputs, outputs = SAMPLES.get(begins, 0), 1 if signature == b"gamt" else SAMPLES.get(ends, 0)
        if not inputs or not outputs:
            raise DamagedSlide("a colour transform is one of spaces nobody knows")
        (_stages if data[:1] == b"m" and data[1:2] in b"AB" else _table)(found, begins, inputs, outputs)
    return found


def _curve(found: Walk, at: int = 0) -> int:
    """One curve; where it ends."""
    kind = found.data[at : at + 4]
    if at:
        found.says(at, 4)
        found.idle(at + 4, 4)
    if kind == b"para":
        number = int.from_bytes(found.says(at + 8, 2), "big")
        found.idle(at + 10, 2)
        if number >= len(PARAMETERS):
            raise DamagedSlide("a colour transform has an unknown curve")
        found.numbers(at + 12, PARAMETERS[number], 16)
        return at + 12 + 4 * PARAMETERS[number]
    count = int.from_bytes(found.says(at + 8, 4), "big")
    if kind != b"curv" or count > MAX_ENTRIES:
        raise DamagedSlide("a colour transform has an unknown curve")
    found.says(at + 12, 2 * count)
    return at + 12 + 2 * count


_SIMPLE: dict[bytes, Callable[[Walk], object]] = {
    b"XYZ ": lambda found: found.numbers(8, 3, 2),
    b"sf32": lambda found: found.numbers(8, 9, 4),
    b"curv": _curve,
    b"para": _curve,
}


def _table(found: Walk, begins: bytes, inputs: int, outputs: int) -> None:
    """lut8 and lut16; their matrix counts only where the table begins in XYZ."""
    shape, grid = found.says(8, 2), found.says(10, 1)[0]
    found.idle(11, 1)
    if shape != bytes((inputs, outputs)) or grid < 2:
        raise DamagedSlide("a colour table has another shape than its profile")
    if begins == b"XYZ ":
        found.numbers(12, 9, 16)
    else:
        found.wrong |= found.take(12, 36) != IDENTITY
    wide = found.data[:4] == b"mft2"
    first, last = struct.unpack(">HH", found.says(48, 4)) if wide else (256, 256)
    if not (1 < first <= MAX_ENTRIES and 1 < last <= MAX_ENTRIES):
        raise DamagedSlide("a colour table has another shape than its profile")
    entries = first * inputs + int(grid**inputs) * outputs + last * outputs
    found.says(52 if wide else 48, entries * (2 if wide else 1))


def _stages(found: Walk, begins: bytes, inputs: int, outputs: int) -> None:
    """lutAToB and lutBToA: B curves, matrix, M curves, grid, A curves."""
    if found.says(8, 2) != bytes((inputs, outputs)):
        raise DamagedSlide("a colour transform has another shape than its profile")
    found.idle(10, 2)
    places = struct.unpack(">5I", found.take(12, 20))
    used = [at for at in places if at]
    found.wrong |= used != sorted(set(used)) or used[:1] != [LUT]
    b, matrix, m, grid, a = places
    device, connection = (inputs, outputs) if found.data[:4] == b"mAB " else (outputs, inputs)
    if not b or any(at < LUT for at in used) or bool(matrix) != bool(m) or bool(grid) != bool(a):
        raise DamagedSlide("a colour transform has stages that do not belong together")
    found.colours.append(bytes(map(bool, places)))
    _curves(found, b, connection)
    if matrix:
        found.numbers(matrix, 12, 16)
        _curves(found, m, connection)
    if grid:
        sides, width = found.says(grid, inputs), found.says(grid + 16, 1)[0]
        found.idle(grid + inputs, 16 - inputs)
        found.idle(grid + 17, 3)
        if min(sides) < 2 or width not in (1, 2):
            raise DamagedSlide("a colour table has another shape than its profile")
        found.says(grid + 20, prod(sides) * outputs * width)
        _curves(found, a, device)


def _curves(found: Walk, at: int, count: int) -> None:
    for _ in range(count):
        at = _curve(found, at)
        at += -at % 4
