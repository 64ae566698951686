"""The directory of one level of a converted slide: geometry, resolution and, on the first, one line of numbers.

Source: TIFF 6.0 §8 (resolution), §21 (YCbCr), TIFF Technical Note 2 (JPEG). `docs/formats.md`, "Converted slides".
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from coverslip.geometry import Mpp, Size
from coverslip.slide import Level, SlideFacts
from coverslip.tiff import tags as t
from coverslip.write.bigtiff import Entry, ascii_text, longs, rationals, shorts
from coverslip.write.numbers import DIGITS, decimal

JPEG: Final = 7
YCBCR: Final = 6
CENTIMETRE: Final = 3
REDUCED: Final = 1

Numbers = npt.NDArray[np.uint64]


def page(facts: SlideFacts, number: int, tile: int, offsets: Numbers, counts: Numbers, tables: bytes) -> list[Entry]:
    """All fields of one level but the profile."""
    level = facts.levels[number]
    entries = [
        *_geometry(level, tile, reduced=number > 0),
        longs8(t.TILE_OFFSETS, offsets),
        longs8(t.TILE_BYTE_COUNTS, counts),
        Entry(t.JPEG_TABLES, t.UNDEFINED, len(tables), tables),
    ]
    if facts.mpp is not None:
        entries += _resolution(facts.mpp, facts.size, level.size)
    if number == 0:
        entries.append(ascii_text(t.IMAGE_DESCRIPTION, description(facts)))
    return entries


def description(facts: SlideFacts) -> str:
    """The numeric facts, `coverslip 1|AppMag = 40|MPP = 0.2282|Background = FFFFFF`; unknown ones are left out.

    The pairs are spelt as in an Aperio description; the first word is not `Aperio`, so nobody takes the file for one.
    """
    pairs: list[tuple[str, str]] = []
    if facts.magnification is not None:
        pairs.append(("AppMag", plain(facts.magnification)))
    if facts.mpp is not None and facts.mpp.x == facts.mpp.y:
        pairs.append(("MPP", short(facts.mpp.x)))
    elif facts.mpp is not None:
        pairs += [("MPP X", short(facts.mpp.x)), ("MPP Y", short(facts.mpp.y))]
    if facts.background is not None:
        pairs.append(("Background", facts.background))
    return "|".join(["coverslip 1", *(f"{key} = {value}" for key, value in pairs)])


def plain(value: float) -> str:
    """A number as its shortest decimal that reads back the same, without exponent."""
    text = np.format_float_positional(value, trim="-")
    return str(text)


def short(value: float) -> str:
    """A resolution to the digits the fields have, so that nothing hides in those nobody can measure."""
    return plain(float(f"{value:.{DIGITS}g}"))


def longs8(code: int, values: Numbers) -> Entry:
    """A field of 64-bit numbers."""
    return Entry(code, t.LONG8, len(values), values.astype("<u8").tobytes())


def _geometry(level: Level, tile: int, *, reduced: bool) -> list[Entry]:
    return [
        longs(t.NEW_SUBFILE_TYPE, REDUCED if reduced else 0),
        longs(t.IMAGE_WIDTH, level.size.width),
        longs(t.IMAGE_LENGTH, level.size.height),
        shorts(t.BITS_PER_SAMPLE, 8, 8, 8),
        shorts(t.COMPRESSION, JPEG),
        shorts(t.PHOTOMETRIC, YCBCR),
        shorts(t.SAMPLES_PER_PIXEL, 3),
        shorts(t.PLANAR_CONFIGURATION, 1),
        shorts(t.TILE_WIDTH, tile),
        shorts(t.TILE_LENGTH, tile),
        shorts(t.YCBCR_SUBSAMPLING, 1, 1),
        rationals(t.REFERENCE_BLACK_WHITE, *map(Fraction, (0, 255, 128, 255, 128, 255))),
    ]


def _resolution(mpp: Mpp, base: Size, size: Size) -> list[Entry]:
    """Pixels per centimetre of this level, to eight digits; none when nobody can mean them."""
    across = _per_centimetre(mpp.x, Fraction(size.width, base.width))
    down = _per_centimetre(mpp.y, Fraction(size.height, base.height))
    if across is None or down is None:
        return []
    return [
        rationals(t.X_RESOLUTION, across),
        rationals(t.Y_RESOLUTION, down),
        shorts(t.RESOLUTION_UNIT, CENTIMETRE),
    ]


def _per_centimetre(mpp: float, scale: Fraction) -> Fraction | None:
    return decimal(Fraction(10_000) / Fraction(plain(mpp)) * scale)
