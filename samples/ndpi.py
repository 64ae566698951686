"""A tiny Hamamatsu NDPI: one JPEG strip a level, a macro picture, and the private tags OpenSlide asks for.

Source: OpenSlide `openslide-vendor-hamamatsu.c`: tag 65420 marks the format, 65421 holds the lens (-1 is the macro).
"""

from __future__ import annotations

from pathlib import Path

from coverslip.geometry import Size
from samples.codecs import jpeg_ycbcr
from samples.pictures import macro
from samples.tiffmaker import Tag, TiffMaker, long, rational, short, text
from samples.tissue import Pixels, Tissue, shrunk

FORMAT, LENS, REFERENCE = 65420, 65421, 65427
SIGNED, FLOAT = 9, 11
MAGNIFICATION = 20.0


def write(path: Path, size: Size = Size(256, 192), *, reference: str = "none", seed: int = 0) -> Path:
    """Write two levels and a macro; `reference` is what stands in the slide's reference tag."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    with TiffMaker(path) as maker:
        _page(maker, pixels, MAGNIFICATION, reference)
        _page(maker, shrunk(pixels, 2), MAGNIFICATION / 2, reference)
        _page(maker, macro(["no words"], shrunk(pixels, 2), 320, 108), -1.0, reference)
    return path


def _page(maker: TiffMaker, pixels: Pixels, lens: float, reference: str) -> None:
    height, width, _ = pixels.shape
    strips = maker.tiles()
    strips.append(jpeg_ycbcr(pixels, 80))
    maker.ifd(
        [
            long(256, width), long(257, height), short(258, 8, 8, 8), short(259, 7), short(262, 6), short(277, 3),
            maker.pointers(273, strips.offsets), maker.pointers(279, strips.counts), long(278, height),
            short(284, 1), rational(282, 20000, 1), rational(283, 20000, 1), short(296, 3),
            text(271, "Hamamatsu"), text(272, "C9600-12"), long(FORMAT, 1),
            Tag(LENS, FLOAT, (lens,)), *(Tag(place, SIGNED, (0,)) for place in (65422, 65423, 65424)),
            text(REFERENCE, reference),
        ]
    )  # fmt: skip
