"""Pictures beside the levels, decoded: the source's private ones and whatever the clean slide shows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import openslide
from openslide.lowlevel import OpenSlideError
from PIL import Image

from coverslip.errors import DamagedSlide
from coverslip.verify import other_reader
from coverslip.verify.beginning import Beginning
from coverslip.verify.labels import Picture, small
from coverslip.verify.limits import MAX_PICTURE_PIXELS
from coverslip.verify.pages import Page, level_pages
from coverslip.verify.tiff_walk import IfdKind
from coverslip.verify.views import UNDECODABLE

PRIVATE_NAMES = ("label", "macro", "overview")


def private_pictures(source: Path, pages: Sequence[Page]) -> tuple[Picture, ...]:
    """Label and overview of the source as OpenSlide names them, and every page that is neither level nor thumbnail."""
    found = list(_openslide_pictures(source))
    levels = level_pages(pages)
    for page in (page for number, page in enumerate(pages) if page not in levels and not _is_thumbnail(number, page)):
        found += (picture for picture in _decoded(source, page) if not _seen(picture, found))
    return tuple(found)


def _seen(picture: Picture, found: Sequence[Picture]) -> bool:
    """Whether another decoder gave the very same pixels: most do, and comparing costs more than asking."""
    return any(np.array_equal(picture.full, other.full) for other in found)


def shown_pictures(clean: Path, pages: Sequence[Page]) -> tuple[Picture, ...]:
    """Every picture of the clean slide that is no level; raises `DamagedSlide` for one that cannot be decoded."""
    found = []
    levels = level_pages(pages)
    for page in pages:
        if page in levels:
            continue
        decoded = list(_decoded(clean, page))
        if not decoded:
            raise DamagedSlide("a picture beside the levels cannot be decoded", where=page.path)
        found += decoded
    return tuple(found)


def _is_thumbnail(number: int, page: Page) -> bool:
    """A second, untiled page of subfile type 0 is Aperio's thumbnail (label is type 1, overview type 9)."""
    return number == 1 and not page.tiled and page.subfile == 0 and page.ifd.kind is IfdKind.PAGE


def _openslide_pictures(source: Path) -> Iterator[Picture]:
    slide = other_reader.opened(source)
    if slide is None:
        return
    with slide:
        for name in PRIVATE_NAMES:
            try:
                picture = slide.associated_images.get(name) if _is_small(slide, name) else None
            except OpenSlideError:
                continue
            if picture is not None:
                yield small(f"associated/{name}", picture)


def _is_small(slide: openslide.OpenSlide, name: str) -> bool:
    """True when OpenSlide says the picture's size and it is worth decoding."""
    sides = [slide.properties.get(f"openslide.associated.{name}.{side}", "") for side in ("width", "height")]
    return all(side.isdecimal() for side in sides) and int(sides[0]) * int(sides[1]) <= MAX_PICTURE_PIXELS


def _decoded(path: Path, page: Page) -> Iterator[Picture]:
    """The page as tifffile decodes it; nothing when it cannot."""
    if page.size.area > MAX_PICTURE_PIXELS or page.samples > 4:
        return
    try:
        import tifffile  # costs 200 ms, and slides without further pictures never need it

        with path.open("rb") as file, tifffile.TiffFile(io.BufferedReader(Beginning(file, page.ifd.offset))) as tiff:
            pixels = tiff.pages.first.asarray()
    except UNDECODABLE:
        return
    picture = _as_picture(pixels)
    if picture is not None:
        yield small(page.path, picture)


def _as_picture(pixels: object) -> Image.Image | None:
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        return None
    return Image.fromarray(array)
