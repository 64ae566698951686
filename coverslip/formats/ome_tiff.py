"""OME-TIFF: focal planes, channels and moments as pages, levels as SubIFDs of each, all of it told in OME-XML.

Source: OME-TIFF 6.0, OME Data Model 2016-06. The planes come back page by page in the order they had, the block is
written anew; pictures of the glass beside them (label, overview, thumbnail) do not come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coverslip.elements import Element, ImageRole
from coverslip.errors import InputError
from coverslip.formats.contract import Page, Probe
from coverslip.formats.generic_tiff import resolution
from coverslip.formats.tiff_slide import TiffSlide
from coverslip.geometry import Mpp
from coverslip.ome import values
from coverslip.ome.document import is_ome, parse
from coverslip.ome.elements import used_objective
from coverslip.ome.layout import Layout, layout
from coverslip.ome.model import Image
from coverslip.ome.rebuild import OmeDescription
from coverslip.slide import Plane, Planes, Route
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import COPYABLE
from coverslip.tiff.elements import field_elements
from coverslip.tiff.structure import Directory, TiffFile, looks_like_tiff, open_tiff

name = "ome-tiff"
title = "OME-TIFF"
suffixes = (".ome.tif", ".ome.tiff", ".ome.btf")
route = Route.SAME_CONTAINER


def detect(probe: Probe) -> str | None:
    """Takes TIFFs whose first description is OME-XML and whose tiles can be copied."""
    if not looks_like_tiff(probe.head):
        return "not a TIFF file"
    if probe.openslide_vendor not in (None, "generic-tiff"):
        return "a vendor's own reader takes it"
    try:
        tiff = open_tiff(probe.path)
    except InputError:
        return "its directories cannot be read"  # the generic reader says what is wrong
    try:
        if not is_ome(tiff.pages[0].raw(t.IMAGE_DESCRIPTION)):
            return "its first description is no OME-XML"
        tiled = [page for page in tiff.pages if page.tiled]
        if not tiled:
            return "none of its pages is tiled"
        first = tiled[0].compression
        return None if first in COPYABLE else f"compression {first} cannot be copied"
    finally:
        tiff.close()


def open(path: Path) -> OmeSlide:
    """Open the file. Raises what `coverslip.ome` raises for a block that is damaged or says other than the pages."""
    tiff = open_tiff(path)
    try:
        document = parse(tiff.pages[0].raw(t.IMAGE_DESCRIPTION), f"{tiff.pages[0].path}/ImageDescription")
        return OmeSlide(tiff, OmeDescription(document, layout(document, tiff.pages)))
    except InputError:
        tiff.close()
        raise


class OmeSlide(TiffSlide):
    """Pages of the planes with their levels, then pictures of the glass; one description for the whole file."""

    def __init__(self, tiff: TiffFile, description: OmeDescription) -> None:
        """Hold an open file and what its block says."""
        found = description.layout
        super().__init__(
            tiff, name, tuple(_pages(found)), mpp=_mpp(found), magnification=_magnification(description),
            levels=_of_first_plane(found), planes=_planes(found),
        )  # fmt: skip
        self._block = description
        self._first = found.planes[0].page

    def description(self, directory: Directory) -> OmeDescription | None:
        """The block goes to the first plane's page, wherever it stood."""
        return self._block if directory is self._first else None

    def _directory_elements(self, directory: Directory) -> Iterator[Element]:
        """The block's own elements where it stands: in the file's first page."""
        for element in field_elements(self.tiff, directory):
            if element.name == "ImageDescription" and directory is self.tiff.pages[0]:
                yield from self._block.elements(element.path)
            else:
                yield element


def _pages(found: Layout) -> Iterator[Page]:
    for plane in found.planes:
        yield Page(plane.page, ImageRole.BASE)
        yield from (Page(level, ImageRole.LEVEL) for level in plane.levels)
    yield from (Page(level, ImageRole.LEVEL) for level in found.chained)
    for beside in found.beside:
        yield Page(beside.page, ImageRole.LABEL if beside.is_label else ImageRole.OVERVIEW)


def _of_first_plane(found: Layout) -> tuple[Directory, ...]:
    first = next(plane for plane in found.planes if plane.plane == Plane(0, 0, 0))
    return (first.page, *sorted((*first.levels, *found.chained), key=lambda level: -level.size.width))


def _planes(found: Layout) -> Planes:
    image = found.image
    return Planes(image.sizes["Z"], found.channels, image.sizes["T"], image.length("Z"))


def _mpp(found: Layout) -> Mpp | None:
    """What the block says; the page's own resolution where it says nothing."""
    x, y = (found.image.length(axis) for axis in "XY")
    return Mpp(x, y) if x and y else resolution(found.planes[0].page)


def _magnification(description: OmeDescription) -> float | None:
    objective = used_objective(description.document, description.layout.image)
    text = Image.fact(objective, values.OBJECTIVE, "NominalMagnification") if objective else None
    return float(text) if text else None
