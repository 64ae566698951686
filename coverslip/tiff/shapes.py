"""Whether one directory shows what another shows, at less size: as far as structure can tell.

Structure and words can only deny it. That a page which looks like a level is one, the verifier sees in its pixels.
"""

from __future__ import annotations

import re
from typing import Final

from coverslip.geometry import Size
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import COPYABLE, DEFLATE, J2K
from coverslip.tiff.structure import Directory

SMALLEST_STEP: Final = 1.1
"""A level is at least so many times smaller than the base."""
REDUCED: Final = 1
"""NewSubfileType bit 0: a reduced-resolution version of another page (TIFF 6.0 §8)."""
ALIKE: Final = {t.PHOTOMETRIC: 0, t.SAMPLES_PER_PIXEL: 1, t.BITS_PER_SAMPLE: 1, t.PLANAR_CONFIGURATION: 1}
"""What says how samples mean colour, with TIFF's defaults."""
COLOURS: Final = {0: 1, 1: 1, 2: 3, 6: 3}
"""How many samples are colour, by photometric interpretation: white or black is zero, RGB, YCbCr."""
_OTHER_PICTURE: Final = re.compile(r"\W*(label|macro|overview|thumbnail)(\b|_)", re.IGNORECASE)


def is_level(directory: Directory, base: Directory) -> bool:
    """Tiled like the base, smaller, the same shape to within rounding, the same kind of samples and of codec."""
    size, full = directory.size, base.size
    if not (directory.tiled and base.tiled) or size.width * SMALLEST_STEP > full.width:
        return False
    same = all(directory.number(code, default) == base.number(code, default) for code, default in ALIKE.items())
    return same and _family(directory) == _family(base) is not None and _same_shape(size, full)


def is_undenied_level(directory: Directory, base: Directory) -> bool:
    """A level that neither its subfile type nor its own words deny: of a full or a reduced image."""
    said = directory.number(t.NEW_SUBFILE_TYPE)
    return said in (0, REDUCED) and not says_otherwise(directory) and is_level(directory, base)


def shows_all_samples(directory: Directory) -> bool:
    """Whether each sample is a colour: what stands in a fourth no viewer shows, and nobody who looks can judge."""
    return directory.number(t.SAMPLES_PER_PIXEL, 1) == COLOURS.get(directory.number(t.PHOTOMETRIC))


def says_otherwise(directory: Directory) -> bool:
    """Whether the page's own words begin by calling it a label, macro, overview or thumbnail."""
    return any(_OTHER_PICTURE.match(directory.text(code)) for code in (t.IMAGE_DESCRIPTION, t.PAGE_NAME))


def is_whole_step(size: Size, full: Size) -> bool:
    """Whether a whole number times smaller, to within a pixel of rounding in each direction."""
    step = round(full.width / size.width)
    return abs(full.width / step - size.width) <= 1 and abs(full.height / step - size.height) <= 1


def _same_shape(size: Size, full: Size) -> bool:
    factor = full.width / size.width
    return abs(full.height / factor - size.height) <= 2 + size.height / size.width


def _family(directory: Directory) -> int | None:
    """The codec, its dialects taken for one; None for one that cannot be copied."""
    compression = directory.compression
    dialects = next((family for family in (J2K, DEFLATE) if compression in family), frozenset({compression}))
    return min(dialects) if compression in COPYABLE else None
