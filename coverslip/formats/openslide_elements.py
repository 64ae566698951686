"""The elements of a slide read through OpenSlide: what OpenSlide tells, and what the files hold besides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import openslide

from coverslip.elements import Element, ElementKind, ElementPath, ImageRole, Inventory
from coverslip.errors import InputError, LimitExceeded
from coverslip.formats import companions, mirax_records
from coverslip.formats.readable import plain_key
from coverslip.formats.series import attributes
from coverslip.names import stem_bytes
from coverslip.slide import SlideFacts
from coverslip.tiff import tags as t
from coverslip.tiff.elements import marker_elements, pointed_elements, profile_elements, value_elements
from coverslip.tiff.structure import looks_like_tiff, open_tiff

MAX_PROPERTIES: Final = 100_000
MAX_VALUE: Final = 1 << 20

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
    for number, key in enumerate(properties):
        value = properties.get(key, "")  # a key that is no UTF-8 is listed by OpenSlide's binding, but not found
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
        yield from profile_elements("icc", raw)


def _names(path: Path, entry: Path) -> Iterator[Element]:
    yield Element(ElementPath("file/name"), ElementKind.TEXT, untrusted_value=stem_bytes(path.name))
    if entry != path:
        yield Element(ElementPath("file/entry"), ElementKind.TEXT, untrusted_value=stem_bytes(entry.name))


def _structure(entry: Path, vendor: str) -> Iterator[Element]:
    """What the file's own container holds beyond what OpenSlide tells of it."""
    with entry.open("rb") as file:
        head = file.read(16)
    others = companions.companions(entry, vendor)
    if vendor == "dicom":
        yield from attributes((entry, *others))
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
                yield from value_elements(directory, found)
        yield from pointed_elements(tiff, directory)
        yield from marker_elements(tiff, directory)
    for start, stop in tiff.orphans:
        path_ = ElementPath(f"file/orphan[{start}]")
        yield Element(path_, ElementKind.BYTES, False, tiff.data[start : min(stop, start + MAX_VALUE)].strip(b"\0"))
    tiff.close()
