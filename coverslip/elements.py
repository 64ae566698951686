"""What a slide consists of from the point of view of identity: elements, and the inventory of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

ElementPath = NewType("ElementPath", str)
"""Where an element is, e.g. `ifd[0]/ImageDescription/ScanScope ID`, `ifd[3]/image`, `file/name`, `file/orphan[812]`."""


class ElementKind(StrEnum):
    """What sort of thing an element is; decides how it can be kept."""

    STRUCTURE = "structure"
    """A number the container needs (width, offsets, compression); carries no words."""
    NUMBER = "number"
    """A measured or configured number written as text or as a numeric tag."""
    TEXT = "text"
    """Words somebody or something wrote."""
    IMAGE = "image"
    """A picture: a level or an associated image."""
    BYTES = "bytes"
    """Binary content: a marker segment, a profile, a private block, bytes nobody owns."""


class ImageRole(StrEnum):
    """What a picture inside a slide shows. DICOM's flavours; vendors' and OpenSlide's *macro* is `overview`."""

    BASE = "base"
    LEVEL = "level"
    LABEL = "label"
    OVERVIEW = "overview"
    THUMBNAIL = "thumbnail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Element:
    """One place in a slide where identity can live."""

    path: ElementPath
    kind: ElementKind
    understood: bool = True
    """False when the reader sees the element but cannot say what it holds: it is removed and reported."""
    untrusted_value: bytes = field(default=b"", repr=False)
    """The raw bytes that stand there (bounded), for the leak search and the keyed digest; never printed."""
    role: ImageRole | None = None
    """For images only."""
    count: int = 1
    """How many places this element stands for, e.g. the tiles that carry the same marker segment."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def untrusted_text(self) -> str:
        """The value as text, undecodable bytes replaced."""
        return self.untrusted_value.decode("utf-8", "replace").strip("\0 \r\n\t")


@dataclass(frozen=True, slots=True)
class Inventory:
    """All elements of one slide, in file order."""

    elements: tuple[Element, ...]

    def __iter__(self) -> Iterator[Element]:
        """Elements in file order."""
        return iter(self.elements)

    def __len__(self) -> int:
        """How many elements there are."""
        return len(self.elements)

    def under(self, prefix: str) -> tuple[Element, ...]:
        """Elements whose path begins with `prefix`."""
        return tuple(element for element in self.elements if element.path.startswith(prefix))

    def at(self, path: str) -> Element | None:
        """The element at exactly this path."""
        return next((element for element in self.elements if element.path == path), None)
