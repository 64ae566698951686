"""The images of an OME-XML block: sizes, channels, and where their planes are said to lie.

Source: OME Data Model 2016-06 (Pixels, Channel, TiffData); OME-TIFF 6.0, "The TiffData element".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded, UnknownStructure, UnsupportedSlide
from coverslip.geometry import Size
from coverslip.ome import values
from coverslip.ome.document import Document, Node
from coverslip.tiff.structure import MAX_DIRECTORIES

MAX_IMAGES: Final = 64
PREFIX: Final = "ome"
"""Where the block's parts stand in an inventory: not below a page, since it speaks of all of them."""


@dataclass(frozen=True, slots=True)
class TiffData:
    """Which pages hold which planes, from one plane on in the order of the dimensions."""

    ifd: int | None
    first: dict[str, int]
    """By axis: Z, C, T."""
    count: int | None
    uuid: str | None = field(repr=False)
    """The file they lie in, where the block names one."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the block."""

    number: int
    node: Node = field(repr=False)
    pixels: Node = field(repr=False)
    order: str
    """The dimension order, fastest first: `XYZCT`."""
    type: str
    size: Size
    sizes: dict[str, int]
    """Z, C and T as the block says them; C counts samples."""
    channels: tuple[Node, ...] = field(repr=False)
    data: tuple[TiffData, ...]

    @property
    def where(self) -> str:
        """Its place in an inventory."""
        return f"{PREFIX}/Image[{self.number}]"

    @property
    def declared_samples(self) -> int:
        """Samples per pixel its channels agree on; 0 when none says anything.

        Raises UnknownStructure when they differ.
        """
        found = {self.fact(channel, values.CHANNEL, "SamplesPerPixel") or "" for channel in self.channels}
        named = found - {""}
        if len(named) > 1 or (len(found) > 1 and named != {"1"}):
            raise UnknownStructure("channels have different numbers of samples", where=self.where)
        return int(named.pop()) if named else 0

    @staticmethod
    def fact(node: Node, parsers: dict[str, values.Parser], name: str) -> str | None:
        """A value in its one spelling; None when it is absent or not what it ought to be."""
        text = node.get(name)
        return parsers[name](text) if text else None

    def length(self, axis: str) -> float | None:
        """Micrometres per pixel along X or Y, or between planes along Z; None when the block does not say."""
        return micrometres(self.pixels, values.PIXELS, f"PhysicalSize{axis}")


def micrometres(node: Node, parsers: dict[str, values.Parser], name: str) -> float | None:
    """A length of the block; None when it is absent or in a unit that is none."""
    text = Image.fact(node, parsers, name)
    unit = parsers[f"{name}Unit"](node.get(f"{name}Unit") or values.DEFAULT_UNITS[name])
    return float(text) * values.LENGTHS[unit] if text and unit else None


def images(document: Document) -> tuple[Image, ...]:
    """All images of a block.

    Raises UnsupportedSlide when planes or their description lie in other files, UnknownStructure for axes nobody
    knows, DamagedSlide for sizes that are none, LimitExceeded for more of anything than a file can hold.
    """
    root = document.root
    if root.all("BinaryOnly"):
        raise UnsupportedSlide("which plane is which stands in another file", where=f"{PREFIX}/BinaryOnly")
    _check_axes(root)
    nodes = root.all("Image")
    if len(nodes) > MAX_IMAGES:
        raise LimitExceeded(f"more than {MAX_IMAGES} images", where=PREFIX)
    if not nodes:
        raise DamagedSlide("the OME-XML describes no image", where=PREFIX)
    return tuple(_image(number, node) for number, node in enumerate(nodes))


def _check_axes(root: Node) -> None:
    """A modulo annotation folds a further axis (lifetime, angle) into a known one; taken away it changes the shape."""
    for part in root.all("StructuredAnnotations"):
        for node in part.walk():
            if node.get("Namespace").lower().endswith("modulo") or node.name.startswith("ModuloAlong"):
                raise UnknownStructure("planes have an axis beside z, channel and time", where=PREFIX)


def _image(number: int, node: Node) -> Image:
    where = f"{PREFIX}/Image[{number}]"
    pixels = node.all("Pixels")
    if len(pixels) != 1:
        raise DamagedSlide("an image has no pixels, or twice", where=where)
    found = {name: Image.fact(pixels[0], values.PIXELS, name) for name in values.PIXELS}
    order, kind = found["DimensionOrder"], found["Type"] or Image.fact(pixels[0], {"PixelType": _TYPE}, "PixelType")
    numbers = {axis: int(found[f"Size{axis}"] or 0) for axis in "XYZCT"}
    if order is None or kind is None or not all(numbers.values()):
        raise DamagedSlide("an image does not say its size, type or order", where=where)
    if numbers["Z"] * numbers["C"] * numbers["T"] > 4 * MAX_DIRECTORIES:
        raise LimitExceeded("an image has more planes than a file may have pages", where=where)
    if pixels[0].all("BinData"):
        raise UnsupportedSlide("pixels stand in the OME-XML instead of the pages", where=where)
    return Image(
        number, node, pixels[0], order, kind, Size(numbers["X"], numbers["Y"]),
        {axis: numbers[axis] for axis in "ZCT"}, pixels[0].all("Channel"),
        tuple(_tiff_data(found, where) for found in pixels[0].all("TiffData")),
    )  # fmt: skip


_TYPE: Final = values.PIXELS["Type"]


def _tiff_data(node: Node, where: str) -> TiffData:
    """One element. Raises DamagedSlide for an attribute that is no number."""
    found = {name: Image.fact(node, values.DATA, name) for name in values.DATA}
    if any(node.get(name) and found[name] is None for name in values.DATA):
        raise DamagedSlide("the place of a plane is no number", where=f"{where}/Pixels/TiffData")
    numbers = {name: int(text) for name, text in found.items() if text is not None}
    uuid = node.all("UUID")
    return TiffData(
        numbers.get("IFD"),
        {axis: numbers.get(f"First{axis}", 0) for axis in "ZCT"},
        numbers.get("PlaneCount", numbers.get("NumPlanes")),
        uuid[0].text if uuid else None,
    )
