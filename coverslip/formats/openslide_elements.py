"""The elements of a slide read through OpenSlide: what OpenSlide tells, and what the files hold besides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import openslide

from coverslip.codestreams import icc
from coverslip.elements import Element, ElementKind, ElementPath, ImageRole, Inventory
from coverslip.errors import InputError, LimitExceeded
from coverslip.formats import companions, dicom_series, mirax_records
from coverslip.formats.readable import plain_key
from coverslip.slide import SlideFacts
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, Field, looks_like_tiff, open_tiff

MAX_PROPERTIES: Final = 100_000
MAX_VALUE: Final = 1 << 20
MAX_NUMBERS: Final = 16
SBYTE, SRATIONAL = 6, 10

ROLES: Final = {
    "label": ImageRole.LABEL,
    "macro": ImageRole.OVERVIEW,
    "thumbnail": ImageRole.THUMBNAIL,
}
"""OpenSlide's names of associated images and what they show."""

_OPENSLIDE_WORDS: Final = ("openslide.", "tiff.", "dicom.")
"""Namespaces whose keys are a fixed vocabulary rather than whatever stands in the file."""
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_STRUCTURAL: Final = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 274, 277, 278, 284, 296, 317, 322, 323, 338, 339, 347, 512, 530, 531}
    | {number for pair in t.DATA_POINTERS.items() for number in pair}
    | set(t.POINTERS)
)
"""TIFF fields that say how pixels lie, and hold no words."""


def inventory(slide: openslide.OpenSlide, path: Path, entry: Path, facts: SlideFacts) -> Inventory:
    """Every element: levels, pictures, properties, profile, names, TIFF fields, DICOM attributes, companion files."""
    return Inventory(
        (
            *_levels(facts),
            *_facts(facts),
            *_associated(slide),
            *_properties(slide),
            *_profile(slide),
            *_names(path, entry),
            *_structure(entry, facts.vendor),
        )
    )


def _levels(facts: SlideFacts) -> Iterator[Element]:
    for index in range(len(facts.levels)):
        role = ImageRole.LEVEL if index else ImageRole.BASE
        yield Element(ElementPath(f"level[{index}]/image[{role.value}]"), ElementKind.IMAGE, role=role)


def _facts(facts: SlideFacts) -> Iterator[Element]:
    """The numbers a converted slide carries; where they stood in the source they go with everything else."""
    mpp = {"mpp-x": facts.mpp.x, "mpp-y": facts.mpp.y} if facts.mpp else {}
    for name, value in (mpp | {"magnification": facts.magnification, "background": facts.background}).items():
        if value is not None:
            yield Element(ElementPath(f"facts/{name}"), ElementKind.NUMBER, untrusted_value=str(value).encode())


def _associated(slide: openslide.OpenSlide) -> Iterator[Element]:
    for number, name in enumerate(slide.associated_images):
        role = ROLES.get(name, ImageRole.UNKNOWN)
        word = name if role is not ImageRole.UNKNOWN or plain_key(name) else f"image[{number}]"
        path = ElementPath(f"associated/{word}")
        yield Element(path, ElementKind.IMAGE, role is not ImageRole.UNKNOWN, role=role)


def _properties(slide: openslide.OpenSlide) -> Iterator[Element]:
    properties = slide.properties
    if len(properties) > MAX_PROPERTIES:
        raise LimitExceeded(f"more than {MAX_PROPERTIES} properties", where="properties")
    for number, (key, value) in enumerate(properties.items()):
        kind = ElementKind.NUMBER if _NUMBER.fullmatch(value) else ElementKind.TEXT
        if plain_key(key):
            raw, path, known = (
                value,
                f"properties/{key}",
                kind is ElementKind.NUMBER or key.startswith(_OPENSLIDE_WORDS),
            )
        else:
            raw, path, known = f"{key}={value}", f"properties/key[{number}]", False
        yield Element(ElementPath(path), kind, known, raw.encode("utf-8", "surrogateescape")[:MAX_VALUE])


def _profile(slide: openslide.OpenSlide) -> Iterator[Element]:
    if "openslide.icc-size" in slide.properties:
        picture = slide.read_region((0, 0), slide.level_count - 1, (1, 1))
        raw = bytes(picture.info.get("icc_profile", b""))
        yield Element(ElementPath("icc/profile"), ElementKind.BYTES, untrusted_value=raw[:MAX_VALUE])
        yield Element(ElementPath("icc/transform"), ElementKind.BYTES, understood=_is_clean(raw))


def _is_clean(profile: bytes) -> bool:
    """Whether the profile's colour transform can be written anew without its words."""
    try:
        return bool(icc.clean(icc.parse(profile)))
    except InputError:
        return False


def _names(path: Path, entry: Path) -> Iterator[Element]:
    yield Element(
        ElementPath("file/name"), ElementKind.TEXT, untrusted_value=path.name.encode("utf-8", "surrogateescape")
    )
    if entry != path:
        yield Element(ElementPath("file/entry"), ElementKind.TEXT, untrusted_value=entry.name.encode())


def _structure(entry: Path, vendor: str) -> Iterator[Element]:
    """What the file's own container holds beyond what OpenSlide tells of it."""
    with entry.open("rb") as file:
        head = file.read(16)
    others = companions.companions(entry, vendor)
    if vendor == "dicom":
        yield from dicom_series.attributes((entry, *others))
        yield from companions.names(others)
    elif looks_like_tiff(head):
        yield from _tiff_fields(entry)
    elif vendor in ("mirax", "hamamatsu"):
        yield from companions.words_of(entry, "file")
    if vendor != "dicom":
        yield from companions.elements(others)
    if vendor == "mirax":
        yield from mirax_records.records(entry.with_suffix(""))


def _tiff_fields(path: Path) -> Iterator[Element]:
    """Every field that is no geometry. A variant our parser refuses (NDPI beyond 4 GiB) is one unknown element."""
    try:
        tiff = open_tiff(path)
    except InputError:
        yield Element(ElementPath("file/structure"), ElementKind.BYTES, understood=False)
        return
    for directory in tiff.walk():
        for found in directory.fields.values():
            if found.code not in _STRUCTURAL:
                yield _field(directory, found)
    for start, stop in tiff.orphans:
        path_ = ElementPath(f"file/orphan[{start}]")
        yield Element(path_, ElementKind.BYTES, False, tiff.data[start : min(stop, start + MAX_VALUE)].strip(b"\0"))
    tiff.close()


def _field(directory: Directory, found: Field) -> Element:
    path = ElementPath(f"{directory.path}/{t.name_of(found.code)}")
    known = found.code in t.NAMES
    if found.type in (t.ASCII, t.BYTE, t.UNDEFINED, SBYTE):
        raw = found.raw[:MAX_VALUE].rstrip(b"\0")
        printable = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in raw[:4096])
        text = found.type == t.ASCII or printable
        return Element(path, ElementKind.TEXT if text else ElementKind.BYTES, known, raw)
    return Element(path, ElementKind.NUMBER, known, _printed(directory, found))


def _printed(directory: Directory, found: Field) -> bytes:
    """The first few numbers of a numeric field, as text."""
    raw = found.raw[: t.TYPE_SIZES[found.type] * MAX_NUMBERS]
    if found.type in (t.RATIONAL, SRATIONAL):
        pairs = _array(raw, directory.order + ("u4" if found.type == t.RATIONAL else "i4"))
        numbers = [above / below if below else 0.0 for above, below in zip(pairs[::2], pairs[1::2], strict=True)]
    else:
        numbers = _array(raw, directory.order + t.INTEGER_FORMATS.get(found.type, f"f{t.TYPE_SIZES[found.type]}"))
    return " ".join(f"{number:.10g}" if isinstance(number, float) else str(number) for number in numbers).encode()


def _array(raw: bytes, form: str) -> list[int | float]:
    numbers: list[int | float] = np.frombuffer(raw, form).tolist()
    return numbers
