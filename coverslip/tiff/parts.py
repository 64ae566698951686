"""What stands inside a value that is a container itself: IPTC records, Photoshop's blocks, EXIF, JPEG thumbnails.

Each part is a value of its own, so that one name left behind is recognised although the rest of its container is gone.
Source: IPTC-NAA Information Interchange Model 4.2 §3; Adobe Photoshop File Formats ("Image Resource Blocks");
EXIF 2.32 §4.5. What does not follow its form is no part: the container as a whole is an element already.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from coverslip.codestreams import jpeg
from coverslip.errors import InputError
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, directories

MAX_PARTS: Final = 512
"""Of one value, those inside its parts included."""
MAX_DEPTH: Final = 3
_IPTC, _EXTENDED = 0x1C, 0x8000
_BLOCKS: Final = (b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa")
_EXIF, _PHOTOSHOP, _SOI = b"Exif\0\0", b"Photoshop 3.0\0", b"\xff\xd8\xff"
_THUMBNAIL, _THUMBNAIL_LENGTH = 513, 514
_THUMBNAIL_RESOURCES: Final = frozenset((0x0409, 0x040C))
_THUMBNAIL_HEADER: Final = 28
"""Bytes before the JPEG stream of a thumbnail resource."""


@dataclass(frozen=True, slots=True)
class Part:
    """A value inside another."""

    name: str
    """Where it stands in its container, e.g. `2:120` or `0404/2:80`; numbers only."""
    value: bytes = field(repr=False)


def parts(untrusted: bytes) -> tuple[Part, ...]:
    """The parts of a value, and theirs; none when it is no container we know."""
    return tuple(islice(_parts(untrusted, MAX_DEPTH), MAX_PARTS))


def swapped(untrusted: bytes) -> bytes:
    """A value with the bytes of each four the other way round: IPTC written as numbers of the other byte order."""
    whole = untrusted[: len(untrusted) // 4 * 4]
    return struct.pack(f"<{len(whole) // 4}I", *struct.unpack(f">{len(whole) // 4}I", whole))


def _parts(data: bytes, depth: int) -> Iterator[Part]:
    for part in _inside(data):
        yield part
        if depth > 1:
            yield from (Part(f"{part.name}/{below.name}", below.value) for below in _parts(part.value, depth - 1))


def _inside(data: bytes) -> Iterator[Part]:
    if data[:1] == b"\x1c":
        yield from _records(data)
    elif data[:4] in _BLOCKS:
        yield from _resources(data)
    elif data.startswith(_PHOTOSHOP):
        yield from _resources(data[len(_PHOTOSHOP) :])
    elif data.startswith(_EXIF):
        yield from _exif(data[len(_EXIF) :])
    elif data.startswith(_SOI):
        yield from _segments(data)


def _records(data: bytes) -> Iterator[Part]:
    """IPTC data sets: tag marker, record, data set, length, value; a length of 2^15 and more is a length's length."""
    at = 0
    while at + 5 <= len(data) and data[at] == _IPTC:
        record, number, length = struct.unpack_from(">BBH", data, at + 1)
        start = at + 5
        if length & _EXTENDED:
            start += length & ~_EXTENDED
            length = int.from_bytes(data[at + 5 : start], "big")
        if start > len(data):
            return
        at = start + length
        yield Part(f"{record}:{number}", data[start:at])


def _resources(data: bytes) -> Iterator[Part]:
    """Image resource blocks: signature, number, a Pascal string and the content, both padded to an even length."""
    at = 0
    while data[at : at + 4] in _BLOCKS and at + 12 <= len(data):
        number, length = struct.unpack_from(">HB", data, at + 4)
        named = at + 7 + length
        start = named + (named - at) % 2 + 4
        size = int.from_bytes(data[start - 4 : start], "big")
        if length:
            yield Part(f"{number:04X}/name", data[at + 7 : named])
        yield Part(f"{number:04X}", data[start : start + size])
        if number in _THUMBNAIL_RESOURCES:
            yield Part(f"{number:04X}/jpeg", data[start + _THUMBNAIL_HEADER : start + size])
        at = start + size + size % 2


def _exif(data: bytes) -> Iterator[Part]:
    """Every field of the TIFF inside, and its thumbnail."""
    try:
        found = [directory for first in directories(data) for directory in first.walk()]
    except InputError:
        return
    for directory in found:
        for each in directory.fields.values():
            yield Part(f"{directory.path}/{t.name_of(each.code)}", each.raw.rstrip(b"\0"))
        yield from _thumbnail(data, directory)


def _thumbnail(data: bytes, directory: Directory) -> Iterator[Part]:
    try:
        start, length = directory.number(_THUMBNAIL), directory.number(_THUMBNAIL_LENGTH)
    except InputError:
        return
    if 0 < start < len(data):
        yield Part(f"{directory.path}/thumbnail", data[start : start + length])


def _segments(data: bytes) -> Iterator[Part]:
    """Comments and application segments of a JPEG stream."""
    try:
        foreign = jpeg.header(data, 0, len(data)).foreign
    except InputError:
        return
    yield from (Part(f"{segment.name}[{number}]", segment.payload) for number, segment in enumerate(foreign))
