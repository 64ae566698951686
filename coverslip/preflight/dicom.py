"""DICOM headers: elements, lengths and nesting within the limits, up to the pixel data.

Source: PS3.10 §7.1 (file meta information), PS3.5 §7.1 (data elements), §7.5 (sequences, undefined length), A.5
(deflated: refused, as its size shows only when it is inflated).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded, UnsupportedSlide
from coverslip.preflight import dicom_pixels
from coverslip.tiff.structure import MAX_PIXELS, MAX_SIDE, FileBytes

MAGIC: Final = b"DICM"
MAX_DEPTH: Final = 32
MAX_ELEMENTS: Final = 500_000
MAX_VALUE: Final = 16 << 20
MAX_HEADER: Final = 256 << 20
"""Bytes before the pixel data."""
DEFLATED: Final = (b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.8.1")
IMPLICIT: Final = b"1.2.840.10008.1.2"
BIG_ENDIAN: Final = b"1.2.840.10008.1.2.2"

UNDEFINED: Final = 0xFFFFFFFF
_START: Final = 132
_SYNTAX: Final = (0x0002, 0x0010)
_META: Final = 0x0002
_PIXELS: Final = 0x7FE0
_PIXEL_DATA, _OFFSETS = (0x7FE0, 0x0010), (0x7FE0, 0x0001)
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_ITEM_MARK: Final = b"\xfe\xff\x00\xe0"
_LONG: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_AHEAD: Final = 64 << 10
"""Bytes read at a time."""

MAX_FRAME: Final = 64 << 20
"""Pixels of one frame: it is decoded whole."""
_ROWS, _COLUMNS = (0x0028, 0x0010), (0x0028, 0x0011)
_MATRIX: Final = ((0x0048, 0x0006), (0x0048, 0x0007))
_SIZES: Final = frozenset((_ROWS, _COLUMNS, *_MATRIX))


def check(path: Path) -> None:
    """Raise LimitExceeded beyond the limits, DamagedSlide where lengths contradict, UnsupportedSlide when deflated."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = FileBytes(fd, os.fstat(fd).st_size)
        _Walk(data).file()
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class _Open:
    """A sequence or item that is open at the moment."""

    end: int
    implicit: bool
    fragments: bool = False
    """Its items are pieces of pixel data, not datasets."""


class _Walk:
    """One walk over a file's elements; nested ones with a stack of our own, so that no depth can end us."""

    def __init__(self, data: FileBytes) -> None:
        self._data = data
        self._at, self._count = _START, 0
        self._near, self._near_at = b"", 0
        self._implicit = False
        self._open_now: list[_Open] = []
        self._sizes: dict[tuple[int, int], int] = {}
        self._offsets = b""

    def file(self) -> None:
        syntax = self._meta()
        if syntax in DEFLATED:
            raise UnsupportedSlide("deflated DICOM is not read", where="dicom/TransferSyntaxUID")
        if syntax == BIG_ENDIAN:
            raise UnsupportedSlide("big-endian DICOM is not read", where="dicom/TransferSyntaxUID")
        self._implicit = syntax == IMPLICIT
        self._dataset()
        self._check_sizes()

    def _check_sizes(self) -> None:
        """PS3.3 C.7.6.3 and C.8.12.4: a frame and the matrix it belongs to."""
        rows, columns = self._sizes.get(_ROWS, 0), self._sizes.get(_COLUMNS, 0)
        if rows * columns > MAX_FRAME:
            raise LimitExceeded("a frame is too large", where="dicom/Rows")
        width, height = (self._sizes.get(side, 0) for side in _MATRIX)
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise LimitExceeded("an image is too large", where="dicom/TotalPixelMatrixColumns")

    def _meta(self) -> bytes:
        syntax = b""
        while self._at + 8 <= len(self._data) and struct.unpack("<H", self._take(self._at, 2))[0] == _META:
            tag, vr, length, start = self._header()
            if vr == b"SQ" or length == UNDEFINED:
                raise DamagedSlide("file meta information has a sequence", where="dicom")
            if tag == _SYNTAX:
                syntax = self._take(start, min(length, 64)).rstrip(b"\0 ")
            self._at = start + length
        return syntax

    def _dataset(self) -> None:
        """Until the pixel data or the end."""
        while self._at < len(self._data):
            while self._open_now and self._at >= self._open_now[-1].end:
                self._open_now.pop()
            tag, vr, length, start = self._header()
            if tag == _PIXEL_DATA and not self._open_now:
                if length == UNDEFINED:
                    dicom_pixels.check(self._data, start, self._offsets)
                return
            if tag == _OFFSETS and length <= MAX_VALUE:
                self._offsets = self._data[start : start + length]
            self._element(tag, vr, length, start)

    def _element(self, tag: tuple[int, int], vr: bytes, length: int, start: int) -> None:
        inside = self._open_now[-1] if self._open_now else _Open(len(self._data), self._implicit)
        self._at = start
        if tag in (_ITEM_END, _SEQUENCE_END):
            self._open_now[-1:] = []  # a delimiter ends the innermost thing
        elif tag == _ITEM and not inside.fragments:
            self._enter(start, length, implicit=inside.implicit)
        elif self._nests(vr, length, inside):
            foreign = vr == b"UN"  # PS3.5 §6.2.2: what is unknown is encoded implicitly
            fragments = tag[0] == _PIXELS or vr in (b"OB", b"OW")
            self._enter(start, length, implicit=foreign or inside.implicit, fragments=fragments)
        elif length > MAX_VALUE:
            raise LimitExceeded("a value is too long", where="dicom")
        else:
            if tag in _SIZES and not self._open_now:
                self._sizes[tag] = max(
                    int.from_bytes(self._take(start, min(length, 4)), "little"), self._sizes.get(tag, 0)
                )
            self._at = start + length

    def _nests(self, vr: bytes, length: int, inside: _Open) -> bool:
        """Sequences and values of undefined length; implicit sequences show by their first item."""
        if vr == b"SQ" or length == UNDEFINED:
            return True
        return not inside.fragments and vr in (b"", b"UN") and length >= 8 and self._take(self._at, 4) == _ITEM_MARK

    def _enter(self, start: int, length: int, *, implicit: bool, fragments: bool = False) -> None:
        end = len(self._data) + 1 if length == UNDEFINED else start + length
        self._open_now.append(_Open(end, implicit, fragments))
        if len(self._open_now) > 2 * MAX_DEPTH:  # a level of nesting is a sequence and an item
            raise LimitExceeded(f"sequences are nested deeper than {MAX_DEPTH}", where="dicom")

    def _header(self) -> tuple[tuple[int, int], bytes, int, int]:
        """Tag, VR (empty when implicit), length and where the value starts, checked against the file."""
        self._count += 1
        if self._count > MAX_ELEMENTS or self._at > MAX_HEADER:
            raise LimitExceeded("more elements than anybody reads", where="dicom")
        raw = self._take(self._at, 12)
        if len(raw) < 8:
            raise DamagedSlide("a DICOM file ends inside an element", where="dicom")
        tag: tuple[int, int] = struct.unpack("<HH", raw[:4])
        vr, length, start = self._length(tag, raw)
        if length != UNDEFINED and start + length > len(self._data):
            raise DamagedSlide("an element reaches beyond the end of the file", where="dicom")
        return tag, vr, length, start

    def _length(self, tag: tuple[int, int], raw: bytes) -> tuple[bytes, int, int]:
        implicit = self._open_now[-1].implicit if self._open_now else self._implicit
        if tag[0] == 0xFFFE or (implicit and tag[0] != _META):
            return b"", struct.unpack("<I", raw[4:8])[0], self._at + 8
        vr = raw[4:6]
        if vr not in _LONG:
            return vr, struct.unpack("<H", raw[6:8])[0], self._at + 8
        if len(raw) < 12:
            raise DamagedSlide("a DICOM file ends inside an element", where="dicom")
        return vr, struct.unpack("<I", raw[8:12])[0], self._at + 12

    def _take(self, at: int, length: int) -> bytes:
        """Bytes from a window that moves forward, so that a header costs no system call."""
        if at < self._near_at or at + length > self._near_at + len(self._near):
            self._near, self._near_at = self._data[at : at + max(length, _AHEAD)], at
        return self._near[at - self._near_at : at - self._near_at + length]
