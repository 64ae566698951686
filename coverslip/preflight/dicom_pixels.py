"""Encapsulated DICOM pixel data: every offset of a frame leads to a fragment, as libraries follow it unseen.

Source: PS3.5 A.4 (items, Basic Offset Table), PS3.3 C.7.6.3.1.8 (Extended Offset Table).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.tiff.structure import FileBytes

WHERE: Final = "dicom/PixelData"
MAX_TABLE: Final = 16 << 20
MAX_FRAGMENTS: Final = 4 << 20
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED: Final = 0xFFFFFFFF


def check(data: FileBytes, at: int, extended: bytes) -> None:
    """Raise DamagedSlide for an offset that leads nowhere, LimitExceeded for more fragments than anybody stores.

    `at` is where the value begins; `extended` the value of the Extended Offset Table, empty when there is none.
    """
    length = _item(data, at)
    if length > MAX_TABLE:
        raise LimitExceeded("an offset table is too long", where=WHERE)
    table = data[at + 8 : at + 8 + length]
    basic = np.frombuffer(table[: len(table) // 4 * 4], "<u4").astype(np.uint64)
    wide = np.frombuffer(extended[: len(extended) // 8 * 8], "<u8")
    if not (len(basic) or len(wide)):
        return
    starts = np.fromiter(_fragments(data, at + 8 + length), np.uint64)
    if not np.isin(np.concatenate((basic, wide)), starts).all():
        raise DamagedSlide("an offset of a frame leads nowhere", where=WHERE)


def _fragments(data: FileBytes, base: int) -> Iterator[int]:
    """Where each fragment begins, from the first one on."""
    at = base
    for _ in range(MAX_FRAGMENTS):
        if data[at : at + 4] == _END:
            return
        length = _item(data, at)
        yield at - base
        at += 8 + length
    raise LimitExceeded("more fragments than anybody stores", where=WHERE)


def _item(data: FileBytes, at: int) -> int:
    """The length of the item at a place."""
    raw = data[at : at + 8]
    if len(raw) < 8 or raw[:4] != _ITEM:
        raise DamagedSlide("pixel data is not in fragments", where=WHERE)
    length: int = struct.unpack("<I", raw[4:])[0]
    if length == _UNDEFINED or at + 8 + length > len(data):
        raise DamagedSlide("a fragment reaches beyond the end of the file", where=WHERE)
    return length
