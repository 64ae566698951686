"""Planes against pages: which page of the file is which focal plane, channel and moment, and what else lies beside.

Source: OME-TIFF 6.0, "The TiffData element" and "Sub-resolutions" (levels are SubIFDs of each plane's page). What the
block says of a page has to be what the page says of itself; readers differ in whom they believe where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from coverslip.errors import DamagedSlide, UnknownStructure, UnsupportedSlide
from coverslip.ome.document import Document
from coverslip.ome.model import PREFIX, Image, TiffData, images
from coverslip.slide import Plane
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import COPYABLE
from coverslip.tiff.shapes import is_undenied_level, says_otherwise
from coverslip.tiff.structure import Directory

BITS: Final = {"uint8": 8, "uint16": 16}
UNSIGNED: Final = 1
SCENE: Final = 4.0
"""A picture whose pixels are not that many times larger than the slide's is a scan of its own, not of the glass."""

_LABEL: Final = re.compile(r"label|barcode", re.IGNORECASE)
_GLASS: Final = re.compile(r"label|barcode|macro|overview|thumbnail|preview", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlanePage:
    """One plane, its page and the levels below it."""

    plane: Plane
    page: Directory = field(repr=False)
    levels: tuple[Directory, ...] = field(repr=False)
    """Largest first."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A picture of the glass: label, overview or thumbnail. Only its words could tell which, so they are a hint."""

    page: Directory = field(repr=False)
    is_label: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The slide's own image, plane by plane."""

    image: Image
    samples: int
    channels: int
    """As readers count them: an RGB picture is one."""
    planes: tuple[PlanePage, ...]
    """In the order of the file's pages."""
    chained: tuple[Directory, ...]
    """Levels of the only plane that stand in the chain of pages, as before OME-TIFF 6.0."""
    beside: tuple[Beside, ...]


def layout(document: Document, pages: Sequence[Directory]) -> Layout:
    """Find the slide among the images and its planes among the pages.

    Raises UnsupportedSlide for planes in other files or samples that are not 8 or 16 bits unsigned, UnknownStructure
    for an image or page nobody understands, DamagedSlide where block and pages contradict each other.
    """
    found = images(document)
    own = document.root.get("UUID")
    places = [_places(image, pages, own) for image in found]
    _check_once(places)
    base = _base(found, places, pages)
    planes = _planes(found[base], places[base], pages)
    beside = [
        _beside(image, found[base], planes[0], [pages[at] for at in places[number]])
        for number, image in enumerate(found)
        if number != base
    ]
    named = set().union(*places)
    chained = tuple(_chained(page, planes) for number, page in enumerate(pages) if number not in named)
    samples = planes[0].page.number(t.SAMPLES_PER_PIXEL, 1)
    channels = found[base].sizes["C"] // samples
    return Layout(found[base], samples, channels, planes, chained, tuple(beside))


def _places(image: Image, pages: Sequence[Directory], own: str) -> dict[int, Plane]:
    """Page number → plane."""
    if not image.data:
        raise DamagedSlide("an image does not say where its planes are", where=image.where)
    first = next((data.ifd or 0 for data in image.data), 0)
    sizes = {**image.sizes, "C": image.sizes["C"] // _samples(image, pages, first)}
    found: dict[int, Plane] = {}
    taken: set[Plane] = set()
    for data in image.data:
        if data.uuid is not None and data.uuid != (own or image.data[0].uuid):
            raise UnsupportedSlide("some planes lie in other files", where=image.where)
        for ifd, plane in _run(image, data, sizes, len(pages)):
            if ifd in found or plane in taken:
                raise DamagedSlide("a plane or its page is named twice", where=image.where)
            found[ifd] = plane
            taken.add(plane)
    if len(taken) != sizes["Z"] * sizes["C"] * sizes["T"]:
        raise DamagedSlide("some planes are not there", where=image.where)
    return found


def _samples(image: Image, pages: Sequence[Directory], first: int) -> int:
    """Samples per pixel, where the block and the page agree."""
    if first >= len(pages):
        raise DamagedSlide("a plane's page is not there", where=image.where)
    stored, declared = pages[first].number(t.SAMPLES_PER_PIXEL, 1), image.declared_samples
    total, named = image.sizes["C"], len(image.channels)
    each_named = declared in (0, 1) and stored > 1 and named == total == stored  # three channels for red, green, blue
    if (declared not in (0, stored) and not each_named) or total % max(1, stored):
        raise DamagedSlide("channels and samples contradict the page", where=image.where)
    if named and named != total // stored and not each_named:
        raise DamagedSlide("there are not as many channels as the sizes ask for", where=image.where)
    return stored


def _run(image: Image, data: TiffData, sizes: Mapping[str, int], pages: int) -> list[tuple[int, Plane]]:
    """The pages and planes of one TiffData."""
    axes = image.order[2:]
    if any(data.first[axis] >= sizes[axis] for axis in axes):
        raise DamagedSlide("a plane lies outside of its image", where=image.where)
    start, stride = 0, 1
    for axis in axes:
        start += data.first[axis] * stride
        stride *= sizes[axis]
    ifd = data.ifd or 0
    everything = data.ifd is None and data.count is None
    count = min(pages, stride - start) if everything else 1 if data.count is None else data.count
    if not count or start + count > stride or ifd + count > pages:
        raise DamagedSlide("more planes or pages than there are", where=image.where)
    return [(ifd + i, _plane(start + i, axes, sizes)) for i in range(count)]


def _plane(index: int, axes: str, sizes: Mapping[str, int]) -> Plane:
    at = {}
    for axis in axes:
        index, at[axis] = divmod(index, sizes[axis])
    return Plane(at["Z"], at["C"], at["T"])


def _check_once(places: Sequence[Mapping[int, Plane]]) -> None:
    if sum(map(len, places)) != len(set().union(*places)):
        raise DamagedSlide("two images share a page", where=PREFIX)


def _base(found: Sequence[Image], places: Sequence[Mapping[int, Plane]], pages: Sequence[Directory]) -> int:
    """The largest image whose pages are tiled."""
    tiled = [number for number in range(len(found)) if pages[min(places[number])].tiled]
    if not tiled:
        raise UnsupportedSlide("no image is tiled", where=PREFIX)
    return max(tiled, key=lambda number: (found[number].size.area, -number))


def _planes(image: Image, places: Mapping[int, Plane], pages: Sequence[Directory]) -> tuple[PlanePage, ...]:
    planes = tuple(_plane_page(image, places[at], pages[at]) for at in sorted(places))
    first = planes[0]
    for found in planes[1:]:
        if _form(found.page) != _form(first.page):
            raise DamagedSlide("planes are stored in different forms", where=found.page.path)
        if [level.size for level in found.levels] != [level.size for level in first.levels]:
            raise DamagedSlide("planes have different levels", where=found.page.path)
    return planes


def _plane_page(image: Image, plane: Plane, page: Directory) -> PlanePage:
    if page.size != image.size:
        raise DamagedSlide("the block says another size than the page", where=page.path)
    if image.type not in BITS:
        raise UnsupportedSlide("samples are not 8 or 16 bits unsigned", where=page.path)
    if page.number(t.NEW_SUBFILE_TYPE) != 0 or says_otherwise(page):
        raise UnknownStructure("a plane's page says that it is not the scan itself", where=page.path)
    bits = set(page.numbers(t.BITS_PER_SAMPLE).tolist() or [1])
    if bits != {BITS[image.type]} or set(page.numbers(t.SAMPLE_FORMAT).tolist()) - {UNSIGNED}:
        raise DamagedSlide("the block says another type than the page", where=page.path)
    if not page.tiled or page.compression not in COPYABLE:
        raise UnsupportedSlide("a plane is not tiled, or its tiles cannot be copied", where=page.path)
    levels = [child for child in page.children if child.has_pixels and is_undenied_level(child, page)]
    if any(set(child.numbers(t.BITS_PER_SAMPLE).tolist()) != bits for child in levels):
        raise DamagedSlide("a level has other samples than its plane", where=page.path)
    return PlanePage(plane, page, tuple(sorted(levels, key=lambda level: -level.size.width)))


def _form(page: Directory) -> tuple[object, ...]:
    codes = (t.PHOTOMETRIC, t.PLANAR_CONFIGURATION, t.SAMPLES_PER_PIXEL)
    return page.tile_size, *(page.number(code) for code in codes)


def _beside(image: Image, base: Image, plane: PlanePage, pages: Sequence[Directory]) -> Beside:
    """One more image, if it is a picture of the glass: a single small plane without levels, seen from further away.

    Raises UnknownStructure for anything else: a second scene is science, and may not be lost.
    """
    page = pages[0]
    single = len(pages) == 1 and image.type == "uint8" and page.number(t.SAMPLES_PER_PIXEL, 1) in (1, 3, 4)
    pyramidal = any(child.has_pixels for child in page.children)
    if not single or pyramidal or image.size.area >= base.size.area or not _seen_from_afar(image, base, plane):
        raise UnknownStructure("nobody can tell what this image shows", where=image.where)
    return Beside(page, _LABEL.search(image.node.get("Name")) is not None)


def _seen_from_afar(image: Image, base: Image, plane: PlanePage) -> bool:
    """By resolution where both say theirs; else by the structure of the slide beside it, or at last by its name."""
    own, full = image.length("X"), base.length("X")
    if own is not None and full is not None:
        return own >= SCENE * full
    told_apart = own is None and (full is not None or bool(plane.levels))
    return told_apart or _GLASS.search(image.node.get("Name")) is not None


def _chained(page: Directory, planes: Sequence[PlanePage]) -> Directory:
    if len(planes) > 1 or not page.has_pixels or not is_undenied_level(page, planes[0].page):
        raise UnknownStructure("nobody can tell what this page shows", where=page.path)
    return page
