"""The slide reads the same before and after: vendor, resolution, magnification, levels, tiles, colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from coverslip.errors import DamagedSlide
from coverslip.geometry import Mpp
from coverslip.slide import Route
from coverslip.verify import grammar, icc, other_reader, planes
from coverslip.verify.pages import Page
from coverslip.verify.planes import Stack
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding, SlideReading, UtilitySummary
from coverslip.verify.tiff_walk import Ifd, Tiff, raw

MPP_TOLERANCE = 1e-4
DECODING = {
    258: "",
    259: 1,
    262: "",
    266: 1,
    274: 1,
    277: 1,
    284: 1,
    317: 1,
    338: "",
    339: 1,
    529: "",
    530: "",
    531: 1,
    532: "",
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
    front = [page.ifd for page in walked.stack.first] if walked.stack else list(walked.tiff.ifds)
    ifd = front[0] if front else None
    field = ifd.field(tag) if ifd else None
    return raw(walked.file, ifd, field) if ifd and field else b""


def _texts(walked: Walked) -> tuple[str, str]:
    """MPP and magnification as written in the description; without one, the resolution fields' numbers."""
    text = _value(walked, 270).decode("latin-1").rstrip("\0")
    mpp = grammar.pair(text, "MPP") if "|" in text else ""
    return mpp or _resolution_text(walked), grammar.pair(text, "AppMag") if "|" in text else ""


def _resolution_text(walked: Walked) -> str:
    parts = [f"{tag} {_value(walked, tag).hex()}" for tag in (282, 283, 296) if _value(walked, tag)]
    return ", ".join(parts)


def _resolution(walked: Walked) -> Mpp | None:
    """TIFF 6.0 section 8: pixels per inch (2) or per centimetre (3)."""
    order = walked.tiff.byteorder
    unit = {2: 25400.0, 3: 10000.0}.get(int.from_bytes(_value(walked, 296)[:2], order) or 2, 0.0)
    ratios = []
    for tag in (282, 283):
        value = _value(walked, tag)
        above, below = int.from_bytes(value[:4], order), int.from_bytes(value[4:8], order)
        ratios.append(unit * below / above if above and below else 0.0)
    return Mpp(ratios[0], ratios[1]) if all(ratios) else None


def _finding(where: str, detail: str) -> Finding:
    return Finding("utility", "reads-differently", where, detail)


def _same(before: SlideReading, after: SlideReading) -> Iterator[Finding]:
    for name in SlideReading.__slots__:
        if name != "planes" and getattr(before, name) != getattr(after, name):
            yield _finding(name.replace("_", " "), "reads differently before and after")


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


def _far(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(before - after) > MPP_TOLERANCE * before


def _decoding(source: Walked, clean: Walked) -> Iterator[Finding]:
    """Levels of equal size must be decoded by equal rules."""
    unused = list(source.levels)
    for page in clean.levels:
        match = next((other for other in unused if (other.size, other.tile) == (page.size, page.tile)), None)
        if match is None:
            continue
        unused.remove(match)
        for tag, default in DECODING.items():
            if _numbers(source, match.ifd, tag, default) != _numbers(clean, page.ifd, tag, default):
                yield _finding(f"{page.path}/{tag}", "tells a decoder something else than before")


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
