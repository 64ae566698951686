"""A zip of stored members, made as a stream of known length: the writer for archives of very many small files.

`zipfile` keeps an object per member and cannot say beforehand how long its output will be; a deep zoom of a large slide
has a million members, and a download needs a Content-Length. Layout: APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 to
4.3.16, 4.5.3. Times are the format's own zero, so the same members make the same bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from coverslip.errors import PyramidInvalid

LIMIT_32: Final = 0xFFFFFFFF
LIMIT_16: Final = 0xFFFF
_CHUNK: Final = 256 << 10
"""Bytes handed on at a time: a tile alone is too little for a socket."""
_UTF8: Final = 0x0800
_MIDNIGHT: Final = (0, 0x21)
"""1980-01-01 00:00, the first moment the format knows."""
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_EXTRA_64 = struct.Struct("<2HQ")
_OLD, _NEW = 20, 45
"""Version needed to extract: 2.0, and 4.5 for ZIP64."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; as a rule its length is known before it is read."""

    name: str
    size: int | None
    """Bytes, below 4 GiB; None when nobody knows before it is read."""
    read: Callable[[], bytes]


def zip_length(members: Iterable[Member], limit: int = LIMIT_32) -> int | None:
    """Bytes `zip_chunks` will make of the same members, without reading one; None when a member's are not known."""
    at = count = directory = 0
    for member in members:
        if member.size is None:
            return None
        name = len(member.name.encode())
        directory += _CENTRAL.size + name + (_EXTRA_64.size if at >= limit else 0)
        at += _LOCAL.size + name + member.size
        count += 1
    return at + directory + len(_ending(count, directory, at, limit))


def zip_chunks(members: Iterable[Member], limit: int = LIMIT_32) -> Iterator[bytes]:
    """The archive, piece by piece; `limit` is where ZIP64 takes over from 32-bit offsets.

    Raises PyramidInvalid when a member is not as long as it said.
    """
    return _gathered(part for _, part in _parts(members, limit, lambda start, stop: True))


def zip_range(members: Callable[[], Iterable[Member]], start: int, stop: int, limit: int = LIMIT_32) -> Iterator[bytes]:
    """Bytes `start` to `stop` of what `zip_chunks` makes of the same members, whose lengths must all be known.

    A member outside is read only where the range reaches the directory, which names every member's checksum. Raises as
    `zip_chunks` does.
    """
    directory = _directory_at(members())

    def needed(first: int, beyond: int) -> bool:
        return stop > directory or (first < stop and beyond > start)

    def cut() -> Iterator[bytes | bytearray]:
        for at, part in _parts(members(), limit, needed):
            if at >= stop:
                return
            yield part[max(0, start - at) : stop - at]

    return _gathered(cut())


def _directory_at(members: Iterable[Member]) -> int:
    return sum(_LOCAL.size + len(member.name.encode()) + (member.size or 0) for member in members)


def _gathered(parts: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    held = bytearray()
    for part in parts:
        held += part
        if len(held) >= _CHUNK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _parts(
    members: Iterable[Member], limit: int, needed: Callable[[int, int], bool]
) -> Iterator[tuple[int, bytes | bytearray]]:
    """(offset, bytes) of everything, but for members nobody needs: from, to."""
    at, count, directory = 0, 0, bytearray()
    for member in members:
        name = member.name.encode()
        length = _LOCAL.size + len(name) + (member.size or 0)
        if member.size is None or needed(at, at + length):
            content = member.read()
            if member.size not in (None, len(content)):
                raise PyramidInvalid("a tile has another length than the index says", where="export")
            facts = (zlib.crc32(content), len(content), len(content), len(name))
            local = _LOCAL.pack(b"PK\3\4", _OLD, _UTF8, 0, *_MIDNIGHT, *facts, 0) + name
            yield at, local + content
            directory += _entry(name, facts, at, limit)
            length = len(local) + len(content)
        at += length
        count += 1
    yield at, directory
    yield at + len(directory), _ending(count, len(directory), at, limit)


def _entry(name: bytes, facts: tuple[int, int, int, int], at: int, limit: int) -> bytes:
    """One line of the central directory."""
    extra = _EXTRA_64.pack(1, 8, at) if at >= limit else b""
    version = _NEW if extra else _OLD
    head = (b"PK\1\2", version, version, _UTF8, 0, *_MIDNIGHT, *facts)
    return _CENTRAL.pack(*head, len(extra), 0, 0, 0, 0, LIMIT_32 if extra else at) + name + extra


def _ending(count: int, directory: int, at: int, limit: int) -> bytes:
    """What stands after the central directory: with ZIP64's own two records where 16 or 32 bits are too few."""
    end = _END.pack(
        b"PK\5\6", 0, 0, *(min(count, LIMIT_16),) * 2, min(directory, LIMIT_32), LIMIT_32 if at >= limit else at, 0
    )
    if count < LIMIT_16 and directory < LIMIT_32 and at < limit:
        return end
    end_64 = _END_64.pack(b"PK\6\6", _END_64.size - 12, _NEW, _NEW, 0, 0, count, count, directory, at)
    return end_64 + _LOCATOR_64.pack(b"PK\6\7", 0, at + directory, 1) + end
