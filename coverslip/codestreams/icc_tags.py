"""What the tags of a colour profile may hold, to the byte: numbers of a transform, and nothing between or behind them.

Source: ICC.1:2022 §8 and §9 (which tags a profile may have), §10.5 (curve), §10.12 (lutAToB), §10.13 (lutBToA), §10.10
and §10.11 (lut16, lut8), §10.18 (parametric curve), §10.22 (s15Fixed16Array), §10.31 (XYZ). Curves, grids and matrices
are free numbers: that is what a transform is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from coverslip.errors import DamagedSlide

CHANNELS: Final = {b"RGB ": 3, b"GRAY": 1, b"XYZ ": 3, b"Lab ": 3}
"""Samples of the colour spaces that slides have and profiles connect to."""
MAX_CURVE: Final = 4096
MAX_XYZ: Final = 2 << 16
"""As s15Fixed16: no primary is further out."""
MAX_PARAMETER: Final = 16 << 16
_PARAMETERS: Final = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
_IDENTITY: Final = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 16)

_XYZ: Final = frozenset({b"XYZ "})
_CURVES: Final = frozenset({b"curv", b"para"})
_TO_PCS: Final = frozenset({b"mft1", b"mft2", b"mAB "})
_FROM_PCS: Final = frozenset({b"mft1", b"mft2", b"mBA "})


def legal(device_class: bytes, space: bytes) -> dict[bytes, frozenset[bytes]]:
    """Tags of a colour transform that a profile of this class and colour space has, and the types each may be of."""
    found = {b"wtpt": _XYZ, b"bkpt": _XYZ, b"chad": frozenset({b"sf32"})}
    found |= {b"A2B%d" % number: _TO_PCS for number in range(3)} | {b"B2A%d" % number: _FROM_PCS for number in range(3)}
    if device_class == b"prtr":
        found[b"gamt"] = _FROM_PCS
    if space == b"RGB ":
        found |= {b"%cXYZ" % colour: _XYZ for colour in b"rgb"} | {b"%cTRC" % colour: _CURVES for colour in b"rgb"}
    if space == b"GRAY":
        found[b"kTRC"] = _CURVES
    return found


def rebuilt(signature: bytes, data: bytes, space: bytes, pcs: bytes) -> bytes:
    """A tag's data from its numbers. Raises DamagedSlide when they are not there, or are none a transform has."""
    kind = data[:4]
    if kind in (b"mft1", b"mft2"):
        return _table(data, *_ends(signature, space, pcs))
    if kind in (b"mAB ", b"mBA "):
        return _stages(data, *_ends(signature, space, pcs))
    return _SIMPLE[kind](data)


def _ends(signature: bytes, space: bytes, pcs: bytes) -> tuple[bytes, int, int]:
    """Colour space a table begins in, and how many channels it takes and gives."""
    if signature.startswith(b"A2B"):
        return space, CHANNELS[space], CHANNELS[pcs]
    return pcs, CHANNELS[pcs], 1 if signature == b"gamt" else CHANNELS[space]


def _short() -> DamagedSlide:
    return DamagedSlide("an ICC transform is shorter than its content, or says what no profile says")


def _numbers(data: bytes, at: int, count: int, most: int) -> bytes:
    """So many s15Fixed16 numbers within bounds, as they stand."""
    found = data[at : at + 4 * count]
    if len(found) != 4 * count or any(abs(number) > most for number in struct.unpack(f">{count}i", found)):
        raise _short()
    return found


def _xyz(data: bytes) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(data, 8, 3, MAX_XYZ)


def _adaptation(data: bytes) -> bytes:
    return b"sf32" + bytes(4) + _numbers(data, 8, 9, 2 * MAX_XYZ)


def _curve(data: bytes) -> bytes:
    """A sampled or a parametric curve."""
    if data[:4] == b"para":
        kind = int.from_bytes(data[8:10], "big")
        if kind not in _PARAMETERS:
            raise _short()
        return b"para" + bytes(4) + data[8:10] + bytes(2) + _numbers(data, 12, _PARAMETERS[kind], MAX_PARAMETER)
    count = int.from_bytes(data[8:12], "big")
    if data[:4] != b"curv" or len(data) < 12 or count > MAX_CURVE or len(data) < 12 + 2 * count:
        raise _short()
    return b"curv" + bytes(4) + data[8 : 12 + 2 * count]


_SIMPLE: Final[dict[bytes, Callable[[bytes], bytes]]] = {
    b"XYZ ": _xyz,
    b"sf32": _adaptation,
    b"curv": _curve,
    b"para": _curve,
}


def _table(data: bytes, begins_in: bytes, inputs: int, outputs: int) -> bytes:
    """lut8 or lut16: matrix (used only where a table begins in XYZ), input tables, grid, output tables."""
    wide = data[:4] == b"mft2"
    grid = data[10] if len(data) > 47 else 0
    if data[8:10] != bytes((inputs, outputs)) or grid < 2:
        raise _short()
    matrix = _numbers(data, 12, 9, MAX_PARAMETER) if begins_in == b"XYZ " else _IDENTITY
    before, after = struct.unpack_from(">HH", data + bytes(8), 48) if wide else (256, 256)
    if not (2 <= before <= MAX_CURVE and 2 <= after <= MAX_CURVE):
        raise _short()
    first, width = (52, 2) if wide else (48, 1)
    size = width * (before * inputs + grid**inputs * outputs + after * outputs)
    if len(data) < first + size:
        raise _short()
    return data[:4] + bytes(4) + bytes((inputs, outputs, grid, 0)) + matrix + data[48 : first + size]


def _stages(data: bytes, begins_in: bytes, inputs: int, outputs: int) -> bytes:
    """lutAToB or lutBToA: its stages one behind the other, in one order, without gaps."""
    if len(data) < 32 or data[8:10] != bytes((inputs, outputs)):
        raise _short()
    places = struct.unpack_from(">5I", data, 12)
    b, matrix, m, grid, a = places
    device, connection = (inputs, outputs) if data[:4] == b"mAB " else (outputs, inputs)
    if not b or bool(matrix) != bool(m) or bool(grid) != bool(a) or any(0 < at < 32 for at in places):
        raise _short()
    if not grid and inputs != outputs:
        raise _short()
    stages = [
        b"".join(_curves(data, b, connection)),
        _numbers(data, matrix, 12, MAX_PARAMETER) if matrix else b"",
        b"".join(_curves(data, m, connection)) if m else b"",
        _grid(data, grid, inputs, outputs) if grid else b"",
        b"".join(_curves(data, a, device)) if a else b"",
    ]
    at, offsets = 32, []
    for stage in stages:
        offsets.append(at if stage else 0)
        at += len(stage)
    return data[:4] + bytes(4) + bytes((inputs, outputs, 0, 0)) + struct.pack(">5I", *offsets) + b"".join(stages)


def _curves(data: bytes, at: int, count: int) -> Iterator[bytes]:
    """Curves one behind the other, each on a multiple of four."""
    for _ in range(count):
        found = _curve(data[at:])
        at += len(found) + -len(found) % 4
        yield found + bytes(-len(found) % 4)


def _grid(data: bytes, at: int, inputs: int, outputs: int) -> bytes:
    sides, precision = data[at : at + inputs], data[at + 16 : at + 17]
    if len(sides) != inputs or min(sides) < 2 or precision not in (b"\1", b"\2"):
        raise _short()
    size = outputs * precision[0]
    for side in sides:
        size *= side
    if at + 20 + size > len(data):
        raise _short()
    content = data[at + 20 : at + 20 + size]
    return sides.ljust(16, b"\0") + precision + bytes(3) + content + bytes(-len(content) % 4)
