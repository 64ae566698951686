"""Every attribute, text and comment of an OME-XML block as an element, whatever it says.

Equal values at equal places are one element with a count: a z-stack says the same thing once per plane. Names that are
not the schema's are words themselves; they appear as values, never in a path.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.ome import names, values
from coverslip.ome.document import Document, Node
from coverslip.ome.layout import Layout
from coverslip.ome.model import PREFIX, Image

MAX_VALUE: Final = 1 << 20
"""Bytes of a value that are remembered for the leak search."""
IMAGE: Final = f"{PREFIX}/Image"
PIXELS: Final = f"{IMAGE}/Pixels"
OBJECTIVE: Final = f"{PREFIX}/Instrument/Objective[used]"

_SCHEMA: Final = re.compile(
    r"http://[a-z]{3}\.openmicroscopy\.org/[Ss]chemas/[A-Za-z]{2,24}/(20\d\d-\d\d|2003-FC)(/[A-Za-z]{2,24}\.xsd)?"
)
_COUNTED: Final = frozenset(("TheZ", "TheC", "TheT"))
_STRUCTURE: Final = frozenset((
    "DimensionOrder", "Type", "SignificantBits", "Interleaved", "BigEndian", "SizeX", "SizeY", "SizeZ", "SizeC",
    "SizeT", "SamplesPerPixel",
))  # fmt: skip

Found = tuple[str, ElementKind, bool, str]
"""Path, kind, understood, value."""


def channel_path(number: int) -> str:
    """Where a channel of the slide's own image stands."""
    return f"{PIXELS}/Channel[{number}]"


def elements(document: Document, layout: Layout) -> tuple[Element, ...]:
    """All of a block, in its order."""
    walked = _Walk(document, layout)
    counted = Counter(walked.found())
    seen: Counter[str] = Counter()
    made = []
    for (path, kind, understood, value), count in counted.items():
        seen[path] += 1
        numbered = path if seen[path] == 1 else f"{path}#{seen[path]}"
        raw = value.encode("utf-8", "surrogatepass")[:MAX_VALUE]
        made.append(Element(ElementPath(numbered), kind, understood, raw, count=count))
    return tuple(made)


def used_objective(document: Document, image: Image) -> Node | None:
    """The objective the image refers to, or the only one there is."""
    known = [node for part in document.root.all("Instrument") for node in part.all("Objective")]
    named = [part.get("ID") for part in (*image.node.all("ObjectiveSettings"), *image.node.all("ObjectiveRef"))]
    meant = [node for node in known if node.get("ID") in named]
    return meant[0] if meant else known[0] if len(known) == 1 else None


class _Walk:
    """One walk over the tree with the places of its nodes."""

    def __init__(self, document: Document, layout: Layout) -> None:
        self._document = document
        self._image = layout.image
        self._objective = used_objective(document, layout.image)
        self._images = {id(node): number for number, node in enumerate(document.root.all("Image"))}
        self._channels = {id(node): number for number, node in enumerate(layout.image.channels)}

    def found(self) -> Iterator[Found]:
        """Everything that stands in the block."""
        for text in self._document.beside:
            yield f"{PREFIX}/comment", ElementKind.TEXT, True, text
        yield from self._node(self._document.root, PREFIX, own=False)

    def _node(self, node: Node, path: str, *, own: bool) -> Iterator[Found]:
        known = node.name in names.ELEMENTS
        if not known:
            yield path, ElementKind.TEXT, False, node.name
        if node.text:
            yield path, ElementKind.TEXT, known, node.text
        for name, value in node.attributes:
            yield self._attribute(node, path, name, value, own=own)
        for child in node.children:
            below, ours = self._place(child, path, own=own)
            yield from self._node(child, below, own=ours)

    def _place(self, node: Node, above: str, *, own: bool) -> tuple[str, bool]:
        """Where a node stands, and whether it speaks of the slide's own image."""
        if node is self._image.node:
            return IMAGE, True
        if node is self._objective:
            return OBJECTIVE, True
        if id(node) in self._channels:
            return channel_path(self._channels[id(node)]), True
        number = self._images.get(id(node))
        name = node.name if node.name in names.ELEMENTS else "element"
        return f"{above}/{name}" if number is None else f"{above}/{name}[{number}]", own and number is None

    def _attribute(self, node: Node, path: str, name: str, value: str, *, own: bool) -> Found:
        if name not in names.ATTRIBUTES:
            return f"{path}/attribute", ElementKind.TEXT, False, f"{name}={value}"
        place = f"{path}/{name}"
        if _says_nothing(node, name, value):
            return place, ElementKind.STRUCTURE, True, ""
        parser = _parsers(path).get(name) if own else None
        if parser is None:
            return place, ElementKind.TEXT, True, value
        if parser(value) is None:
            return place, ElementKind.TEXT, False, value
        structural = name in _STRUCTURE or name.endswith("Unit")
        return (
            (place, ElementKind.STRUCTURE, True, "") if structural else (place, ElementKind.NUMBER, True, value.strip())
        )


def _parsers(path: str) -> dict[str, values.Parser]:
    if path == PIXELS:
        return values.PIXELS
    if path == OBJECTIVE:
        return values.OBJECTIVE
    return values.CHANNEL if path.startswith(f"{PIXELS}/Channel[") and path.count("/") == 3 else {}


def _says_nothing(node: Node, name: str, value: str) -> bool:
    """Numbers that only count, and the schema's own address: they name nothing outside of the block."""
    if name == "ID" or node.name.endswith("Ref"):
        return values.CANONICAL_ID.fullmatch(value) is not None
    if name == "schemaLocation":
        return all(_SCHEMA.fullmatch(part) for part in value.split())
    if node.name == "TiffData" and name in values.DATA:
        return values.DATA[name](value) is not None
    return node.name == "Plane" and name in _COUNTED and values.whole(0, 1 << 16)(value) is not None
