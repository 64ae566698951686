"""TIFF of any vendor, also those read through OpenSlide: directories within the limits, XML that cannot grow."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coverslip.errors import DamagedSlide
from coverslip.preflight import xml
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, open_tiff

CLASSIC_END: Final = 1 << 32
"""Beyond it a classic TIFF is a Hamamatsu file with its own widening of offsets, which our walker does not follow."""
_XML: Final = (t.IMAGE_DESCRIPTION, 700)
"""Fields a vendor's reader parses as XML: descriptions, and Ventana's in the XMP field."""


def check(path: Path) -> None:
    """Raise LimitExceeded or DamagedSlide as `open_tiff` and `xml.check` do."""
    try:
        tiff = open_tiff(path)
    except DamagedSlide:
        if path.stat().st_size > CLASSIC_END:
            return
        raise
    try:
        for directory in tiff.walk():
            _check_xml(directory)
    finally:
        tiff.close()


def _check_xml(directory: Directory) -> None:
    for code in _XML:
        raw = directory.raw(code)
        if xml.looks_like_xml(raw):
            xml.check(raw, f"{directory.path}/{t.name_of(code)}")
