"""Aperio SVS and look-alikes that keep to its structure.

Source: OpenSlide's Aperio format page; the PHI map §3.2. The first page is the base level, the second a stripped
thumbnail, further tiled pages are levels; label and overview follow, told apart by NewSubfileType (1 and 9; levels have
0), because GT450 writes no words on them. Every page of the pyramid repeats the description: lines of header, then
`|key = value`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverslip.decimals import measured
from coverslip.elements import Element, ElementKind, ElementPath, ImageRole
from coverslip.errors import DamagedSlide, UnknownStructure
from coverslip.formats.contract import Page, Probe
from coverslip.formats.tiff_slide import TiffSlide
from coverslip.geometry import Mpp
from coverslip.slide import Route
from coverslip.tiff import tags as t
from coverslip.tiff.shapes import is_level, is_whole_step
from coverslip.tiff.structure import Directory, open_tiff

name = "aperio"
title = "Aperio SVS"
suffixes = (".svs", ".tif")
route = Route.SAME_CONTAINER

SOFTWARE: Final = re.compile(
    r"Aperio (Image Library|Leica Biosystems GT450( ?DX)?|Leica Biosystems)( v(FS90 01|1?\d\.\d\.\d{1,2}))?"
)
"""Programs and versions there are: `v12.0.15`, GT450's `v1.0.1`, and `vFS90 01`."""
_SIZE = r"\d{1,7}x\d{1,7}"
GEOMETRY: Final = re.compile(
    rf"{_SIZE}( \[\d{{1,7}},\d{{1,7}}[ ,]{_SIZE}\])?( \(\d{{1,5}}x\d{{1,5}}\))?( -> {_SIZE})?( -)?"
    r"( JPEG/(RGB|YCC|YCbCr)| J2K/(YUV16|KDU|RGB|YCC))?( Q=(100|\d{1,2}))?"
)
"""The geometry line, each of its parts once: size, crop, tile size, size made of it, codec, quality."""

_LENGTH, _SHIFT, _SIDE = (-1000.0, 1000.0), (-10.0, 10.0), (0, 10_000_000)
NUMBERS: Final[dict[str, tuple[float, float]]] = {
    "AppMag": (0.1, 10_000.0), "MPP": (0.0001, 10_000.0), "StripeWidth": (0, 65535), "Left": _LENGTH, "Top": _LENGTH,
    "LineCameraSkew": _SHIFT, "LineAreaXOffset": _SHIFT, "LineAreaYOffset": _SHIFT, "Focus Offset": _LENGTH,
    "DisplayColor": (0, 0xFFFFFF), "OriginalWidth": _SIDE, "OriginalHeight": _SIDE, "Originalheight": _SIDE,
    "Exposure Time": (0.0, 1e6), "Exposure Scale": (0.0, 1000.0), "Gamma": (0.0, 100.0), "Offset": _LENGTH,
    "Filtered": (0, 1000),
}  # fmt: skip
"""Keys of numbers, each with the least and the greatest it can mean; whole numbers where those are."""
WORDS: Final = frozenset((
    "Filename", "Title", "Barcode", "Accession", "Patient", "ImageID", "DSR ID", "Slide", "Rack", "Webslide Files",
    "CompressedFile", "Label Text", "Date", "Time", "Time Zone", "User", "ScanScope ID", "Scanner ID", "HostComputer",
    "Copyright", "Parmset", "Session Mode", "SessonMode", "ScannerType", "ICC Profile",
))  # fmt: skip
"""Keys whose name may be printed. Any other key is somebody's own words and appears by number only."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the description."""

    path: str
    kind: ElementKind
    understood: bool
    text: str
    """Read as Latin-1, so that every byte survives."""

    @property
    def said(self) -> bytes:
        """As the bytes it was, if those are UTF-8; otherwise in UTF-8."""
        raw = self.text.encode("latin-1")
        try:
            raw.decode()
        except UnicodeDecodeError:
            return self.text.encode()
        return raw


@dataclass(frozen=True, slots=True)
class AperioDescription:
    """Header lines and pairs, in order."""

    header: tuple[Part, ...]
    pairs: tuple[tuple[str, Part], ...]
    """(key as written, part)."""

    def elements(self, path: str) -> tuple[Element, ...]:
        """One element a header line and a pair."""
        parts = [*self.header, *(part for _, part in self.pairs)]
        return tuple(
            Element(ElementPath(f"{path}/{part.path}"), part.kind, part.understood, part.said) for part in parts
        )

    def rebuild(self, path: str, keeps: Callable[[str], bool]) -> bytes:
        """Software line, geometry line, then the pairs that stay with their values exactly as they read.

        Readers know the vendor by the first line: where the program that wrote it is not one we know, the name of
        Aperio's stands there.

        Raises DamagedSlide when one of them is not ASCII, as a TIFF's text has to be.
        """
        kept = [part for part in self.header if keeps(f"{path}/{part.path}")]
        known = any(part.path == "header/software" for part in kept)
        header = [*([] if known else ["Aperio Image Library"]), *(part.text for part in kept)]
        pairs = [f"{key} = {part.text}" for key, part in self.pairs if keeps(f"{path}/{part.path}")]
        text = "|".join(["\r\n".join(header), *pairs])
        if not text.isascii():
            raise DamagedSlide("a value that is kept is not ASCII", where=path)
        return text.encode("ascii")

    def value(self, key: str) -> str:
        """The first value of a key, empty when absent."""
        return next((part.text for found, part in self.pairs if found == key), "")


def detect(probe: Probe) -> str | None:
    """Takes what OpenSlide calls Aperio: the first description begins with the word."""
    if probe.openslide_vendor == "aperio":
        return None
    return "the first description does not begin with Aperio's words"


def open(path: Path) -> TiffSlide:
    """Open an SVS file. Raises UnknownStructure for a page whose role nobody can tell."""
    tiff = open_tiff(path)
    base = tiff.pages[0]
    pages = tuple(Page(directory, _role(i, directory, base)) for i, directory in enumerate(tiff.pages))
    unknown = next((page for page in pages if page.role is ImageRole.UNKNOWN), None)
    if unknown is not None:
        tiff.close()
        raise UnknownStructure("nobody can tell what this page shows", where=unknown.directory.path)
    said = parse(base.text(t.IMAGE_DESCRIPTION))
    mpp = _positive(said.value("MPP"))
    return TiffSlide(
        tiff,
        name,
        pages,
        mpp=Mpp(mpp, mpp) if mpp else None,
        magnification=_positive(said.value("AppMag")),
        describe=lambda directory: parse(directory.text(t.IMAGE_DESCRIPTION)),
    )


def _role(index: int, directory: Directory, base: Directory) -> ImageRole:
    """What a page says it is, by subfile type and then by words, comes before how its pixels are stored.

    A tiled page is a level only when nothing speaks against it: readers that go by tiles alone would show it as one.
    """
    if not directory.has_pixels:
        return ImageRole.UNKNOWN
    said = _ROLES.get(directory.number(t.NEW_SUBFILE_TYPE)) or _role_by_words(directory.text(t.IMAGE_DESCRIPTION))
    if directory.tiled:
        return _tiled_role(directory, base) if said is None else ImageRole.UNKNOWN
    if index == 1 and directory.number(t.NEW_SUBFILE_TYPE) == 0:
        return ImageRole.THUMBNAIL
    return said or ImageRole.UNKNOWN


def _tiled_role(directory: Directory, base: Directory) -> ImageRole:
    if directory.number(t.NEW_SUBFILE_TYPE) != 0:
        return ImageRole.UNKNOWN
    if directory is base:
        return ImageRole.BASE
    level = is_level(directory, base) and is_whole_step(directory.size, base.size)
    return ImageRole.LEVEL if level else ImageRole.UNKNOWN


_ROLES: Final = {1: ImageRole.LABEL, 9: ImageRole.OVERVIEW}
"""By NewSubfileType; levels and the thumbnail have 0."""


def _role_by_words(text: str) -> ImageRole | None:
    """By the words Aperio puts into a line of their own, before any pair."""
    hint = re.search(r"^(label|macro) ", text.partition("|")[0], re.MULTILINE)
    if hint is None:
        return None
    return ImageRole.LABEL if hint[1] == "label" else ImageRole.OVERVIEW


def parse(text: str) -> AperioDescription:
    """Split a description into header lines and pairs; what does not fit the grammar becomes words not understood."""
    head, *pairs = text.split("|")
    return AperioDescription(tuple(_header(head)), tuple(_pairs(pairs)))


def _header(head: str) -> Iterator[Part]:
    """The first software line and the first geometry line; anything else is somebody's words."""
    software = geometry = False
    for i, line in enumerate(part.strip() for part in re.split(r"[\r\n;]+", head)):
        if not line:
            continue
        if not software and SOFTWARE.fullmatch(line):
            software = True
            yield Part("header/software", ElementKind.TEXT, True, line)
        elif not geometry and GEOMETRY.fullmatch(" ".join(line.split())):
            geometry = True
            yield Part("header/geometry", ElementKind.NUMBER, True, " ".join(line.split()))
        else:
            known = bool(SOFTWARE.fullmatch(line) or GEOMETRY.fullmatch(" ".join(line.split())))
            yield Part(f"header/line[{i}]", ElementKind.TEXT, known, line)


def _pairs(pairs: list[str]) -> Iterator[tuple[str, Part]]:
    seen: dict[str, int] = {}
    for pair in pairs:
        key, _, value = (part.strip() for part in pair.partition("="))
        shown = key if key in NUMBERS or key in WORDS else ("CustomField" if key.startswith("CustomField.") else "key")
        seen[shown] = seen.get(shown, 0) + 1
        path = shown if seen[shown] == 1 else f"{shown}#{seen[shown]}"
        known = shown == key
        kind = ElementKind.NUMBER if key in NUMBERS else ElementKind.TEXT
        means = known and (key not in NUMBERS or _is_within(value, *NUMBERS[key]))
        yield key, Part(path, kind, means, value if known else f"{key} = {value}" if value else pair.strip())


def _is_within(text: str, least: float, most: float) -> bool:
    """Whether a text is a measured number within bounds, and a whole one where they are."""
    value = measured(text)
    return value is not None and least <= value <= most and (isinstance(least, float) or text.isdigit())


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e4 else None
