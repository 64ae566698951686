"""Hamamatsu: NDPI strips, and the pictures of a VMS or VMU set, within what a reader allocates for them.

Source: OpenSlide 4.0 `openslide-vendor-hamamatsu.c`; NDPI beyond 4 GiB as tifffile reads it: 64-bit pointers to
directories, and after each directory the upper halves of its values.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded, UnsupportedSlide
from coverslip.geometry import Size
from coverslip.preflight import jpegs, keyfile
from coverslip.tiff import tags as t
from coverslip.tiff.structure import MAX_DIRECTORIES, MAX_FIELDS, MAX_PIXELS, MAX_SIDE, Directory, FileBytes

FORMAT: Final = 65420
"""The field that makes a TIFF an NDPI."""
MAX_KEY_FILE: Final = 64 << 10
"""What OpenSlide reads of a key file."""
MAX_PICTURES: Final = 4096
_UNCOMPRESSED: Final = b"Uncompressed Virtual Microscope Specimen]"
_GROUPS: Final = (b"Virtual Microscope Specimen]", _UNCOMPRESSED)
_ONLY: Final = {"BitsPerPixel": "36", "PixelOrder": "RGB"}
"""What a VMU set has to say: OpenSlide 4.0.1 ends its process on anything else, or on nothing."""
_BOUNDS: Final = ((re.compile("NoJpeg(Columns|Rows)"), 1024),)
_NAMES: Final = re.compile("ImageFile.*|MapFile|MacroImage|OptimisationFile")
_STRIP: Final = 64
"""Rows VMU pictures are read by."""
_SAMPLES: Final = 6
"""Bytes of one of their pixels."""


def check_page(data: FileBytes, directory: Directory) -> None:
    """Raise LimitExceeded for an NDPI page that would be decoded, or its positions kept, beyond reason."""
    if not directory.tiled and directory.number(t.STRIP_OFFSETS):
        _check_strip(data, directory.size, directory.number(t.STRIP_OFFSETS), directory.path)


def check_large(path: Path) -> bool:
    """Check an NDPI beyond 4 GiB, whose directories need a walk of their own; False when the file is none.

    Raises as `check_page`, and DamagedSlide.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = FileBytes(fd, os.fstat(fd).st_size)
        ours = False
        for number, page in enumerate(_large_pages(data)):
            ours = ours or FORMAT in page.fields
            if not ours:
                break
            _check_large_page(data, page, f"ifd[{number}]")
    finally:
        os.close(fd)
    return ours


def _check_large_page(data: FileBytes, page: _LargePage, where: str) -> None:
    size = Size(page.number(t.IMAGE_WIDTH, where)[0], page.number(t.IMAGE_LENGTH, where)[0])
    if max(size.width, size.height) > MAX_SIDE or size.area > MAX_PIXELS:
        raise LimitExceeded("an image is too large", where=where)
    low, high = page.number(t.STRIP_OFFSETS, where)
    # Some readers take the upper half, others guess: the last such place before the directory.
    guessed = (page.at - low - 1 >> 32 << 32) + low
    for at in {low | high << 32, max(guessed, low)}:
        _check_strip(data, size, at, where)


def _check_strip(data: FileBytes, size: Size, at: int, where: str) -> None:
    found = jpegs.frame(data, at)
    if found is not None:
        jpegs.check(found, size, where)


@dataclass(frozen=True, slots=True)
class _LargePage:
    """A directory of an NDPI beyond 4 GiB."""

    at: int
    fields: dict[int, tuple[int, int, int, int]]
    """By code: type, count, and both halves of what stands in the entry."""

    def number(self, code: int, where: str) -> tuple[int, int]:
        """Both halves of a field that is one number. Raises DamagedSlide for a field that is more."""
        kind, count, low, high = self.fields.get(code, (t.LONG, 1, 0, 0))
        if kind not in (t.SHORT, t.LONG) or count != 1:
            raise DamagedSlide("a number has another type", where=f"{where}/{t.name_of(code)}")
        return (low & 0xFFFF, 0) if kind == t.SHORT else (low, high)


def _large_pages(data: FileBytes) -> Iterator[_LargePage]:
    """Each directory; an empty one when there is no first that can be followed."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
    at, seen = struct.unpack(f"{order}Q", data[4:12])[0] if order else 0, set[int]()
    while at:
        if at in seen or len(seen) >= MAX_DIRECTORIES:
            raise LimitExceeded("directories form a loop or are too many", where="header")
        seen.add(at)
        count = struct.unpack(f"{order}H", data[at : at + 2].ljust(2, b"\0"))[0]
        raw = data[at + 2 : at + 2 + 16 * count + 8]
        if count > MAX_FIELDS or len(raw) < 16 * count + 8:
            break
        yield _LargePage(at, dict(_large_field(raw, i, count, order) for i in range(count)))
        at = struct.unpack_from(f"{order}Q", raw, 12 * count)[0]
    else:
        return
    if len(seen) == 1:  # perhaps a TIFF of another kind: its own walk says so
        yield _LargePage(at, {})
    raise DamagedSlide("a directory has too many fields or ends early", where=f"ifd[{len(seen) - 1}]")


def _large_field(raw: bytes, index: int, count: int, order: str) -> tuple[int, tuple[int, int, int, int]]:
    """One field, its upper half from behind the directory."""
    code, kind, values = struct.unpack_from(f"{order}HHI", raw, 12 * index)
    form = "HH" if kind == t.SHORT else "I"
    low = struct.unpack_from(order + form, raw, 12 * index + 8)[0]
    high = struct.unpack_from(f"{order}I", raw, 12 * count + 8 + 4 * index)[0]
    return code, (kind, values, low, high)


def is_set(raw: bytes) -> bool:
    """Whether a small file is the key file of a VMS or VMU set."""
    return any(group in raw for group in _GROUPS)


def check_set(path: Path) -> None:
    """A VMS or VMU set: counts, names, and the header of each picture named.

    Raises LimitExceeded, and DamagedSlide for names that leave the folder.
    """
    raw = path.read_bytes()
    numbers = keyfile.check_numbers(raw, _BOUNDS, "keys")
    if numbers.get("NoJpegColumns", 1) * numbers.get("NoJpegRows", 1) > MAX_PICTURES:
        raise LimitExceeded(f"more than {MAX_PICTURES} pictures", where="keys/NoJpegColumns")
    if _UNCOMPRESSED in raw:
        _check_samples(raw)
    for number, name in enumerate(keyfile.check_names(raw, _NAMES, "keys")):
        file = path.with_name(name)
        if file.is_file():
            _check_picture(file, f"companion[{number}]")


def _check_samples(raw: bytes) -> None:
    if sum(line.lstrip().startswith(b"[") for line in raw.split(b"\n")) != 1:
        raise UnsupportedSlide("more groups than one", where="keys")
    for key, only in _ONLY.items():
        said = {value for found, value in keyfile.lines(raw) if found == key}
        if said != {only}:
            raise UnsupportedSlide("pictures that are not three times 12 bits", where=f"keys/{key}")


def _check_picture(path: Path, where: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        data = FileBytes(fd, os.fstat(fd).st_size)
        head = data[:28]
        if head[:2] == b"GN" and len(head) == 28:
            _check_uncompressed(head, data.size, where)
        elif head[:2] == b"\xff\xd8" and (found := jpegs.frame(data, 0)) is not None:
            _check_tiles(found, where)
    finally:
        os.close(fd)


def _check_tiles(found: jpegs.Frame, where: str) -> None:
    jpegs.check(found, found.size, where)
    if found.interval * found.unit.width > found.size.width or found.unit.height > found.size.height:
        raise DamagedSlide("a picture is smaller than its own restart interval", where=where)


def _check_uncompressed(head: bytes, length: int, where: str) -> None:
    width, height, column, _, _, start = struct.unpack_from("<6i", head, 4)
    if max(width, height) > MAX_SIDE or column * _STRIP > jpegs.MAX_UNDIVIDED:
        raise LimitExceeded("a picture is too large", where=where)
    if min(width, height, start) < 0 or start + width * height * _SAMPLES > length:
        raise DamagedSlide("a picture ends before its last pixel", where=where)
