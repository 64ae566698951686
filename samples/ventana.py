"""A tiny Ventana BIF: label and thumbnail pages, then levels whose tiles lie as the first level's XML says.

Source: OpenSlide `openslide-vendor-ventana.c`; element and attribute names as the iScan writes them. Tiles are joined
without overlap; the XML numbers them from the lower left in a snake.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.geometry import Size
from samples.pictures import label
from samples.tiffmaker import Tag, TiffMaker, blob, rational, short, text
from samples.tiled import TILE, page
from samples.tissue import Tissue, shrunk

XMP = 700
COLUMNS, ROWS = 4, 2


def write(path: Path, *, user: str = "none", seed: int = 0) -> Path:
    """Write one area of 4 × 2 tiles at three magnifications; `user` is what stands in the XML."""
    size = Size(COLUMNS * TILE.width, ROWS * TILE.height)
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    with TiffMaker(path, big=True) as maker:
        page(maker, label([user], 96, 96), text(270, "Label Image"), _xml(_scan(user)), *_resolution())
        page(maker, shrunk(pixels, 4), text(270, "Thumbnail"), *_resolution())
        page(maker, pixels, text(270, "level=0 mag=40 quality=95"), _xml(_stitching(user)), *_resolution())
        page(maker, shrunk(pixels, 2), text(270, "level=1 mag=20 quality=95"), *_resolution())
        page(maker, shrunk(pixels, 4), text(270, "level=2 mag=10 quality=95"), *_resolution())
    return path


def _xml(words: str) -> Tag:
    return blob(XMP, words.encode())


def _resolution() -> tuple[Tag, ...]:
    return rational(282, 40000, 1), rational(283, 40000, 1), short(296, 3)


def _scan(user: str) -> str:
    return (
        '<iScan Magnification="40" ScanRes="0.25" UnitNumber="BI10N0306" '
        f'UserName="{user}" BuildVersion="3.3.1.1" SlideAnnotation="{user}" ShowLabel="1" LabelBoundary="1000" '
        'Z-layers="1" Z-spacing="1" FocusMode="0" ScanMode="1">'
        '<AOI0 Left="97" Top="471" Right="941" Bottom="1431"/></iScan>'
    )


def _stitching(user: str) -> str:
    area = f'AOIScanned="1" Width="{TILE.width}" Height="{TILE.height}" NumRows="{ROWS}" NumCols="{COLUMNS}"'
    return (
        f'<?xml version="1.0"?><EncodeInfo Ver="2"><SlideInfo BaseName="{user}" JP2FileName="D:/{user}.bif">'
        f'{_scan(user)}</SlideInfo><SlideStitchInfo Left="-1"><ImageInfo {area} Pos-X="0" Pos-Y="0">{_joints()}'
        '</ImageInfo></SlideStitchInfo><AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    )


def _joints() -> str:
    """Each tile with its right and its upper neighbour."""
    beside = ((x, y, x + 1, y, "RIGHT") for y in range(ROWS) for x in range(COLUMNS - 1))
    above = ((x, y, x, y - 1, "UP") for y in range(1, ROWS) for x in range(COLUMNS))
    return "".join(
        f'<TileJointInfo FlagJoined="1" Confidence="99" Direction="{way}" Tile1="{_number(x, y)}" '
        f'Tile2="{_number(to_x, to_y)}" OverlapX="0" OverlapY="0"/>'
        for x, y, to_x, to_y, way in (*beside, *above)
    )


def _number(x: int, y: int) -> int:
    row = ROWS - 1 - y
    return row * COLUMNS + (x if row % 2 == 0 else COLUMNS - 1 - x) + 1
