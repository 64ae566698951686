"""An OME-XML block as a tree: names without their namespaces, attributes, texts, and what else stands between them.

Source: XML 1.0, Namespaces in XML 1.0. Nothing expands: a document type is refused before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.preflight import xml

MAX_NODES: Final = 100_000
MAX_VALUES: Final = 400_000
"""Attributes, texts and comments; a z-stack of 500 planes with everything Bio-Formats writes has a tenth of it."""

NAMESPACE: Final = re.compile(r"http://www\.openmicroscopy\.org/[Ss]chemas/[A-Za-z]{2,24}/(20\d\d-\d\d|2003-FC)")
"""OME's own, and those of the parts it was cut into before 2013 (`SA`, `BIN`, `ROI`, `SPW`)."""
_BETWEEN: Final = "\n"
"""Stands between a namespace and a name while parsing; the parser refuses a namespace that holds it."""
_SCHEMAS: Final = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(frozen=True, slots=True)
class Node:
    """One XML element."""

    name: str
    """Without its namespace."""
    foreign: bool
    """Whether it lies in a namespace that is not OME's."""
    attributes: tuple[tuple[str, str], ...] = field(repr=False)
    text: str = field(repr=False)
    """Its own text, without what lies in elements below; space around it is left out."""
    children: tuple[Node, ...] = field(repr=False)

    def get(self, name: str, default: str = "") -> str:
        """An attribute's value."""
        return next((value for found, value in self.attributes if found == name), default)

    def all(self, name: str) -> tuple[Node, ...]:
        """The elements of one name right below."""
        return tuple(child for child in self.children if child.name == name and not child.foreign)

    def walk(self) -> Iterator[Node]:
        """This element and every one below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed block."""

    root: Node
    beside: tuple[str, ...] = field(repr=False)
    """Comments, processing instructions and namespaces that are nobody's we know."""


def is_ome(raw: bytes) -> bool:
    """Whether a text begins as an OME-XML block does; what follows may be damaged."""
    found: list[str] = []

    def first(name: str, attributes: dict[str, str]) -> None:
        found.append(name)
        raise _Enough

    parser = expat.ParserCreate(namespace_separator=_BETWEEN)
    parser.StartElementHandler = first
    with suppress(_Enough, expat.ExpatError, LookupError, ValueError):  # the latter two: encodings nobody knows
        parser.Parse(raw.rstrip(b"\0")[: xml.MAX_BYTES], True)
    space, _, name = found[0].rpartition(_BETWEEN) if found else ("", "", "")
    return name == "OME" and NAMESPACE.fullmatch(space) is not None


def parse(raw: bytes, where: str) -> Document:
    """Read a block. Raises DamagedSlide when it is not well-formed, LimitExceeded when it is too large or too deep."""
    xml.check(raw, where)
    builder = _Builder(where)
    try:
        builder.parser.Parse(raw.rstrip(b"\0"), True)
    except expat.ExpatError as error:
        raise DamagedSlide("the OME-XML is not well-formed", where=where) from error
    return Document(builder.root, tuple(builder.beside))


class _Enough(Exception):
    """The first element has been seen."""


@dataclass(slots=True)
class _Open:
    """An element whose end has not come yet."""

    name: str
    foreign: bool
    attributes: tuple[tuple[str, str], ...]
    texts: list[str] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)

    def closed(self) -> Node:
        text = "".join(self.texts).strip()
        return Node(self.name, self.foreign, self.attributes, text, tuple(self.children))


class _Builder:
    """Puts the tree together as the parser goes; counts before it keeps."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._nodes = self._values = 0
        self._open: list[_Open] = []
        self.root: Node
        self.beside: list[str] = []
        self.parser = expat.ParserCreate(namespace_separator=_BETWEEN)
        self.parser.buffer_text = True
        self.parser.ordered_attributes = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.CommentHandler = self._aside
        self.parser.ProcessingInstructionHandler = lambda target, data: self._aside(f"{target} {data}")
        self.parser.StartNamespaceDeclHandler = self._namespace

    def _start(self, name: str, attributes: list[str]) -> None:
        self._nodes += 1
        self._count(len(attributes) // 2)
        if self._nodes > MAX_NODES:
            raise LimitExceeded(f"OME-XML has more than {MAX_NODES} elements", where=self._where)
        space, _, local = name.rpartition(_BETWEEN)
        pairs = zip(map(_local, attributes[::2]), attributes[1::2], strict=True)
        self._open.append(_Open(local, NAMESPACE.fullmatch(space) is None, tuple(pairs)))

    def _end(self, name: str) -> None:
        node = self._open.pop().closed()
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node

    def _text(self, text: str) -> None:
        if text.strip():
            self._count(1)
        self._open[-1].texts.append(text)

    def _aside(self, text: str) -> None:
        self._count(1)
        self.beside.append(text.strip())

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        known = not uri or uri == _SCHEMAS or NAMESPACE.fullmatch(uri)
        if not known or (prefix and not re.fullmatch(r"[A-Za-z]{1,8}", prefix)):
            self._aside(f"{prefix or ''} {uri or ''}")

    def _count(self, more: int) -> None:
        self._values += more
        if self._values > MAX_VALUES:
            raise LimitExceeded(f"OME-XML has more than {MAX_VALUES} values", where=self._where)


def _local(name: str) -> str:
    """An attribute's name; one of another namespace keeps it, so that nobody mistakes it for the schema's."""
    space, _, local = name.rpartition(_BETWEEN)
    return local if not space or (space, local) == (_SCHEMAS, "schemaLocation") else name
