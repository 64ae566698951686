"""The verifier's own TIFF walker: classic and BigTIFF, both byte orders, every directory that can be reached."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coverslip.errors import DamagedSlide, LimitExceeded, UnsupportedSlide
from coverslip.verify.limits import MAX_ALL_TAGS, MAX_ARRAY_BYTES, MAX_IFDS, MAX_TAGS, MAX_VALUE_BYTES
from coverslip.verify.reading import Bytes

TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
INTEGER_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
ARRAY_TAGS = frozenset({273, 279, 324, 325})
"""Strip and tile offsets and byte counts: the only values that may be long."""


class IfdKind(StrEnum):
    """How a directory is reached."""

    PAGE = "page"
    SUBIFD = "SubIFDs"
    EXIF = "Exif"
    GPS = "GPS"
    INTEROP = "Interop"


CHILDREN = {330: IfdKind.SUBIFD, 34665: IfdKind.EXIF, 34853: IfdKind.GPS, 40965: IfdKind.INTEROP}


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a directory."""

    tag: int
    type: int
    count: int
    offset: int
    """Where the value stands: inside the entry when it fits, elsewhere when not."""
    size: int
    """Bytes of the value; 0 when the type is unknown."""
    inline: bool


@dataclass(frozen=True, slots=True)
class Ifd:
    """One image file directory."""

    path: str
    kind: IfdKind
    offset: int
    size: int
    """Bytes of the directory itself: count, entries and link."""
    fields: tuple[Field, ...]

    def field(self, tag: int) -> Field | None:
        """The first entry with this tag."""
        return next((field for field in self.fields if field.tag == tag), None)


@dataclass(frozen=True, slots=True)
class Tiff:
    """A walked TIFF: its directories in the order they are reached."""

    order: str
    """`<` or `>`."""
    big: bool
    ifds: tuple[Ifd, ...]

    @property
    def byteorder(self) -> Literal["little", "big"]:
        """The order as Python spells it."""
        return "little" if self.order == "<" else "big"

    @property
    def header_size(self) -> int:
        """Bytes before anything a pointer leads to."""
        return 16 if self.big else 8

    @property
    def pages(self) -> tuple[Ifd, ...]:
        """Directories of the main chain."""
        return tuple(ifd for ifd in self.ifds if ifd.kind is IfdKind.PAGE)


def walk(file: Bytes) -> Tiff:
    """Walk all directories.

    Raises `UnsupportedSlide` without a TIFF header, `DamagedSlide` for loops and pointers out of the file,
    `LimitExceeded` for more directories or entries than anybody needs.
    """
    order, big, first = _header(file)
    ifds = list(_chain(file, order, big, first))
    return Tiff(order, big, tuple(ifds))


def raw(file: Bytes, ifd: Ifd, field: Field) -> bytes:
    """The value's bytes as they stand in the file."""
    where = f"{ifd.path}/{field.tag}"
    limit = MAX_ARRAY_BYTES if field.tag in ARRAY_TAGS else MAX_VALUE_BYTES
    if field.size > limit:
        raise LimitExceeded("a tag's value is too long", where=where)
    return file.read(field.offset, field.size, where)


def numbers(file: Bytes, order: str, ifd: Ifd, field: Field) -> NDArray[np.int64]:
    """An integer value as 64-bit numbers; raises `DamagedSlide` when the type is not integral or a number too large."""
    code = INTEGER_TYPES.get(field.type)
    where = f"{ifd.path}/{field.tag}"
    if code is None:
        raise DamagedSlide("a number is expected here", where=where)
    values = np.frombuffer(raw(file, ifd, field), dtype=np.dtype(order + code))
    if code == "u8" and values.size and int(values.max()) > 2**62:
        raise DamagedSlide("a number is out of any range", where=where)
    return values.astype(np.int64)


def _header(file: Bytes) -> tuple[str, bool, int]:
    if file.size < 8:
        raise UnsupportedSlide("not a TIFF", where="header")
    head = file.read(0, min(16, file.size), "header")
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    magic = struct.unpack(order + "H", head[2:4])[0] if order else 0
    if magic == 42:
        return order, False, struct.unpack(order + "I", head[4:8])[0]
    if magic == 43 and len(head) == 16 and struct.unpack(order + "HH", head[4:8]) == (8, 0):
        return order, True, struct.unpack(order + "Q", head[8:16])[0]
    raise UnsupportedSlide("not a TIFF", where="header")


def _chain(file: Bytes, order: str, big: bool, first: int) -> Iterator[Ifd]:
    seen: set[int] = set()
    tags = 0
    waiting = [(first, "ifd", IfdKind.PAGE)]
    while waiting:
        for ifd in _linked(file, order, big, waiting.pop(0), seen):
            tags += len(ifd.fields)
            if tags > MAX_ALL_TAGS:
                raise LimitExceeded("too many entries", where=ifd.path)
            yield ifd
            waiting += _children(file, order, ifd)


def _linked(file: Bytes, order: str, big: bool, start: tuple[int, str, IfdKind], seen: set[int]) -> Iterator[Ifd]:
    """One chain of directories; EXIF and GPS directories have no successors whatever their link says."""
    offset, prefix, kind = start
    index = 0
    while offset:
        path = f"{prefix}[{index}]" if kind is IfdKind.PAGE or index else prefix
        if offset in seen:
            raise DamagedSlide("directories form a loop", where=path)
        if len(seen) >= MAX_IFDS:
            raise LimitExceeded("too many directories", where=path)
        seen.add(offset)
        ifd, offset = _directory(file, order, big, offset, (path, kind))
        yield ifd
        index += 1
        if kind not in (IfdKind.PAGE, IfdKind.SUBIFD):
            return


def _directory(file: Bytes, order: str, big: bool, offset: int, name: tuple[str, IfdKind]) -> tuple[Ifd, int]:
    path, kind = name
    head, step, link = (8, 20, 8) if big else (2, 12, 4)
    count = int.from_bytes(file.read(offset, head, path), "little" if order == "<" else "big")
    if count > MAX_TAGS:
        raise LimitExceeded("too many entries", where=path)
    body = file.read(offset + head, count * step + link, path)
    layout = struct.Struct(order + ("HHQQ" if big else "HHII"))
    fields = tuple(
        _field(layout.unpack_from(body, entry * step), offset + head + entry * step, big) for entry in range(count)
    )
    following = struct.unpack_from(order + ("Q" if big else "I"), body, count * step)[0]
    return Ifd(path, kind, offset, head + count * step + link, fields), following


def _field(entry: tuple[int, int, int, int], at: int, big: bool) -> Field:
    tag, kind, count, pointer = entry
    size = TYPE_SIZES.get(kind, 0) * count
    inline = size <= (8 if big else 4)
    return Field(tag, kind, count, at + (12 if big else 8) if inline else pointer, size, inline)


def _children(file: Bytes, order: str, ifd: Ifd) -> list[tuple[int, str, IfdKind]]:
    found: list[tuple[int, str, IfdKind]] = []
    for field in ifd.fields:
        kind = CHILDREN.get(field.tag)
        if kind is None or field.type not in (4, 13, 16, 18):
            continue
        if field.count > MAX_IFDS:
            raise LimitExceeded("too many directories", where=f"{ifd.path}/{field.tag}")
        offsets = numbers(file, order, ifd, field).tolist()
        several = kind is IfdKind.SUBIFD
        found += [
            (at, f"{ifd.path}/{kind}[{n}]" if several else f"{ifd.path}/{kind}", kind) for n, at in enumerate(offsets)
        ]
    return found
