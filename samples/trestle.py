"""A tiny Trestle TIFF: tiles that overlap by what its description says, and a picture of the glass beside it.

Source: OpenSlide `openslide-vendor-trestle.c`: MedScan in the software field, `OverlapsXY` in the description,
micrometres per pixel in the resolution fields, the overview in a file of the same name that ends in `.Full`.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.geometry import Size
from samples.codecs import jpeg_ycbcr
from samples.pictures import macro
from samples.tiffmaker import TiffMaker, rational, text
from samples.tiled import page
from samples.tissue import Tissue, shrunk

OVERLAP = 16


def write(path: Path, size: Size = Size(256, 192), *, words: str = "none", seed: int = 0) -> Path:
    """Write two levels and the overview; `words` is what stands in the description."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    small = shrunk(pixels, 2)
    said = f"Background Color=E6E6E6;Objective Power=20;OverlapsXY= {OVERLAP} {OVERLAP} 0 0;{words}=x"
    resolution = (rational(282, 46, 100), rational(283, 46, 100))
    with TiffMaker(path) as maker:
        page(maker, pixels, text(270, said), text(305, "MedScan"), *resolution)
        page(maker, small, text(305, "MedScan"), *resolution)
    path.with_suffix(".Full").write_bytes(jpeg_ycbcr(macro([words], small, 150, 100), 80))
    return path
