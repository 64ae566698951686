"""ZIP archives: the central directory read within limits, before any library unpacks one.

Source: PKWARE APPNOTE 6.3.10 §4.3.7 (local header), §4.3.12 (central directory), §4.3.14-16 (ends), §4.5.3 (ZIP64).
Only stored and deflated files are taken, no links, no encryption, no two files with one name or with common bytes.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from coverslip.errors import CoverslipError, DamagedSlide, LimitExceeded, UnsupportedSlide
from coverslip.packed import looks_like_zip
from coverslip.preflight import names
from coverslip.tiff.structure import FileBytes

MAX_ENTRIES: Final = 20_000
MAX_RATIO: Final = 200
MAX_DIRECTORY: Final = 64 << 20
PIECE: Final = 1 << 20
"""Bytes read and handed on at a time."""

STORED, DEFLATED = 0, 8
_END: Final = struct.Struct("<4s4H2IH")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR: Final = struct.Struct("<4sIQI")
_CENTRAL: Final = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_UNIX: Final = 3
_ENCRYPTED, _UTF8 = 0x2041, 0x0800
_WIDE: Final = 0xFFFFFFFF
_SLACK: Final = 4 << 10
"""Packed bytes that surely hold the head of a file: a block's code tables take less."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive, whose name has been looked at."""

    parts: tuple[str, ...] = field(repr=False)
    method: int
    crc: int
    packed: int
    size: int
    at: int
    """Offset of its local header."""
    data: int = 0
    """Offset of its bytes."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the directory: a file or a folder."""

    entry: Entry | None
    folder: tuple[str, ...]
    untrusted_comment: bytes


@dataclass(frozen=True)
class Archive:
    """An archive within the limits; use as a context manager."""

    fd: int
    data: FileBytes = field(repr=False)
    entries: tuple[Entry, ...]
    untrusted_comments: tuple[bytes, ...] = field(default=(), repr=False)
    """What was written beside the files, the archive's own comment first."""
    folders: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    """Folders that are listed by themselves, also empty ones."""

    def __enter__(self) -> Archive:
        """The archive itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def head(self, entry: Entry, count: int) -> bytes:
        """At most the first `count` bytes of the file, unchecked. Raises DamagedSlide when they cannot be inflated."""
        raw = self.data[entry.data : entry.data + min(entry.packed, count + _SLACK)]
        if entry.method == STORED:
            return raw[:count]
        try:
            return zlib.decompressobj(-15).decompress(raw, count)
        except zlib.error:
            raise DamagedSlide("a file of an archive cannot be inflated", where="zip") from None

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The file's bytes in pieces of at most `PIECE`. Raises DamagedSlide when they are not what was announced."""
        total = crc = 0
        for piece in self._unpacked(entry):
            total, crc = total + len(piece), zlib.crc32(piece, crc)
            if total > entry.size:
                raise DamagedSlide("a file is longer than its archive says", where="zip")
            yield piece
        if (total, crc) != (entry.size, entry.crc):
            raise DamagedSlide("a file is not what its archive says", where="zip")

    def _unpacked(self, entry: Entry) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-15) if entry.method == DEFLATED else None
        for start in range(entry.data, entry.data + entry.packed, PIECE):
            rest = self.data[start : min(start + PIECE, entry.data + entry.packed)]
            if inflate is None:
                yield rest
                continue
            while rest:
                try:
                    piece = inflate.decompress(rest, PIECE)
                except zlib.error:
                    raise DamagedSlide("a file of an archive cannot be inflated", where="zip") from None
                if not piece:
                    break
                yield piece
                rest = inflate.unconsumed_tail
        if inflate is not None:
            yield inflate.flush()


def open_zip(path: Path, *, max_bytes: int) -> Archive:
    """Read an archive's directory; `max_bytes` is what all its files may take unpacked.

    Raises UnsupportedSlide when it is none or uses what is not read, LimitExceeded, DamagedSlide.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = FileBytes(fd, os.fstat(fd).st_size)
        return _archive(fd, data, max_bytes)
    except CoverslipError:
        os.close(fd)
        raise


def _archive(fd: int, data: FileBytes, max_bytes: int) -> Archive:
    count, length, start, comment = _directory(data)
    if count > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise LimitExceeded(f"more than {MAX_ENTRIES} files in an archive", where="zip")
    if start + length > len(data):
        raise DamagedSlide("the directory lies beyond the end", where="zip")
    listed = tuple(_central(data[start : start + length], count))
    found = [_located(data, row.entry, start) for row in listed if row.entry]
    _check_size(found, max_bytes)
    _check_names(found)
    _check_places(found, start)
    comments = (comment, *(row.untrusted_comment for row in listed))
    return Archive(fd, data, tuple(found), comments, tuple(row.folder for row in listed if row.folder))


def _directory(data: FileBytes) -> tuple[int, int, int, bytes]:
    """How many entries, how many bytes, where, and the comment. The end record with it has to be the file's end."""
    begin = max(0, len(data) - _END.size - 0xFFFF)
    tail = data[begin : len(data)]
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        if looks_like_zip(data[:4]):
            raise DamagedSlide("the archive ends early", where="zip")
        raise UnsupportedSlide("not a ZIP archive")
    _, disk, first, here, count, length, start, comment = _END.unpack_from(tail, at)
    if disk or first or here != count or at + _END.size + comment != len(tail):
        raise DamagedSlide("the end of the archive contradicts itself", where="zip")
    if count == 0xFFFF or _WIDE in (length, start):
        count, length, start = _directory64(data, begin + at)
    return count, length, start, tail[at + _END.size :]


def _directory64(data: FileBytes, end: int) -> tuple[int, int, int]:
    locator = data[max(0, end - _LOCATOR.size) : end]
    if len(locator) < _LOCATOR.size or locator[:4] != b"PK\6\7":
        raise DamagedSlide("the ZIP64 end is missing", where="zip")
    at = _LOCATOR.unpack(locator)[2]
    record = data[at : at + _END64.size]
    if len(record) < _END64.size or record[:4] != b"PK\6\6":
        raise DamagedSlide("the ZIP64 end is missing", where="zip")
    _, _, _, _, disk, first, here, count, length, start = _END64.unpack(record)
    if disk or first or here != count:
        raise DamagedSlide("the end of the archive contradicts itself", where="zip")
    return count, length, start


def _central(raw: bytes, count: int) -> Iterator[_Row]:
    """Each line of the directory."""
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(raw) or raw[at : at + 4] != b"PK\1\2":
            raise DamagedSlide("the directory ends early", where="zip")
        made = _CENTRAL.unpack_from(raw, at)
        lengths = made[12:15]
        stop = at + _CENTRAL.size + sum(lengths)
        if stop > len(raw):
            raise DamagedSlide("the directory ends early", where="zip")
        name_end = at + _CENTRAL.size + lengths[0]
        extra_end = name_end + lengths[1]
        name, extra = raw[at + _CENTRAL.size : name_end], raw[name_end:extra_end]
        yield _row(made, name, extra, raw[extra_end:stop])
        at = stop


def _row(made: tuple[int, ...], name: bytes, extra: bytes, comment: bytes) -> _Row:
    system, flags, method, crc, packed, size = made[2], made[5], made[6], made[9], made[10], made[11]
    attributes, at = made[17], made[18]
    size, packed, at = _widened(extra, size, packed, at)
    if flags & _ENCRYPTED or method not in (STORED, DEFLATED):
        raise UnsupportedSlide("an archive with encryption or another method than deflate", where="zip")
    mode = attributes >> 16 if system == _UNIX else 0
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DamagedSlide("an archive with links or devices", where="zip")
    try:
        text = name.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise DamagedSlide("a name is not text", where="zip") from None
    if text.endswith("/"):
        return _Row(None, names.parts(text[:-1]), comment)
    if size > MAX_RATIO * max(packed, 1) or (method == STORED and packed != size):
        raise LimitExceeded(f"a file unpacks to more than {MAX_RATIO} times its size", where="zip")
    return _Row(Entry(names.parts(text), method, crc, packed, size, at), (), comment)


def _widened(extra: bytes, size: int, packed: int, at: int) -> tuple[int, int, int]:
    """Sizes and place with their ZIP64 values where the narrow ones say so."""
    values = [size, packed, at]
    wanted = [i for i, value in enumerate(values) if value == _WIDE]
    place = 0
    while wanted and place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == 1 and 8 * len(wanted) <= length <= len(extra) - place - 4:
            for i, value in zip(wanted, struct.unpack_from(f"<{len(wanted)}Q", extra, place + 4), strict=True):
                values[i] = value
            return values[0], values[1], values[2]
        place += 4 + length
    if wanted:
        raise DamagedSlide("a ZIP64 size is missing", where="zip")
    return size, packed, at


def _located(data: FileBytes, entry: Entry, directory: int) -> Entry:
    """The entry with where its bytes begin; its local header has to agree."""
    raw = data[entry.at : entry.at + _LOCAL.size]
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\3\4":
        raise DamagedSlide("a file is not where the directory says", where="zip")
    _, _, _, method, _, _, _, _, _, name, extra = _LOCAL.unpack(raw)
    begin = entry.at + _LOCAL.size + name + extra
    if method != entry.method or begin + entry.packed > directory:
        raise DamagedSlide("a file contradicts the directory", where="zip")
    return Entry(entry.parts, entry.method, entry.crc, entry.packed, entry.size, entry.at, begin)


def _check_size(found: list[Entry], max_bytes: int) -> None:
    if sum(entry.size for entry in found) > max_bytes:
        raise LimitExceeded("an archive unpacks to more than there is room for", where="zip")


def _check_names(found: list[Entry]) -> None:
    """No two names that one file system may take for the same, and no file that is another's folder."""
    folded = {tuple(part.casefold() for part in entry.parts) for entry in found}
    folders = {path[:depth] for path in folded for depth in range(1, len(path))}
    if len(folded) != len(found) or folders & folded:
        raise DamagedSlide("an archive has two files with one name", where="zip")


def _check_places(found: list[Entry], directory: int) -> None:
    """No bytes belong to two files: one block shared by thousands of names is a bomb."""
    spans = sorted((entry.at, entry.data + entry.packed) for entry in found)
    if any(stop > start for (_, stop), (start, _) in pairwise(spans)):
        raise DamagedSlide("files of an archive share bytes", where="zip")
