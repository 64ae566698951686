"""A tiny Trestle TIFF: tiles that overlap by what its description says, and a picture of the glass beside it.

Source: OpenSlide `openslide-vendor-trestle.c`: MedScan in the software field, `OverlapsXY` in the description,
micrometres per pixel in the resolution fields, the overview in a file of the same name that ends in `.Full`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from coverslip.geometry import Size
from samples.codecs import jpeg_ycbcr
from samples.pictures import macro
from samples.tiffmaker import TiffMaker, rational, text
from samples.tiled import TILE, page
from samples.tissue import Tissue, shrunk

OVERLAP = 16


def write(path: Path, size: Size = Size(256, 192), *, words: str = "none", seed: int = 0) -> Path:
    """Write two levels and the overview; `words` is what stands in the description, `size` that of the stored base."""
    columns, rows = _lapped(size.width, TILE.width), _lapped(size.height, TILE.height)
    pixels = Tissue(size, seed, 1.0).crop(0, 0, int(columns[-1]) + 1, int(rows[-1]) + 1)
    small = shrunk(pixels, 2)
    said = f"Background Color=E6E6E6;Objective Power=20;OverlapsXY= {OVERLAP} {OVERLAP} 0 0;{words}=x"
    resolution = (rational(282, 46, 100), rational(283, 46, 100))
    with TiffMaker(path) as maker:
        page(maker, pixels[np.ix_(rows, columns)], text(270, said), text(305, "MedScan"), *resolution)
        page(maker, small, text(305, "MedScan"), *resolution)
    path.with_suffix(".Full").write_bytes(jpeg_ycbcr(macro([words], small, 150, 100), 80))
    return path


def _lapped(length: int, tile: int) -> npt.NDArray[np.intp]:
    """Which pixel of the scene each stored one shows: every tile begins with what the one before ended with."""
    at = np.arange(length)
    return at - at // tile * OVERLAP
