"""Every place of a TIFF where identity can live, as elements: fields, marker segments, profiles, unowned bytes.

Source: the PHI map's "Any TIFF" table. Vendors add what only they understand (the parts of an ImageDescription).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from coverslip.codestreams import icc, jpeg
from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.errors import InputError
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import Blocks, Foreign
from coverslip.tiff.structure import Directory, Field, TiffFile

MAX_VALUE: Final = 1 << 20
"""Bytes of a value that are remembered for the leak search."""
MAX_NUMBERS: Final = 64
"""Numbers of a field that are remembered."""

STRUCTURE: Final = frozenset((
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 322, 323, 324, 325, 338,
    339, 529, 530, 531, 532, 32997,
))  # fmt: skip
"""Fields whose type and meaning leave room for numbers only."""

_MAY_BE_WORDS: Final = frozenset((t.ASCII, t.BYTE, t.UNDEFINED, t.SBYTE))
"""Types that hold text; numbers of other types may too, but not on purpose."""


def field_elements(directory: Directory) -> Iterator[Element]:
    """One element a field, except those that are looked into: ICC profiles and JPEG tables."""
    for found in directory.fields.values():
        path = f"{directory.path}/{t.name_of(found.code)}"
        if found.code == t.ICC_PROFILE:
            yield from profile_elements(path, found.raw)
        elif found.code == t.JPEG_TABLES:
            yield from _table_elements(path, found.raw)
        else:
            yield field_element(directory, found)


def field_element(directory: Directory, found: Field) -> Element:
    """One field; numbers are remembered as they print, so that no stored byte pattern is mistaken for a leak."""
    path, known = ElementPath(f"{directory.path}/{t.name_of(found.code)}"), found.code in t.NAMES
    if found.code in STRUCTURE or found.code in t.POINTERS:
        return Element(path, ElementKind.STRUCTURE, known)
    if found.type not in _MAY_BE_WORDS:
        return Element(path, ElementKind.NUMBER, known, _printed(directory, found))
    raw = found.raw[:MAX_VALUE].rstrip(b"\0")
    printable = found.type == t.ASCII or all(32 <= byte < 127 or byte in b"\t\r\n" for byte in raw[:4096])
    return Element(path, ElementKind.TEXT if printable else ElementKind.BYTES, known, raw)


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


def _printed(directory: Directory, found: Field) -> bytes:
    """The first few numbers of a numeric field, as text."""
    raw = found.raw[: t.TYPE_SIZES[found.type] * MAX_NUMBERS]
    if found.type in (t.RATIONAL, t.SRATIONAL):
        pairs = _array(raw, directory.order + ("u4" if found.type == t.RATIONAL else "i4"))
        numbers = [above / below if below else 0.0 for above, below in zip(pairs[::2], pairs[1::2], strict=True)]
    else:
        numbers = _array(raw, directory.order + t.INTEGER_FORMATS.get(found.type, f"f{t.TYPE_SIZES[found.type]}"))
    return " ".join(f"{number:.10g}" if isinstance(number, float) else str(number) for number in numbers).encode()


def _array(raw: bytes, form: str) -> list[int | float]:
    numbers: list[int | float] = np.frombuffer(raw, form).tolist()
    return numbers


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


def profile_elements(path: str, raw: bytes) -> Iterator[Element]:
    """The parts of a colour profile: its transform, and whatever in it can carry words or dates."""
    try:
        profile = icc.parse(raw)
    except InputError:
        yield Element(ElementPath(path), ElementKind.BYTES, False, raw[:MAX_VALUE])
        return
    yield Element(ElementPath(f"{path}/transform"), ElementKind.BYTES, _can_be_rebuilt(profile))
    yield Element(ElementPath(f"{path}/header"), ElementKind.BYTES, True, profile.header[24:36] + profile.header[48:56])
    yield Element(ElementPath(f"{path}/creator"), ElementKind.BYTES, True, profile.header[80:100])
    for i, tag in enumerate(profile.tags):
        if tag.signature not in icc.TRANSFORM:
            name = tag.name if tag.signature in _ICC_WORDS else f"tag[{i}]"
            yield Element(ElementPath(f"{path}/{name}"), ElementKind.TEXT, name == tag.name, _words(tag.data))


def _can_be_rebuilt(profile: icc.Profile) -> bool:
    """Whether the colour transform can be written anew; one that cannot is not kept, and the verifier misses it."""
    try:
        return bool(icc.clean(profile))
    except InputError:
        return False


_ICC_WORDS: Final = frozenset(b"desc cprt dmnd dmdd tech vued view meas calt targ scrd".split())


def _words(data: bytes) -> bytes:
    """The text of a `desc`, `text` or `mluc` tag; other types as they are."""
    if data[:4] == b"mluc" and len(data) >= 28:
        length, at = int.from_bytes(data[20:24], "big"), int.from_bytes(data[24:28], "big")
        return data[at : at + length].decode("utf-16-be", "replace").encode()
    if data[:4] == b"desc":
        return data[12 : 12 + int.from_bytes(data[8:12], "big")].rstrip(b"\0")
    return data[8:].rstrip(b"\0") if data[:4] == b"text" else data[:MAX_VALUE]
