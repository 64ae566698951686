"""TIFF of any vendor, also those read through OpenSlide: directories within the limits, XML that cannot grow."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.preflight import hamamatsu, xml
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, TiffFile, open_tiff

CLASSIC_END: Final = 1 << 32
"""Beyond it a classic TIFF may be a Hamamatsu file with its own widening of offsets, which has a walk of its own."""
_XML: Final = (t.IMAGE_DESCRIPTION, 700)
"""Fields a vendor's reader parses as XML: descriptions, and Ventana's in the XMP field."""
MAX_TILE_BYTES: Final = 256 << 20
"""Of one stored tile; one of 4096² pixels with three samples of 16 bits needs less than half of it uncompressed."""


def check(path: Path) -> None:
    """Raise LimitExceeded or DamagedSlide as `open_tiff` and `xml.check` do."""
    if path.stat().st_size > CLASSIC_END and hamamatsu.check_large(path):
        return
    tiff = open_tiff(path)
    try:
        strips = any(hamamatsu.FORMAT in page.fields for page in tiff.pages)
        for directory in tiff.walk():
            _check_xml(directory)
            _check_tiles(tiff, directory)
            if strips:
                hamamatsu.check_page(tiff.data, directory)
    finally:
        tiff.close()


def _check_tiles(tiff: TiffFile, directory: Directory) -> None:
    """OpenSlide 4.0.1 allocates what a tile claims to be long, and ends its process when there is not so much."""
    if not directory.tiled or not len(directory.byte_counts):
        return
    longest = int(directory.byte_counts.max())
    if longest > len(tiff.data):
        raise DamagedSlide("a tile is longer than the file", where=f"{directory.path}/TileByteCounts")
    if longest > MAX_TILE_BYTES:
        raise LimitExceeded("a stored tile is too long", where=f"{directory.path}/TileByteCounts")


def _check_xml(directory: Directory) -> None:
    for code in _XML:
        raw = directory.raw(code)
        if xml.looks_like_xml(raw):
            xml.check(raw, f"{directory.path}/{t.name_of(code)}")
