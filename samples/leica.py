"""A tiny Leica SCN: a BigTIFF whose first page's description lists images, their pages and where they lie on the glass.

Source: OpenSlide `openslide-vendor-leica.c`; element and attribute names as the SCN400 writes them.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.geometry import Size
from samples.pictures import macro
from samples.tiffmaker import TiffMaker, rational, short, text
from samples.tiled import page
from samples.tissue import Tissue, shrunk

NAMESPACE = "http://www.leica-microsystems.com/scn/2010/10/01"
CLICKS = 500
"""Nanometres a pixel of the base level covers: positions are counted in nanometres."""
GLASS = Size(300_000, 200_000)


def write(path: Path, size: Size = Size(256, 192), *, barcode: str = "none", seed: int = 0) -> Path:
    """Write an overview and one scanned area of two levels; `barcode` is what stands in the description."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    overview = macro(["no words"], shrunk(pixels, 2), 150, 100)
    levels = (overview, pixels, shrunk(pixels, 2))
    with TiffMaker(path, big=True) as maker:
        for number, level in enumerate(levels):
            words = [text(270, _description(size, barcode))] if number == 0 else []
            per_centimetre = 10_000_000 // CLICKS // max(1, number)
            places = (rational(282, per_centimetre, 1), rational(283, per_centimetre, 1), short(296, 3))
            page(maker, level, *words, *places, text(271, "Leica"), text(305, "Leica SCN"))
    return path


def _description(size: Size, barcode: str) -> str:
    overview = _image("overview", GLASS, (0, 0), "0.6", ((Size(150, 100), 0),))
    scanned = Size(size.width * CLICKS, size.height * CLICKS)
    half = Size(size.width // 2, size.height // 2)
    area = _image("area", scanned, (20_000, 30_000), "20", ((size, 1), (half, 2)))
    return (
        f'<?xml version="1.0"?><scn xmlns="{NAMESPACE}" uuid="urn:uuid:2b930baa">'
        f'<collection name="{barcode}" sizeX="{GLASS.width}" sizeY="{GLASS.height}"><barcode>{barcode}</barcode>'
        f"{overview}{area}</collection></scn>"
    )


def _image(name: str, clicks: Size, at: tuple[int, int], objective: str, pages: tuple[tuple[Size, int], ...]) -> str:
    dimensions = "".join(
        f'<dimension sizeX="{size.width}" sizeY="{size.height}" r="{number}" ifd="{ifd}" />'
        for number, (size, ifd) in enumerate(pages)
    )
    return (
        f'<image name="{name}"><creationDate>2011-05-31T09:33:14.31Z</creationDate>'
        f'<device model="Leica SCN400" version="1.4" /><pixels>{dimensions}</pixels>'
        f'<view sizeX="{clicks.width}" sizeY="{clicks.height}" offsetX="{at[0]}" offsetY="{at[1]}" spacingZ="0" />'
        f"<scanSettings><objectiveSettings><objective>{objective}</objective></objectiveSettings>"
        "<illuminationSettings><numericalAperture>0.4</numericalAperture>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"
    )
