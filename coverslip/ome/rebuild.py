"""The OME-XML of a clean slide, composed from typed values: our own identifiers, no file names, no words but names of
channels that the policy's vocabulary knows.

Source: OME Data Model 2016-06 (order of elements, required attributes); OME-TIFF 6.0. ASCII only, as TIFF's text is;
`µ` and `Å` are character references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from coverslip.elements import Element
from coverslip.errors import UnknownStructure
from coverslip.ome import values
from coverslip.ome.document import Document, Node
from coverslip.ome.elements import OBJECTIVE, PIXELS, channel_path, elements, used_objective
from coverslip.ome.layout import Layout, PlanePage
from coverslip.ome.model import Image

NAMESPACE: Final = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
REQUIRED: Final = ("DimensionOrder", "Type", "SizeX", "SizeY", "SizeZ", "SizeC", "SizeT")

Keeps = Callable[[str], bool]
Attributes = dict[str, str]


@dataclass(frozen=True, slots=True)
class OmeDescription:
    """A parsed block and what its pages turned out to be."""

    document: Document
    layout: Layout

    def elements(self, path: str) -> tuple[Element, ...]:
        """Its parts; `path` says where the block stood, but its parts speak of all pages."""
        return elements(self.document, self.layout)

    def rebuild(self, path: str, keeps: Keeps) -> bytes:
        """The block written anew for a file whose first pages are the planes, in their order.

        Empty when the policy keeps no sizes and there is only one plane; raises UnknownStructure when there are more.
        """
        if not all(keeps(f"{PIXELS}/{name}") for name in REQUIRED):
            if len(self.layout.planes) > 1:
                raise UnknownStructure("the policy keeps planes, but not what they are", where=PIXELS)
            return b""
        return "".join(_written(self.document, self.layout, keeps)).encode("ascii", "xmlcharrefreplace")


def _written(document: Document, layout: Layout, keeps: Keeps) -> Iterator[str]:
    image = layout.image
    objective = _facts(used_objective(document, image), OBJECTIVE, values.OBJECTIVE, keeps)
    yield f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{NAMESPACE}">'
    if objective:
        ids = {"ID": "Objective:0:0"}
        yield f'<Instrument ID="Instrument:0">{_element("Objective", ids | objective)}</Instrument>'
    yield '<Image ID="Image:0">'
    if objective:
        yield '<InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0:0"/>'
    pixels = {"ID": "Pixels:0"} | _facts(image.pixels, PIXELS, values.PIXELS, keeps)
    yield _element("Pixels", pixels, closed=False)
    for number in range(layout.channels):
        yield _element("Channel", _channel(layout, number, keeps))
    for first, count in _runs(layout.planes, image.order[2:], _sizes(layout)):
        yield _element("TiffData", _data(layout.planes[first], first, count))
    yield "</Pixels></Image></OME>"


def _channel(layout: Layout, number: int, keeps: Keeps) -> Attributes:
    """A channel as readers count them: of three that stand for red, green and blue the first speaks for all."""
    found = {"ID": f"Channel:0:{number}", "SamplesPerPixel": str(layout.samples)}
    image, path = layout.image, channel_path(number)
    if number >= len(image.channels):
        return found
    node = image.channels[number]
    found |= _facts(node, path, values.CHANNEL, keeps) | {"SamplesPerPixel": str(layout.samples)}
    names = {name: node.get(name) for name in values.NAMES if node.get(name) and keeps(f"{path}/{name}")}
    return found | {name: text.strip() for name, text in names.items()}


def _facts(node: Node | None, path: str, parsers: Mapping[str, values.Parser], keeps: Keeps) -> Attributes:
    """Kept values of one element in their one spelling; a number never goes without the unit it is counted in."""
    if node is None:
        return {}
    found = {name: Image.fact(node, dict(parsers), name) for name in parsers if keeps(f"{path}/{name}")}
    kept = {name: text for name, text in found.items() if text is not None}
    for name in [name for name in kept if f"{name}Unit" in parsers]:
        stated = node.get(f"{name}Unit")
        unit = kept.get(f"{name}Unit", "" if stated else values.DEFAULT_UNITS[name])
        if not unit:
            del kept[name]
    return {
        name: text
        for name, text in kept.items()
        if not name.endswith("Unit") or (name[:-4] in kept and text != values.DEFAULT_UNITS[name[:-4]])
    }


def _sizes(layout: Layout) -> dict[str, int]:
    return {**layout.image.sizes, "C": layout.channels}


def _runs(planes: tuple[PlanePage, ...], axes: str, sizes: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """First page and number of pages of each stretch that follows the order of the dimensions."""
    order = [_index(found, axes, sizes) for found in planes]
    breaks = [at for at, (one, next_) in enumerate(pairwise(order), 1) if next_ != one + 1]
    for first, last in pairwise([0, *breaks, len(order)]):
        yield first, last - first


def _index(found: PlanePage, axes: str, sizes: Mapping[str, int]) -> int:
    at = {"Z": found.plane.z, "C": found.plane.channel, "T": found.plane.t}
    index, stride = 0, 1
    for axis in axes:
        index += at[axis] * stride
        stride *= sizes[axis]
    return index


def _data(found: PlanePage, ifd: int, count: int) -> Attributes:
    plane = found.plane
    numbers = {"FirstZ": plane.z, "FirstT": plane.t, "FirstC": plane.channel, "IFD": ifd, "PlaneCount": count}
    return {name: str(number) for name, number in numbers.items()}


def _element(name: str, attributes: Attributes, *, closed: bool = True) -> str:
    written = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{written}{'/' if closed else ''}>"
