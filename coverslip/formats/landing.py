"""Where a read of a reduced level lands: OpenSlide is asked in whole level-0 pixels, whatever the downsample.

Where the downsample is no whole number (DICOM, Leica, Trestle), most positions of a level fall between two level-0
pixels and OpenSlide answers with an image resampled by that fraction: 34 dB against the stored pixels at a quarter of
a pixel. Where the fraction is below a sixty-fourth the answer is the stored pixels to within two grey values, so a read
begins at such a position a little before the wanted one and is cut.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

REACH: Final = 256
"""How many level pixels before the wanted one a read may begin."""
TOLERANCE: Final = 1 / 64
"""Level pixels; cairo blends neighbours by this share at most, two grey values at the sharpest edges."""


def error(at: npt.NDArray[np.int64], downsample: float) -> npt.NDArray[np.float64]:
    """How far, in level pixels, reads at these positions of a level miss them."""
    missed: npt.NDArray[np.float64] = np.abs(np.rint(at * downsample) / downsample - at)
    return missed


def entry(at: int, downsample: float) -> int:
    """The nearest position at or before `at` (within `REACH`) whose read lands well; the best one where none does."""
    candidates = np.arange(at, max(-1, at - REACH - 1), -1, dtype=np.int64)
    missed = error(candidates, downsample)
    good = np.flatnonzero(missed <= TOLERANCE)
    return int(candidates[good[0] if len(good) else np.argmin(missed)])


def lands_well(at: int, downsample: float) -> bool:
    """Whether a read that must begin near `at` gives stored pixels."""
    return bool(error(np.array([entry(at, downsample)]), downsample)[0] <= TOLERANCE)
