"""Numeric fields as a TIFF may have them: each value one of those it can mean, in one spelling.

A field of four bytes holds a number to a reader and four letters to everybody else. So nothing is taken over as bytes:
values are enumerated, short ones are written short, and a resolution is a decimal fraction of eight digits in lowest
terms. Source: TIFF 6.0 §8, §15, §21 and §22 (which values there are), libtiff's tag list for 32997.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from math import gcd
from typing import Final

from coverslip.errors import DamagedSlide, UnknownStructure
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import COPYABLE, J2K, JPEG
from coverslip.tiff.shapes import COLOURS
from coverslip.tiff.structure import MAX_SIDE, Directory
from coverslip.write.fields import OutField

DIGITS: Final = 8
"""Of a resolution: a part in twenty million, and less than four letters."""
LEAST, MOST = Fraction(1, 100), Fraction(10_000_000)
"""Pixels per unit that anybody means."""
YCBCR: Final = 6

Allowed = Callable[[int], bool]


def _among(*values: int) -> Allowed:
    return frozenset(values).__contains__


ONE: Final[dict[int, tuple[int, Allowed]]] = {
    t.IMAGE_WIDTH: (t.LONG, range(1, MAX_SIDE + 1).__contains__),
    t.IMAGE_LENGTH: (t.LONG, range(1, MAX_SIDE + 1).__contains__),
    t.COMPRESSION: (t.SHORT, COPYABLE.__contains__),
    t.PHOTOMETRIC: (t.SHORT, COLOURS.__contains__),
    t.FILL_ORDER: (t.SHORT, _among(1, 2)),
    t.ORIENTATION: (t.SHORT, range(1, 9).__contains__),
    t.SAMPLES_PER_PIXEL: (t.SHORT, range(1, 1 << 16).__contains__),
    t.PLANAR_CONFIGURATION: (t.SHORT, _among(1, 2)),
    t.RESOLUTION_UNIT: (t.SHORT, _among(1, 2, 3)),
    t.PREDICTOR: (t.SHORT, _among(1, 2, 3)),
    t.TILE_WIDTH: (t.LONG, range(1, 4097).__contains__),
    t.TILE_LENGTH: (t.LONG, range(1, 4097).__contains__),
    t.YCBCR_POSITIONING: (t.SHORT, _among(1, 2)),
    t.IMAGE_DEPTH: (t.LONG, _among(1)),
}
"""Fields of one number → the widest type, and which numbers."""
MANY: Final[dict[int, Allowed]] = {
    t.BITS_PER_SAMPLE: _among(1, 2, 4, 8, 12, 16, 32, 64),
    t.SAMPLE_FORMAT: range(1, 7).__contains__,
    t.YCBCR_SUBSAMPLING: _among(1, 2, 4),
}
"""Fields of several short numbers → which."""
COEFFICIENTS: Final = ((299, 1000, 587, 1000, 114, 1000), (2126, 10000, 7152, 10000, 722, 10000))
"""YCbCrCoefficients: those of BT.601, which TIFF takes for granted, and of BT.709."""
RANGES: Final = (
    (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1),
    (0, 1, 255, 1, 0, 1, 255, 1, 0, 1, 255, 1),
    (15, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1),
    (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1),
)
"""ReferenceBlackWhite: full range, TIFF's default, and those of video."""
_CANONICAL: Final = {t.YCBCR_COEFFICIENTS: COEFFICIENTS, t.REFERENCE_BLACK_WHITE: RANGES}
KEPT: Final = frozenset(
    {t.NEW_SUBFILE_TYPE, t.ROWS_PER_STRIP, t.X_RESOLUTION, t.Y_RESOLUTION, *_CANONICAL, *ONE, *MANY}
)
"""Fields that can be written. The plan decides which of them appear."""


def kept_field(directory: Directory, code: int) -> OutField | None:
    """A numeric field of the source in its one spelling; None when it is absent or means nothing here.

    Raises DamagedSlide for a type it cannot have, UnknownStructure for a value nobody writes.
    """
    if code not in KEPT or code not in directory.fields:
        return None
    if code in (t.X_RESOLUTION, t.Y_RESOLUTION):
        return _resolution(directory, code)
    if code in _CANONICAL:
        return _colour_field(directory, code)
    values = tuple(int(value) for value in directory.numbers(code).tolist())
    if not values:
        return None
    if code == t.NEW_SUBFILE_TYPE:
        return _integers(directory, code, (values[0] & 1,), t.LONG)
    if code == t.ROWS_PER_STRIP:
        rows = min(values[0] or directory.size.height, directory.size.height)
        return None if directory.tiled else _integers(directory, code, (rows,), t.LONG)
    return _several(directory, code, values) if code in MANY else _single(directory, code, values[0])


def _single(directory: Directory, code: int, value: int) -> OutField:
    widest, allowed = ONE[code]
    if not allowed(value):
        raise UnknownStructure("a field has a value that nobody writes", where=_where(directory, code))
    return _integers(directory, code, (value,), widest)


def _several(directory: Directory, code: int, values: tuple[int, ...]) -> OutField | None:
    """Numbers one a sample, or two for subsampling; more than that mean nothing."""
    values = values[: 2 if code == t.YCBCR_SUBSAMPLING else directory.number(t.SAMPLES_PER_PIXEL, 1)]
    if not all(map(MANY[code], values)) or (code == t.BITS_PER_SAMPLE and len(set(values)) != 1):
        raise UnknownStructure("a field has a value that nobody writes", where=_where(directory, code))
    return _integers(directory, code, values, t.SHORT) if values else None


def _integers(directory: Directory, code: int, values: tuple[int, ...], widest: int) -> OutField:
    """As short as TIFF has it, and as the values are."""
    short = widest == t.SHORT or (max(values) < 1 << 16 and code != t.NEW_SUBFILE_TYPE)
    kind, form = (t.SHORT, "H") if short else (t.LONG, "I")
    return OutField(code, kind, struct.pack(f"{directory.order}{len(values)}{form}", *values))


def _rationals(directory: Directory, code: int, most: int) -> tuple[int, ...]:
    """Numerators and denominators in turn."""
    found = directory.fields[code]
    if found.type != t.RATIONAL:
        raise DamagedSlide("a field has a type it cannot have", where=_where(directory, code))
    raw = found.raw[: 8 * most]
    return struct.unpack(f"{directory.order}{len(raw) // 4}I", raw)


def _resolution(directory: Directory, code: int) -> OutField | None:
    above, below = (*_rationals(directory, code, 1), 0, 0)[:2]
    value = decimal(Fraction(above, below)) if above and below else None
    if value is None:
        return None
    return OutField(code, t.RATIONAL, struct.pack(f"{directory.order}2I", value.numerator, value.denominator))


def decimal(value: Fraction) -> Fraction | None:
    """A resolution to eight significant digits; None for one that nobody means.

    Its numerator and denominator, in lowest terms, fit into 32 bits.
    """
    if not LEAST <= value <= MOST:
        return None
    context = Context(prec=DIGITS)
    return Fraction(context.divide(Decimal(value.numerator), Decimal(value.denominator)))


def _colour_field(directory: Directory, code: int) -> OutField | None:
    """How luma and chroma become colours; JPEG and JPEG 2000 know it themselves, so there nothing unusual is needed."""
    if directory.number(t.PHOTOMETRIC) != YCBCR:
        return None
    values = _rationals(directory, code, 6)
    pairs = [_reduced(*pair) for pair in zip(values[::2], values[1::2], strict=True)]
    for known in _CANONICAL[code]:
        if pairs == [_reduced(*pair) for pair in zip(known[::2], known[1::2], strict=True)]:
            return OutField(code, t.RATIONAL, struct.pack(f"{directory.order}{len(known)}I", *known))
    if directory.compression in (JPEG, *J2K):
        return None
    raise UnknownStructure("a field has a value that nobody writes", where=_where(directory, code))


def _reduced(above: int, below: int) -> tuple[int, int]:
    common = gcd(above, below) or 1
    return above // common, below // common


def _where(directory: Directory, code: int) -> str:
    return f"{directory.path}/{t.name_of(code)}"
