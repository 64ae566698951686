"""Zeiss CZI: subblock directory, metadata and attachments within what a reader allocates for them.

Source: ZISRAW (CZI) file format, design specification 1.2.2; OpenSlide 4.0 `openslide-vendor-zeiss.c`, which
multiplies a subblock's sides and divides by them as they stand.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.preflight import xml
from coverslip.tiff.structure import FileBytes

MAGIC: Final = b"ZISRAWFILE"
MAX_BLOCKS: Final = 1 << 20
MAX_DIRECTORY: Final = 256 << 20
MAX_SIDE: Final = 8192
"""Stored pixels of a subblock's side."""
MAX_PLACE: Final = 1 << 26
"""Base pixels from the origin, where a subblock may lie."""
MAX_DIMENSIONS: Final = 16
MAX_ATTACHMENTS: Final = 1000

_SEGMENT: Final = 32
_FILE: Final = struct.Struct("<16s2q2i2i16s16siqqiq")
_ENTRY: Final = struct.Struct("<2siqiibB4si")
_DIMENSION: Final = struct.Struct("<4siifi")
_ATTACHMENT: Final = struct.Struct("<2s10sqi16s8s80s")


def check(path: Path) -> None:
    """Raise LimitExceeded for sizes nobody can mean, DamagedSlide where the structure ends or contradicts itself."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(FileBytes(fd, os.fstat(fd).st_size), 0, nested=False)
    finally:
        os.close(fd)


def _check(data: FileBytes, base: int, *, nested: bool) -> None:
    header = _FILE.unpack(_bytes(data, base, _FILE.size, "header"))
    if not header[0].startswith(MAGIC):
        raise DamagedSlide("an embedded file does not begin as one", where="attachment")
    directory, metadata, attachments = header[10], header[11], header[13]
    _check_blocks(data, base + directory)
    _check_metadata(data, base + metadata)
    if attachments and not nested:
        _check_attachments(data, base + attachments)


def _check_blocks(data: FileBytes, at: int) -> None:
    """Every entry of the subblock directory."""
    where = "subblocks"
    used, count = _segment(data, at, b"ZISRAWDIRECTORY", where)
    if not 0 <= count <= MAX_BLOCKS or not 128 <= used <= MAX_DIRECTORY:
        raise LimitExceeded("more subblocks than anybody stores", where=where)
    raw = _bytes(data, at + _SEGMENT + 128, used - 128, where)
    place = 0
    for number in range(count):
        place = _check_block(raw, place, f"subblocks[{number}]")


def _check_block(raw: bytes, at: int, where: str) -> int:
    """One entry; where the next begins."""
    if at + _ENTRY.size > len(raw):
        raise DamagedSlide("the directory of subblocks ends early", where=where)
    dimensions: int = _ENTRY.unpack_from(raw, at)[-1]
    stop = at + _ENTRY.size + _DIMENSION.size * dimensions
    if not 0 <= dimensions <= MAX_DIMENSIONS or stop > len(raw):
        raise DamagedSlide("a subblock has too many dimensions", where=where)
    for place in range(at + _ENTRY.size, stop, _DIMENSION.size):
        name, start, size, _, stored = _DIMENSION.unpack_from(raw, place)
        if name.rstrip(b"\0") in (b"X", b"Y"):
            _check_side(start, size, stored, where)
    return stop


def _check_side(start: int, size: int, stored: int, where: str) -> None:
    if size < 1 or stored < 1:
        raise DamagedSlide("a subblock has no extent", where=where)
    if stored > MAX_SIDE or size > MAX_PLACE or abs(start) > MAX_PLACE:
        raise LimitExceeded("a subblock is too large or too far away", where=where)


def _check_metadata(data: FileBytes, at: int) -> None:
    _, length = _segment(data, at, b"ZISRAWMETADATA", "metadata")
    if not 0 <= length <= xml.MAX_BYTES:
        raise LimitExceeded("XML is too long", where="metadata")
    raw = _bytes(data, at + _SEGMENT + 256, length, "metadata")
    if xml.looks_like_xml(raw):
        xml.check(raw, "metadata")


def _check_attachments(data: FileBytes, at: int) -> None:
    """The list of attachments, and what is itself a CZI (the picture of the glass)."""
    _, count = _segment(data, at, b"ZISRAWATTDIR", "attachments")
    if not 0 <= count <= MAX_ATTACHMENTS:
        raise LimitExceeded("more attachments than anybody stores", where="attachments")
    raw = _bytes(data, at + _SEGMENT + 256, count * _ATTACHMENT.size, "attachments")
    for number in range(count):
        entry = _ATTACHMENT.unpack_from(raw, number * _ATTACHMENT.size)
        inside = entry[2] + _SEGMENT + 256
        if data[max(inside, 0) : inside + len(MAGIC)] == MAGIC:
            _check(data, inside, nested=True)


def _segment(data: FileBytes, at: int, name: bytes, where: str) -> tuple[int, int]:
    """Used bytes of a segment and the first number in it."""
    raw = _bytes(data, at, _SEGMENT + 4, where)
    if raw[:16].rstrip(b"\0") != name:
        raise DamagedSlide("a segment is not where it should be", where=where)
    return struct.unpack_from("<q", raw, 24)[0], struct.unpack_from("<i", raw, 32)[0]


def _bytes(data: FileBytes, at: int, length: int, where: str) -> bytes:
    raw = data[at : at + length] if at >= 0 else b""
    if len(raw) < length:
        raise DamagedSlide("the file ends inside a structure", where=where)
    return raw
