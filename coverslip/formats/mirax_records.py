"""Records of a MIRAX slide that are no tiles (pictures, profile XML, comments), found through `Index.dat`.

Source: OpenSlide `openslide-vendor-mirax.c`: after version and SLIDE_ID stand two pointers; the second leads to a table
with one entry per record, each to a list head (0, page), each page to (1, next, 0, 0, offset, length, data file).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.formats import ini
from coverslip.formats.readable import readable

MAX_RECORDS: Final = 1000
MAX_INDEX: Final = 64 << 20
MAX_RECORD: Final = 1 << 20
"""Bytes of a record that are looked at."""
_VERSION: Final = len(b"01.02")


def records(folder: Path) -> Iterator[Element]:
    """What the records say; one whose place cannot be followed is an unknown element without content."""
    settings = {(pair.section, pair.key): pair.untrusted_value for pair in ini.pairs(folder / "Slidedat.ini")}
    identity = settings.get(("GENERAL", "SLIDE_ID"), "")
    index = _bytes_of(folder, settings.get(("HIERARCHICAL", "INDEXFILE"), ""), 0, MAX_INDEX)
    for number in range(_count(settings)):
        where = f"record[{number}]"
        try:
            offset, length, part = _locate(index, _VERSION + len(identity) + 4, number)
        except struct.error:
            yield Element(ElementPath(where), ElementKind.BYTES, understood=False)
            continue
        raw = _bytes_of(folder, settings.get(("DATAFILE", f"FILE_{part}"), ""), offset, min(length, MAX_RECORD))
        yield Element(ElementPath(where), ElementKind.BYTES, understood=False)
        yield from readable(raw, where)


def _count(settings: dict[tuple[str, str], str]) -> int:
    kinds = min(_integer(settings.get(("HIERARCHICAL", "NONHIER_COUNT"), "")), MAX_RECORDS)
    counts = (_integer(settings.get(("HIERARCHICAL", f"NONHIER_{kind}_COUNT"), "")) for kind in range(kinds))
    return min(sum(counts), MAX_RECORDS)


def _integer(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _locate(index: bytes, root: int, number: int) -> tuple[int, int, int]:
    """Offset, length and data file of one record. Raises struct.error where a pointer leaves the index."""
    table = _at(index, root)
    page = _at(index, _at(index, table + 4 * number) + 4)
    return _at(index, page + 16), _at(index, page + 20), _at(index, page + 24)


def _at(index: bytes, place: int) -> int:
    if place < 0:
        raise struct.error
    value: int = struct.unpack_from("<i", index, place)[0]
    return value


def _bytes_of(folder: Path, name: str, offset: int, length: int) -> bytes:
    """Part of a file; nothing when the file named is not a plain file of the slide's folder."""
    file = folder / name
    if Path(name).name != name or not name or not file.is_file() or file.is_symlink() or offset < 0 or length <= 0:
        return b""
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)
