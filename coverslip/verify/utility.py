"""The slide reads the same before and after: vendor, resolution, magnification, levels, tiles, colour."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from coverslip.errors import DamagedSlide
from coverslip.geometry import Mpp
from coverslip.slide import Route
from coverslip.verify import grammar, icc, other_reader, planes, values
from coverslip.verify.pages import Page
from coverslip.verify.planes import Stack
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding, SlideReading, UtilitySummary
from coverslip.verify.tiff_walk import Ifd, Tiff, raw

MPP_TOLERANCE = 1e-4
SAME_RESOLUTION = 1e-7
"""What eight digits of a resolution leave open; nobody can measure it."""
DECODING = {
    258: "",
    259: 1,
    262: "",
    266: 1,
    274: 1,
    277: 1,
    284: 1,
    317: 1,
    339: 1,
    530: "",
    531: 1,
}
"""Tags that say how bytes become colours, with TIFF's default where it has one."""


@dataclass(frozen=True, slots=True)
class Walked:
    """A TIFF with what the verifier's own walk found in it."""

    path: Path
    file: Bytes
    tiff: Tiff
    levels: tuple[Page, ...]
    stack: Stack | None = None


def check_utility(
    clean: Walked, source: Walked | None, source_path: Path | None, route: Route
) -> tuple[UtilitySummary, list[Finding]]:
    """Compare what OpenSlide and the raw texts say; where OpenSlide takes neither, the verifier's own walk."""
    found: list[Finding] = []
    try:
        after = _reading(clean.path, clean)
    except DamagedSlide as error:
        after = _own_reading(clean)
        found.append(Finding("utility", "unreadable", error.where, "OpenSlide opens the slide but cannot read it"))
    if source_path is None or found:
        return UtilitySummary(None, after), found
    before = _reading(source_path, source)
    if not before.vendor and source is not None:
        after = _own_reading(clean)
    if route is Route.CONVERTED:
        return UtilitySummary(before, after), list(_converted(before, after))
    found += _same(before, after)
    if source is not None:
        found += _decoding(source, clean)
        found += planes.compare(source.stack, clean.stack)
    return UtilitySummary(before, after), found


def _reading(path: Path, walked: Walked | None) -> SlideReading:
    found = walked.stack.reading if walked and walked.stack else None
    slide = other_reader.opened(path)
    if slide is None or (found and found.type != "uint8"):  # OpenSlide takes such pages, and then cannot decode some
        return _own_reading(walked) if walked else SlideReading("", None, None, "", "", (), (), (), "", "")
    with slide, other_reader.typed("properties"):
        transform = icc.transform_digest(other_reader.profile(slide))
        reading = other_reader.read_facts(slide, transform, _texts(walked) if walked else ("", ""))
    return replace(reading, planes=found)


def _own_reading(walked: Walked) -> SlideReading:
    levels = walked.stack.first if walked.stack else walked.levels
    profile = _value(walked, 34675)
    return SlideReading(
        vendor="",
        mpp=_resolution(walked),
        magnification=None,
        mpp_text=_texts(walked)[0],
        magnification_text=_texts(walked)[1],
        levels=tuple(page.size for page in levels),
        tiles=tuple(page.tile for page in levels),
        downsamples=tuple(round(levels[0].size.width / page.size.width, 9) for page in levels),
        icc_transform=icc.transform_digest(profile) if profile else "",
        background="",
        planes=walked.stack.reading if walked.stack else None,
    )


def _value(walked: Walked, tag: int) -> bytes:
    """A field of the slide's first page; a picture of the glass may stand in front of it where planes are told of."""
    ifd = _first(walked)
    field = ifd.field(tag) if ifd else None
    return raw(walked.file, ifd, field) if ifd and field else b""


def _first(walked: Walked) -> Ifd | None:
    front = [page.ifd for page in walked.stack.first] if walked.stack else list(walked.tiff.ifds)
    return front[0] if front else None


def _texts(walked: Walked) -> tuple[str, str]:
    """MPP and magnification as written in the description; without one, the resolution fields' numbers."""
    text = _value(walked, 270).decode("latin-1").rstrip("\0")
    mpp = grammar.pair(text, "MPP") if "|" in text else ""
    return mpp, grammar.pair(text, "AppMag") if "|" in text else ""


def _resolution(walked: Walked) -> Mpp | None:
    """TIFF 6.0 section 8: pixels per inch (2) or per centimetre (3)."""
    first = _first(walked)
    unit, *ratios = _per_unit(walked, first) if first else (0, 0.0, 0.0)
    length = {2: 25400.0, 3: 10000.0}.get(unit or 2, 0.0)
    return Mpp(length / ratios[0], length / ratios[1]) if length and all(ratios) else None


def _per_unit(walked: Walked, ifd: Ifd) -> tuple[int, float, float]:
    """Resolution unit and pixels per unit as a page's own fields say; 0 for what they do not."""
    order = walked.tiff.byteorder
    ratios = []
    for tag in (282, 283):
        field = ifd.field(tag)
        value = raw(walked.file, ifd, field) if field else b""
        above, below = int.from_bytes(value[:4], order), int.from_bytes(value[4:8], order)
        ratios.append(above / below if below else 0.0)
    unit = ifd.field(296)
    said = raw(walked.file, ifd, unit) if unit else b""
    return int.from_bytes(said[:2] if order == "little" or len(said) < 4 else said[2:4], order), ratios[0], ratios[1]


def _finding(where: str, detail: str) -> Finding:
    return Finding("utility", "reads-differently", where, detail)


def _same(before: SlideReading, after: SlideReading) -> Iterator[Finding]:
    for name in SlideReading.__slots__:
        if name not in ("mpp", "planes") and getattr(before, name) != getattr(after, name):
            yield _finding(name.replace("_", " "), "reads differently before and after")
    if not _same_resolution(before.mpp, after.mpp):
        yield _finding("mpp", "reads differently before and after")


def _same_resolution(before: Mpp | None, after: Mpp | None) -> bool:
    if before is None or after is None:
        return before is after
    return not (_far(before.x, after.x, SAME_RESOLUTION) or _far(before.y, after.y, SAME_RESOLUTION))


def _converted(before: SlideReading, after: SlideReading) -> Iterator[Finding]:
    if before.levels != after.levels:
        yield _finding("levels", "the converted slide has other levels")
    if _far(before.mpp.x if before.mpp else None, after.mpp.x if after.mpp else None) or _far(
        before.mpp.y if before.mpp else None, after.mpp.y if after.mpp else None
    ):
        yield _finding("mpp", "the converted slide has another resolution")
    if before.magnification is not None and _far(before.magnification, _magnification(after)):
        yield _finding("magnification", "the converted slide has another magnification")
    if after.icc_transform and before.icc_transform != after.icc_transform:
        yield _finding("icc transform", "the converted slide has another colour transform")


def _magnification(reading: SlideReading) -> float | None:
    """As a reader sees it or, since OpenSlide knows none in a generic TIFF, as the description says."""
    if reading.magnification is not None:
        return reading.magnification
    try:
        return float(reading.magnification_text)
    except ValueError:
        return None


def _far(before: float | None, after: float | None, tolerance: float = MPP_TOLERANCE) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(before - after) > tolerance * before


def _decoding(source: Walked, clean: Walked) -> Iterator[Finding]:
    """Levels of equal size must be decoded by equal rules."""
    unused = list(source.levels)
    for page in clean.levels:
        match = next((other for other in unused if (other.size, other.tile) == (page.size, page.tile)), None)
        if match is None:
            continue
        unused.remove(match)
        pairs = zip(_per_unit(source, match.ifd), _per_unit(clean, page.ifd), strict=True)
        if any(abs(old - new) > SAME_RESOLUTION * old for old, new in pairs):
            yield _finding(f"{page.path}/resolution", "reads differently before and after")
        for tag in values.FRACTIONS if values.is_asked_for(page) else ():
            if _fractions(source, match.ifd, tag) != _fractions(clean, page.ifd, tag):
                yield _finding(f"{page.path}/{tag}", "tells a decoder something else than before")
        for tag, default in DECODING.items():
            if _numbers(source, match.ifd, tag, default) != _numbers(clean, page.ifd, tag, default):
                yield _finding(f"{page.path}/{tag}", "tells a decoder something else than before")


def _fractions(walked: Walked, ifd: Ifd, tag: int) -> tuple[Fraction, ...]:
    """A field of fractions, as numbers."""
    field = ifd.field(tag)
    value = raw(walked.file, ifd, field) if field and field.type == 5 else b""
    parts = struct.unpack(f"{walked.tiff.order}{len(value) // 4}I", value)
    return tuple(Fraction(above, below or 1) for above, below in zip(parts[::2], parts[1::2], strict=True))


def _numbers(walked: Walked, ifd: Ifd, tag: int, default: object) -> object:
    """A field's values with their order and width taken out; the default when it is missing."""
    field = ifd.field(tag)
    if field is None:
        return default
    value = raw(walked.file, ifd, field)
    width = max(1, len(value) // max(1, field.count)) if field.type != 5 else 4
    order = walked.tiff.byteorder
    found = [int.from_bytes(value[at : at + width], order) for at in range(0, len(value), width)]
    return default if default != "" and set(found) == {default} else tuple(found)
