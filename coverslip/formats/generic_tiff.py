"""Generic tiled, pyramidal TIFF: levels by geometry, everything else is words.

Source: TIFF 6.0 §15; TIFF Technical Note 1 (levels as SubIFDs). Resolution comes from tags 282, 283 and 296.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.elements import ImageRole
from coverslip.errors import InputError, UnknownStructure
from coverslip.formats.contract import Page, Probe
from coverslip.formats.tiff_slide import TiffSlide
from coverslip.geometry import Mpp
from coverslip.slide import Route
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import COPYABLE
from coverslip.tiff.shapes import is_undenied_level
from coverslip.tiff.structure import Directory, TiffFile, looks_like_tiff, open_tiff

name = "generic-tiff"
title = "Generic tiled TIFF"
suffixes = (".tif", ".tiff", ".btf")
route = Route.SAME_CONTAINER

CENTIMETRE, INCH = 3, 2


def detect(probe: Probe) -> str | None:
    """Takes tiled TIFFs that no vendor claims and whose tiles can be copied."""
    if not looks_like_tiff(probe.head):
        return "not a TIFF file"
    if probe.openslide_vendor not in (None, "generic-tiff"):
        return "a vendor's own reader takes it"
    try:
        tiff = open_tiff(probe.path)
    except InputError:
        return None  # opening it says what is wrong
    try:
        first = tiff.pages[0]
        if not first.tiled:
            return "its first page is not tiled"
        return None if first.compression in COPYABLE else f"compression {first.compression} cannot be copied"
    finally:
        tiff.close()


def open(path: Path) -> TiffSlide:
    """Open the file. Raises UnknownStructure for a page that is not a level of the first one."""
    tiff = open_tiff(path)
    try:
        pages = _pages(tiff)
        return TiffSlide(tiff, name, pages, mpp=resolution(pages[0].directory), magnification=None)
    except InputError:
        tiff.close()
        raise


def _pages(tiff: TiffFile) -> tuple[Page, ...]:
    base = tiff.pages[0]
    if base.number(t.NEW_SUBFILE_TYPE) != 0:
        raise UnknownStructure("the first page says that it is not the scan itself", where=base.path)
    if not base.tiled:
        raise UnknownStructure("the first page is not tiled", where=base.path)
    below = [child for child in base.children if child.has_pixels and is_undenied_level(child, base)]
    found = [Page(base, ImageRole.BASE), *(Page(child, ImageRole.LEVEL) for child in below)]
    for directory in tiff.pages[1:]:
        if not is_undenied_level(directory, base):
            raise UnknownStructure("nobody can tell what this page shows", where=directory.path)
        found.append(Page(directory, ImageRole.LEVEL))
    return tuple(sorted(found, key=lambda page: -page.directory.size.width))


def resolution(directory: Directory) -> Mpp | None:
    """Micrometres per pixel as a page's resolution fields say them (TIFF 6.0 §8); None where they say nothing."""
    micrometres = {CENTIMETRE: 10_000.0, INCH: 25_400.0}.get(directory.number(t.RESOLUTION_UNIT, INCH))
    x, y = (_rational(directory, code) for code in (t.X_RESOLUTION, t.Y_RESOLUTION))
    return Mpp(micrometres / x, micrometres / y) if micrometres and x and y else None


def _rational(directory: Directory, code: int) -> float:
    raw = directory.raw(code)
    if len(raw) != 8 or directory.fields[code].type != t.RATIONAL:
        return 0.0
    byteorder = "little" if directory.order == "<" else "big"
    top, bottom = (int.from_bytes(raw[i : i + 4], byteorder) for i in (0, 4))  # type: ignore[arg-type]
    return top / bottom if bottom else 0.0
