"""Whether one directory shows what another shows, at less size."""

from __future__ import annotations

from typing import Final

from coverslip.geometry import Size
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import COPYABLE
from coverslip.tiff.structure import Directory

_COLOUR: Final = frozenset((2, 6))
"""RGB and YCbCr: a lossless level may have JPEG levels below it."""


def is_level(directory: Directory, base: Directory) -> bool:
    """Tiled like the base, smaller, the same shape to within a pixel of rounding, the same kind of samples."""
    size, full = directory.size, base.size
    if not directory.tiled or size.width >= full.width or directory.compression not in COPYABLE:
        return False
    return _same_samples(directory, base) and _same_shape(size, full)


def _same_samples(directory: Directory, base: Directory) -> bool:
    colours = {directory.number(t.PHOTOMETRIC), base.number(t.PHOTOMETRIC)}
    if directory.number(t.SAMPLES_PER_PIXEL) != base.number(t.SAMPLES_PER_PIXEL):
        return False
    return len(colours) == 1 or colours == _COLOUR


def _same_shape(size: Size, full: Size) -> bool:
    factor = full.width / size.width
    return abs(full.height / factor - size.height) <= 2 + size.height / size.width
