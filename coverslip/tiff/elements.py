"""Every place of a TIFF where identity can live, as elements: fields, marker segments, profiles, unowned bytes.

Source: the PHI map's "Any TIFF" table. Vendors add what only they understand (the parts of an ImageDescription).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coverslip.codestreams import icc, jpeg
from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.errors import InputError
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import Blocks, Foreign
from coverslip.tiff.structure import Directory, Field, TiffFile

MAX_VALUE: Final = 1 << 20
"""Bytes of a value that are remembered for the leak search."""

STRUCTURE: Final = frozenset((
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 322, 323, 324, 325, 338,
    339, 529, 530, 531, 532, 32997,
))  # fmt: skip
"""Fields whose type and meaning leave room for numbers only."""

_WORDS: Final = frozenset((2, 7, 1, 6))
"""ASCII, UNDEFINED and BYTE fields may hold text; numbers of other types may too, but not on purpose."""


def field_elements(directory: Directory) -> Iterator[Element]:
    """One element a field, except those that are looked into: ICC profiles and JPEG tables."""
    for found in directory.fields.values():
        path = f"{directory.path}/{t.name_of(found.code)}"
        if found.code == t.ICC_PROFILE:
            yield from _profile_elements(path, found.raw)
        elif found.code == t.JPEG_TABLES:
            yield from _table_elements(path, found.raw)
        else:
            yield Element(ElementPath(path), _kind(found), found.code in t.NAMES, _value(found))


def foreign_elements(directory: Directory, blocks: Blocks) -> Iterator[Element]:
    """Comments, application segments and trailing bytes inside tiles: one element for each distinct payload."""
    seen: dict[str, int] = {}
    for foreign in blocks.foreign:
        seen[foreign.name] = seen.get(foreign.name, 0) + 1
        yield _foreign(f"{directory.path}/tiles/{foreign.name}", seen[foreign.name], foreign)


def orphan_elements(tiff: TiffFile) -> Iterator[Element]:
    """Bytes that no structure owns."""
    for start, stop in tiff.orphans:
        where = "tail" if stop == len(tiff.data) else f"orphan[{start}]"
        value = tiff.data[start : min(stop, start + MAX_VALUE)]
        yield Element(ElementPath(f"file/{where}"), ElementKind.BYTES, False, value)


def name_element(tiff: TiffFile) -> Element:
    """The file's own name, which laboratories build from accession numbers."""
    return Element(ElementPath("file/name"), ElementKind.TEXT, True, tiff.path.name.encode("utf-8", "surrogateescape"))


def _kind(found: Field) -> ElementKind:
    if found.code in STRUCTURE or found.code in t.POINTERS:
        return ElementKind.STRUCTURE
    if found.type in _WORDS:
        return ElementKind.TEXT if found.type == t.ASCII else ElementKind.BYTES
    return ElementKind.NUMBER


def _value(found: Field) -> bytes:
    """What the leak search looks for; fields of pure structure hold nothing to look for."""
    return b"" if found.code in STRUCTURE or found.code in t.POINTERS else found.raw[:MAX_VALUE]


def _foreign(path: str, number: int, foreign: Foreign) -> Element:
    numbered = path if number == 1 else f"{path}#{number}"
    return Element(ElementPath(numbered), ElementKind.BYTES, True, foreign.payload, count=foreign.count)


def _table_elements(path: str, raw: bytes) -> Iterator[Element]:
    yield Element(ElementPath(path), ElementKind.STRUCTURE)
    try:
        parsed = jpeg.tables(raw)
    except InputError:
        return  # the survey of the tiles says why, if the page is needed at all
    for i, segment in enumerate(parsed.foreign, 1):
        yield _foreign(f"{path}/{segment.name}", i, Foreign(segment.name, segment.payload, 1))


def _profile_elements(path: str, raw: bytes) -> Iterator[Element]:
    try:
        profile = icc.parse(raw)
    except InputError:
        yield Element(ElementPath(path), ElementKind.BYTES, False, raw[:MAX_VALUE])
        return
    yield Element(ElementPath(f"{path}/transform"), ElementKind.BYTES)
    yield Element(ElementPath(f"{path}/header"), ElementKind.BYTES, True, profile.header[24:36] + profile.header[48:56])
    yield Element(ElementPath(f"{path}/creator"), ElementKind.BYTES, True, profile.header[80:100])
    for i, tag in enumerate(profile.tags):
        if tag.signature not in icc.TRANSFORM:
            name = tag.name if tag.signature in _ICC_WORDS else f"tag[{i}]"
            yield Element(ElementPath(f"{path}/{name}"), ElementKind.TEXT, name == tag.name, _words(tag.data))


_ICC_WORDS: Final = frozenset(b"desc cprt dmnd dmdd tech vued view meas calt targ scrd".split())


def _words(data: bytes) -> bytes:
    """The text of a `desc`, `text` or `mluc` tag; other types as they are."""
    if data[:4] == b"mluc" and len(data) >= 28:
        length, at = int.from_bytes(data[20:24], "big"), int.from_bytes(data[24:28], "big")
        return data[at : at + length].decode("utf-16-be", "replace").encode()
    if data[:4] == b"desc":
        return data[12 : 12 + int.from_bytes(data[8:12], "big")].rstrip(b"\0")
    return data[8:].rstrip(b"\0") if data[:4] == b"text" else data[:MAX_VALUE]
