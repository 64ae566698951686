"""Which page is which plane, as the verifier works it out for itself, and whether planes read as before.

Source: OME-TIFF 6.0, "The TiffData element" and "Sub-resolutions".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from coverslip.geometry import Size
from coverslip.verify import ome
from coverslip.verify.ome import Tag
from coverslip.verify.pages import Page, is_level_of, levels_below
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding, PlanesReading
from coverslip.verify.tiff_walk import IfdKind, Tiff, raw

DESCRIPTION = 270
MAX_PLANES = 1 << 16


@dataclass(frozen=True, slots=True)
class Stack:
    """The planes of one slide."""

    pages: tuple[Page, ...] = field(repr=False)
    """All levels of all planes, largest first, plane by plane in the order of the file's pages."""
    keys: tuple[str, ...]
    """What each of them is: `z 2, channel 0, t 0, level 1`."""
    reading: PlanesReading

    @property
    def first(self) -> tuple[Page, ...]:
        """The levels of the first plane's page."""
        return self.pages[: len(self.reading.levels)]

    @property
    def each(self) -> tuple[tuple[Page, ...], ...]:
        """The levels of each plane."""
        step = len(self.reading.levels)
        return tuple(self.pages[at : at + step] for at in range(0, len(self.pages), step))


def block(file: Bytes, tiff: Tiff) -> bytes:
    """The first page's description; empty when there is none or it is beyond any length."""
    ifd = tiff.ifds[0] if tiff.ifds else None
    found = ifd.field(DESCRIPTION) if ifd else None
    return raw(file, ifd, found) if ifd and found and found.size <= ome.MAX_BYTES else b""


def stack_of(file: Bytes, tiff: Tiff, pages: Sequence[Page]) -> Stack | None:
    """The planes an OME-XML block tells of; None without a block, or when block and pages do not go together."""
    found = ome.read(block(file, tiff))
    if found is None:
        return None
    chain = [page for page in pages if page.ifd.kind is IfdKind.PAGE]
    told = [_told(image, chain) for image in found[0].all("Image")]
    tiled = [image for image in told if image is not None and image.pages[0][1].tiled]
    if not tiled or None in told:
        return None
    return _stack(max(tiled, key=lambda image: image.size.area), found[0], pages)


@dataclass(frozen=True, slots=True)
class _Told:
    """One image of the block with the pages of its planes."""

    tag: Tag
    pixels: Tag
    size: Size
    counts: tuple[int, int, int]
    """Z, channels as readers count them, T."""
    pages: tuple[tuple[tuple[int, int, int], Page], ...]


def _told(image: Tag, chain: Sequence[Page]) -> _Told | None:
    pixels = image.all("Pixels")
    numbers = {axis: _whole(pixels[0], f"Size{axis}") for axis in "XYZCT"} if pixels else {}
    order = pixels[0].get("DimensionOrder")[2:] if pixels else ""
    if not numbers or 0 in numbers.values() or sorted(order) != ["C", "T", "Z"]:
        return None
    places = _places(pixels[0], order, numbers, chain)
    if places is None:
        return None
    samples = chain[min(places)].samples
    counts = (numbers["Z"], numbers["C"] // samples, numbers["T"])
    found = tuple((places[at], chain[at]) for at in sorted(places))
    return _Told(image, pixels[0], Size(numbers["X"], numbers["Y"]), counts, found)


def _places(
    pixels: Tag, order: str, numbers: dict[str, int], chain: Sequence[Page]
) -> dict[int, tuple[int, int, int]] | None:
    """Page number → z, channel, t; None unless every plane has exactly one page of its own."""
    data = pixels.all("TiffData")
    first = _whole(data[0], "IFD") if data else len(chain)
    if first >= len(chain):
        return None
    sizes = {**numbers, "C": max(1, numbers["C"] // chain[first].samples)}
    total = sizes["Z"] * sizes["C"] * sizes["T"]
    places: dict[int, int] = {}
    for tag in data:
        start = sum(_whole(tag, f"First{axis}") * _stride(order, axis, sizes) for axis in order)
        ifd, count = _whole(tag, "IFD"), _count(tag, len(chain), total - start)
        if total > MAX_PLANES or not 0 < count <= total - start or ifd + count > len(chain):
            return None
        if any(ifd + at in places for at in range(count)):
            return None
        places |= {ifd + at: start + at for at in range(count)}
    if sorted(places.values()) != list(range(total)):
        return None
    return {ifd: _plane(index, order, sizes) for ifd, index in places.items()}


def _stride(order: str, axis: str, sizes: dict[str, int]) -> int:
    stride = 1
    for faster in order[: order.index(axis)]:
        stride *= sizes[faster]
    return stride


def _plane(index: int, order: str, sizes: dict[str, int]) -> tuple[int, int, int]:
    at = {axis: index // _stride(order, axis, sizes) % sizes[axis] for axis in order}
    return at["Z"], at["C"], at["T"]


def _count(tag: Tag, pages: int, left: int) -> int:
    """As many as are named; one when only the page is; all there are when nothing is."""
    named = tag.get("PlaneCount") or tag.get("NumPlanes")
    if named:
        return int(named) if named.isdecimal() else 0
    return 1 if tag.get("IFD") else min(pages, left)


def _whole(tag: Tag, name: str) -> int:
    text = tag.get(name)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def _stack(told: _Told, root: Tag, pages: Sequence[Page]) -> Stack | None:
    chain = [page for page in pages if page.ifd.kind is IfdKind.PAGE] if len(told.pages) == 1 else []
    groups = [(plane, (page, *_smaller(page, chain, pages))) for plane, page in told.pages]
    sizes = {tuple(page.size for page in found) for _, found in groups}
    if len(sizes) != 1 or groups[0][1][0].size != told.size:
        return None
    keys = [
        f"z {plane[0]}, channel {plane[1]}, t {plane[2]}, level {number}"
        for plane, found in groups
        for number in range(len(found))
    ]
    every = tuple(page for _, found in groups for page in found)
    return Stack(every, tuple(keys), _reading(told, root, sizes.pop(), groups[0][1][0].samples))


def _smaller(plane: Page, chain: Sequence[Page], pages: Sequence[Page]) -> list[Page]:
    """Levels below a plane and, of a plane that is the only one, in the chain of pages; largest first."""
    chained = [page for page in chain if page is not plane and is_level_of(page, plane)]
    return sorted((*levels_below(plane, pages), *chained), key=lambda page: -page.size.width)


def _reading(told: _Told, root: Tag, levels: tuple[Size, ...], samples: int) -> PlanesReading:
    pixels, channels = told.pixels, told.pixels.all("Channel")
    objective = _objective(root, told.tag)
    return PlanesReading(
        counts=told.counts,
        samples=samples,
        type=pixels.get("Type") or pixels.get("PixelType"),
        significant_bits=_whole(pixels, "SignificantBits"),
        lengths=tuple(_length(pixels, f"PhysicalSize{axis}", "µm") for axis in "XYZ"),
        levels=levels,
        colours=tuple(tag.get("Color") for tag in channels[: told.counts[1]]),
        emissions=tuple(_length(tag, "EmissionWavelength", "nm") for tag in channels[: told.counts[1]]),
        excitations=tuple(_length(tag, "ExcitationWavelength", "nm") for tag in channels[: told.counts[1]]),
        magnification=_number(objective.get("NominalMagnification")) if objective else None,
    )


def _objective(root: Tag, image: Tag) -> Tag | None:
    known = [tag for part in root.all("Instrument") for tag in part.all("Objective")]
    named = {tag.get("ID") for name in ("ObjectiveSettings", "ObjectiveRef") for tag in image.all(name)}
    meant = [tag for tag in known if tag.get("ID") in named]
    return meant[0] if meant else known[0] if len(known) == 1 else None


def _length(tag: Tag, name: str, default: str) -> float | None:
    value = _number(tag.get(name))
    unit = (tag.get(f"{name}Unit") or default).replace("μ", "µ")
    return value * ome.LENGTHS[unit] if value is not None and unit in ome.LENGTHS else None


def _number(text: str) -> float | None:
    try:
        value = float(text) if len(text) < 64 else 0.0
    except ValueError:
        return None
    return value if 0 < value < 1e12 else None


OPTIONAL = ("colours", "emissions", "excitations", "magnification", "significant_bits")
"""What a policy may take away, but nobody may change."""


def compare(before: Stack | None, after: Stack | None) -> Iterator[Finding]:
    """What reads differently."""
    if before is None or after is None:
        if before is not after and (before or after):
            yield _finding("planes", "only one of the two slides says which page is which plane")
        return
    for name in PlanesReading.__slots__:
        old, new = getattr(before.reading, name), getattr(after.reading, name)
        gone = name in OPTIONAL and not (any(new) if isinstance(new, tuple) else new)
        if old != new and not gone:
            yield _finding(f"planes/{name.replace('_', ' ')}", "reads differently before and after")


def _finding(where: str, detail: str) -> Finding:
    return Finding("utility", "reads-differently", where, detail)
