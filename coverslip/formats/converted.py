"""Every slide OpenSlide reads and we have no reader of our own for: pixels, numbers, and what must not survive.

Source: OpenSlide 4.0 API and property names. OpenSlide's own messages may quote values and paths, so none of them
leaves this file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import openslide
from openslide.lowlevel import OpenSlideError, OpenSlideUnsupportedFormatError
from PIL import Image

from coverslip.elements import Inventory
from coverslip.errors import DamagedSlide, LimitExceeded, UnsupportedSlide
from coverslip.formats.companions import companions
from coverslip.formats.contract import Probe
from coverslip.formats.landing import entry
from coverslip.formats.openslide_elements import inventory
from coverslip.formats.series import representative
from coverslip.geometry import Mpp, Point, Region, Size
from coverslip.slide import Level, Route, SlideFacts
from coverslip.tiff.structure import MAX_PIXELS, MAX_SIDE

Pixels = npt.NDArray[np.uint8]

MAX_LEVELS: Final = 64
MAX_READ_PIXELS: Final = 64 << 20
CACHE_BYTES: Final = 32 << 20
ANYBODY_S_PIXELS: Final = 1 << 28
"""Pixels of all levels that a file of any size may have."""
PIXELS_PER_BYTE: Final = 20_000
"""Beyond those, what a byte may stand for: every pixel is written, also where words claim glass nobody scanned. 10 MB
on a whole glass at 40× are a fifth of it."""
_BAND: Final = 256
OWN_READERS: Final = frozenset({"aperio", "generic-tiff"})
"""OpenSlide's words for what our own readers take, losslessly."""


class ConvertedSlide:
    """One slide open through OpenSlide. Reads are safe from several threads at once."""

    route = Route.CONVERTED

    def __init__(self, path: Path) -> None:
        """Open `path`, a file or a folder with one DICOM series.

        Raises UnsupportedSlide, DamagedSlide, LimitExceeded, UnknownStructure.
        """
        self.path = path
        self._entry = representative(path)
        with _typed("open"):
            self._slide = openslide.OpenSlide(self._entry)
            self._slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
            self._downsamples = self._slide.level_downsamples
            self.facts = _facts(self._slide)
        self._check_extent()
        background = self.facts.background or "FFFFFF"
        self._background = np.frombuffer(bytes.fromhex(background), np.uint8).astype(np.uint16)

    def inventory(self) -> Inventory:
        """Every element OpenSlide, the file's own structure and its companion files show."""
        with _typed("inventory"):
            return inventory(self._slide, self.path, self._entry, self.facts)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file the slide consists of: the one OpenSlide opens, then its companions by name."""
        return (self._entry, *companions(self._entry, self.facts.vendor))

    def _check_extent(self) -> None:
        pixels = sum(level.size.area for level in self.facts.levels)
        if pixels > ANYBODY_S_PIXELS:
            stored = sum(file.stat().st_size for file in self.files)
            if pixels > PIXELS_PER_BYTE * stored:
                raise LimitExceeded("more pixels than anything stored could be", where="level[0]")

    def icc_profile(self) -> bytes:
        """The base level's ICC profile as it stands in the source; empty when there is none."""
        with _typed("icc"):
            picture = self._slide.read_region((0, 0), len(self._downsamples) - 1, (1, 1))
        found = picture.info.get("icc_profile", b"")
        return found if isinstance(found, bytes) else b""

    def read(self, level: int, region: Region) -> Pixels:
        """Pixels of a region of one level, height × width × RGB; what was never scanned has the background's colour.

        Raises DamagedSlide when OpenSlide cannot decode it, LimitExceeded for more than `MAX_READ_PIXELS`.
        """
        if region.size.area > MAX_READ_PIXELS:
            raise LimitExceeded("a region is too large to read at once", where=f"level[{level}]")
        downsample = self._downsamples[level]
        first = Point(entry(region.origin.x, downsample), entry(region.origin.y, downsample))
        skip = Point(region.origin.x - first.x, region.origin.y - first.y)
        place = (round(first.x * downsample), round(first.y * downsample))
        size = (region.size.width + skip.x, region.size.height + skip.y)
        with _typed(f"level[{level}]"):
            picture = self._slide.read_region(place, level, size)
        return self._opaque(picture, skip, region.size)

    def _opaque(self, picture: Image.Image, skip: Point, size: Size) -> Pixels:
        """The wanted part without alpha, band by band so that a second copy of the whole never exists."""
        rgb = np.empty((size.height, size.width, 3), np.uint8)
        for top in range(0, size.height, _BAND):
            bottom = min(top + _BAND, size.height)
            band = picture.crop((skip.x, skip.y + top, skip.x + size.width, skip.y + bottom))
            rgb[top:bottom] = np.asarray(band.convert("RGB"))
            if band.getchannel("A").getextrema() != (255, 255):
                self._lay_on_background(rgb[top:bottom], np.asarray(band))
        return rgb

    def _lay_on_background(self, rgb: Pixels, rgba: Pixels) -> None:
        """Mix what is not opaque with the background, in place."""
        clear = rgba[..., 3] != 255
        alpha = rgba[..., 3][clear].astype(np.uint16)[:, None]
        rgb[clear] = (rgba[..., :3][clear] * alpha + self._background * (255 - alpha) + 127) // 255

    def close(self) -> None:
        """Release the slide."""
        self._slide.close()

    def __enter__(self) -> ConvertedSlide:
        """The slide itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class ConvertedReader:
    """The last line of the readers' table: whatever OpenSlide reads and no reader of our own takes."""

    name = "converted"
    title = "Hamamatsu, MIRAX, Leica, Philips, Ventana, Zeiss, Sakura, Trestle and DICOM, as OpenSlide reads them"
    suffixes = (
        ".ndpi", ".vms", ".vmu", ".mrxs", ".scn", ".bif", ".tif", ".tiff", ".svslide", ".czi", ".dcm",
    )  # fmt: skip
    route = Route.CONVERTED

    def detect(self, probe: Probe) -> str | None:
        """None when this reader takes the file; otherwise one sentence why not."""
        vendor = probe.openslide_vendor
        if vendor is None:
            return "OpenSlide does not recognise it"
        if vendor in OWN_READERS:
            return f"it is {vendor}, which has a reader of its own"
        return None

    def open(self, path: Path) -> ConvertedSlide:
        """Open the slide. Raises UnsupportedSlide, DamagedSlide, LimitExceeded, UnknownStructure."""
        return ConvertedSlide(path)


READER: Final = ConvertedReader()


@contextmanager
def _typed(where: str) -> Iterator[None]:
    """OpenSlide's errors as ours; the original is cut off because its text may quote the file."""
    try:
        yield
    except OpenSlideUnsupportedFormatError:
        raise UnsupportedSlide("OpenSlide does not recognise the file", where=where) from None
    except OpenSlideError:
        raise DamagedSlide("OpenSlide cannot read the file", where=where) from None


def _facts(slide: openslide.OpenSlide) -> SlideFacts:
    properties = slide.properties
    vendor = properties[openslide.PROPERTY_NAME_VENDOR]
    return SlideFacts(
        vendor=vendor,
        container=vendor,
        levels=_levels(slide),
        mpp=_mpp(properties),
        magnification=_number(properties, openslide.PROPERTY_NAME_OBJECTIVE_POWER),
        background=_colour(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "")),
    )


def _levels(slide: openslide.OpenSlide) -> tuple[Level, ...]:
    if slide.level_count > MAX_LEVELS:
        raise LimitExceeded(f"more than {MAX_LEVELS} levels", where="level")
    sizes = [Size(*size) for size in slide.level_dimensions]
    for index, size in enumerate(sizes):
        if max(size.width, size.height) > MAX_SIDE or size.area > MAX_PIXELS:
            raise LimitExceeded("a level is too large", where=f"level[{index}]")
        if min(size.width, size.height) < 1:
            raise DamagedSlide("a level has no extent", where=f"level[{index}]")
    tiles = [_tile(slide.properties, index) for index in range(len(sizes))]
    return tuple(map(Level, sizes, tiles, slide.level_downsamples))


def _tile(properties: Mapping[str, str], level: int) -> Size:
    """The stored tile; OpenSlide keeps silent where tiles have no regular grid (MIRAX)."""
    sides = [properties.get(f"openslide.level[{level}].tile-{side}", "") for side in ("width", "height")]
    if not all(side.isascii() and side.isdigit() and 0 < int(side) <= MAX_SIDE for side in sides):
        return Size(256, 256)
    return Size(int(sides[0]), int(sides[1]))


def _mpp(properties: Mapping[str, str]) -> Mpp | None:
    x = _number(properties, openslide.PROPERTY_NAME_MPP_X)
    y = _number(properties, openslide.PROPERTY_NAME_MPP_Y)
    return Mpp(x, y) if x and y else None


def _number(properties: Mapping[str, str], name: str) -> float | None:
    """A positive number below 10 000; None for anything else that may stand there."""
    text = properties.get(name, "")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,24})?([eE]-?\d{1,2})?", text, re.ASCII):
        return None
    value = float(text)
    return value if math.isfinite(value) and 1e-6 < value < 10_000 else None


def _colour(text: str) -> str | None:
    return text.upper() if re.fullmatch(r"[0-9A-Fa-f]{6}", text, re.ASCII) else None
