"""Every place of a TIFF where identity can live, as elements: fields, marker segments, profiles, unowned bytes.

Source: the PHI map's "Any TIFF" table. Vendors add what only they understand (the parts of an ImageDescription).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from coverslip.codestreams import icc, jpeg
from coverslip.codestreams.jpeg_tables import words
from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.errors import InputError
from coverslip.names import stem_bytes
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import Blocks, Foreign
from coverslip.tiff.parts import parts, swapped
from coverslip.tiff.structure import Directory, Field, TiffFile

MAX_VALUE: Final = 1 << 20
"""Bytes of a value that are remembered for the leak search."""
MAX_NUMBERS: Final = 64
"""Numbers of a field that are remembered."""

STRUCTURE: Final = frozenset((
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 322, 323, 324, 325, 338,
    339, 529, 530, 531, 532, 32997,
))  # fmt: skip
"""Fields whose type and meaning leave room for numbers only."""

_MAY_BE_WORDS: Final = frozenset((t.ASCII, t.BYTE, t.UNDEFINED, t.SBYTE))
"""Types that hold text on purpose; numbers of other types may spell words too."""
_CONTAINERS: Final = frozenset((t.IPTC, t.PHOTOSHOP))
_RESOLUTION: Final = frozenset((282, 283))
_COLOUR: Final = frozenset((529, 532))
"""Fractions of any two numbers of 32 bits; we write others, none of which is read as more than is said here."""
_MAX_COLOUR: Final = 0xFFFF
"""Above and below in any fraction of colour that is written."""
_WORDS: Final = re.compile(rb"[\x20-\x7e]{6,}")
MAX_LOOKED: Final = 4096
MAX_HEADER: Final = 64 << 10
"""Tiles whose headers are looked at where tiles are not copied, and bytes of one."""
MAX_POINTED: Final = 64
"""Stretches of bytes a field points to that are looked at."""


def field_elements(tiff: TiffFile, directory: Directory) -> Iterator[Element]:
    """Elements of every field, those that are looked into part by part, and of the bytes that fields point to."""
    for found in directory.fields.values():
        path = f"{directory.path}/{t.name_of(found.code)}"
        if found.code == t.ICC_PROFILE:
            yield from profile_elements(path, found.raw)
        elif found.code == t.JPEG_TABLES:
            yield from _table_elements(path, found.raw)
        else:
            yield from value_elements(directory, found)
    yield from pointed_elements(tiff, directory)


def value_elements(directory: Directory, found: Field) -> Iterator[Element]:
    """One field: numbers as they print and as the bytes they are, for either may spell a name; IPTC by records."""
    path, known = ElementPath(f"{directory.path}/{t.name_of(found.code)}"), found.code in t.NAMES
    raw = found.raw[:MAX_VALUE].rstrip(b"\0")
    if found.code in STRUCTURE or found.code in t.POINTERS:
        yield Element(path, ElementKind.STRUCTURE, known)
        if _has_room(directory, found):
            yield Element(ElementPath(f"{path}/bytes"), ElementKind.BYTES, known, raw)
        return
    if found.code in _CONTAINERS:
        raw = _upright(raw)
        yield Element(path, ElementKind.BYTES, known, raw)
        yield from part_elements(path, raw)
    elif found.type not in _MAY_BE_WORDS:
        yield Element(path, ElementKind.NUMBER, known, _printed(directory, found))
        yield Element(ElementPath(f"{path}/bytes"), ElementKind.BYTES, known, raw)
    else:
        printable = found.type == t.ASCII or all(32 <= byte < 127 or byte in b"\t\r\n" for byte in raw[:4096])
        yield Element(path, ElementKind.TEXT if printable else ElementKind.BYTES, known, raw)


def _has_room(directory: Directory, found: Field) -> bool:
    """Whether a field of fractions says something that will not be written: colour of large numbers, letters."""
    if found.code in _COLOUR and found.type == t.RATIONAL:
        return max(_array(found.raw[:MAX_VALUE], f"{directory.order}u4"), default=0) > _MAX_COLOUR
    return found.code in _RESOLUTION | _COLOUR and _WORDS.search(found.raw[:MAX_VALUE]) is not None


def _upright(raw: bytes) -> bytes:
    """IPTC as it reads: stored as numbers of the other byte order it is turned in fours."""
    return swapped(raw + bytes(-len(raw) % 4)) if raw[:1] != b"\x1c" and raw[3:4] == b"\x1c" else raw


def part_elements(path: str, untrusted: bytes) -> Iterator[Element]:
    """One element for each value inside a value."""
    seen: dict[str, int] = {}
    for part in parts(untrusted):
        seen[part.name] = number = seen.get(part.name, 0) + 1
        where = f"{path}/{part.name}" if number == 1 else f"{path}/{part.name}#{number}"
        yield Element(ElementPath(where), ElementKind.BYTES, True, part.value[:MAX_VALUE])


def pointed_elements(tiff: TiffFile, directory: Directory) -> Iterator[Element]:
    """Bytes that belong to a field and are no stored tile: an old-style JPEG, space that an editor gave up."""
    for where, length in t.OTHER_POINTERS.items():
        if where in directory.fields and length in directory.fields:
            spans = zip(directory.numbers(where)[:MAX_POINTED], directory.numbers(length), strict=False)
            for i, (start, count) in enumerate(spans):
                path = f"{directory.path}/{t.name_of(where)}[{i}]"
                value = tiff.data[int(start) : int(start) + min(int(count), MAX_VALUE)]
                yield Element(ElementPath(path), ElementKind.BYTES, True, value)
                yield from part_elements(path, value)


def foreign_elements(directory: Directory, blocks: Blocks) -> Iterator[Element]:
    """Comments, application segments and trailing bytes inside tiles: one element for each distinct payload."""
    seen: dict[str, int] = {}
    for foreign in blocks.foreign:
        seen[foreign.name] = seen.get(foreign.name, 0) + 1
        yield from _foreign(f"{directory.path}/tiles/{foreign.name}", seen[foreign.name], foreign)


def marker_elements(tiff: TiffFile, directory: Directory) -> Iterator[Element]:
    """Comments and application segments of JPEG tables, tiles and strips that are decoded and not copied.

    Headers of the first few thousand are looked at; what follows a header goes with the codec.
    """
    if t.JPEG_TABLES in directory.fields:
        yield from _table_elements(f"{directory.path}/JPEGTables", directory.raw(t.JPEG_TABLES), gone=True)
    if not directory.has_pixels or directory.compression not in t.JPEG_COMPRESSIONS:
        return
    seen: dict[tuple[str, bytes], int] = {}
    for start, count in zip(directory.offsets[:MAX_LOOKED].tolist(), directory.byte_counts.tolist(), strict=False):
        for segment in _header_segments(tiff.data[start : start + min(count, MAX_HEADER)]):
            seen[segment.name, segment.payload] = seen.get((segment.name, segment.payload), 0) + 1
    for number, ((name, payload), times) in enumerate(seen.items()):
        yield from _foreign(f"{directory.path}/tiles[{number}]/{name}", 1, Foreign(name, payload, times))


def _header_segments(data: bytes) -> tuple[jpeg.Segment, ...]:
    try:
        return jpeg.header(data, 0, len(data)).foreign
    except InputError:
        return ()  # the decoder will say


def orphan_elements(tiff: TiffFile) -> Iterator[Element]:
    """Bytes that no structure owns."""
    for start, stop in tiff.orphans:
        where = "tail" if stop == len(tiff.data) else f"orphan[{start}]"
        value = tiff.data[start : min(stop, start + MAX_VALUE)]
        yield Element(ElementPath(f"file/{where}"), ElementKind.BYTES, False, value)


def name_element(tiff: TiffFile) -> Element:
    """The file's own name, which laboratories build from accession numbers."""
    return Element(ElementPath("file/name"), ElementKind.TEXT, True, stem_bytes(tiff.path.name))


def _printed(directory: Directory, found: Field) -> bytes:
    """The first few numbers of a numeric field, as text."""
    raw = found.raw[: t.TYPE_SIZES[found.type] * MAX_NUMBERS]
    if found.type in (t.RATIONAL, t.SRATIONAL):
        pairs = _array(raw, directory.order + ("u4" if found.type == t.RATIONAL else "i4"))
        numbers = [above / below if below else 0.0 for above, below in zip(pairs[::2], pairs[1::2], strict=True)]
    else:
        numbers = _array(raw, directory.order + t.INTEGER_FORMATS.get(found.type, f"f{t.TYPE_SIZES[found.type]}"))
    return " ".join(f"{number:.10g}" if isinstance(number, float) else str(number) for number in numbers).encode()


def _array(raw: bytes, form: str) -> list[int | float]:
    numbers: list[int | float] = np.frombuffer(raw, form).tolist()
    return numbers


def _foreign(path: str, number: int, foreign: Foreign) -> Iterator[Element]:
    numbered = path if number == 1 else f"{path}#{number}"
    yield Element(ElementPath(numbered), ElementKind.BYTES, True, foreign.payload, count=foreign.count)
    yield from part_elements(numbered, foreign.payload)


def _table_elements(path: str, raw: bytes, *, gone: bool = False) -> Iterator[Element]:
    """Segments that are no tables, tables that are overwritten, and the words in all others when they go too."""
    yield Element(ElementPath(path), ElementKind.STRUCTURE)
    try:
        parsed = jpeg.tables(raw)
    except InputError:
        return  # the survey of the tiles says why, if the page is needed at all
    tables = [jpeg.Segment(table.key.marker, words(table)) for table in parsed.tables if gone and words(table)]
    for i, segment in enumerate((*parsed.foreign, *tables), 1):
        yield from _foreign(f"{path}/{segment.name}", i, Foreign(segment.name, segment.payload, 1))


def profile_elements(path: str, raw: bytes) -> Iterator[Element]:
    """The parts of a colour profile: its transform, and whatever in it can carry words or dates."""
    try:
        profile = icc.parse(raw)
    except InputError:
        yield Element(ElementPath(path), ElementKind.BYTES, False, raw[:MAX_VALUE])
        return
    ours = _rebuilt(profile)
    yield Element(ElementPath(f"{path}/transform"), ElementKind.BYTES, bool(ours))
    for name, (start, stop) in icc.HEADER_WORDS.items():
        value = profile.header[start:stop]
        # A digest of the transform is the same in the clean profile, and says no more than the transform.
        yield Element(
            ElementPath(f"{path}/{name}"), ElementKind.BYTES, True, b"" if value == ours[start:stop] else value
        )
    for i, tag in enumerate(profile.tags):
        if tag.signature not in icc.TRANSFORM:
            name = tag.name if tag.signature in _ICC_WORDS else f"tag[{i}]"
            for n, words in enumerate(icc.words(tag.data)):
                where = ElementPath(f"{path}/{name}" if n == 0 else f"{path}/{name}[{n}]")
                said = words not in icc.OUR_WORDS and tag.signature != icc.LUMINANCE
                value = words[:MAX_VALUE] if said else b""
                yield Element(where, ElementKind.TEXT, name == tag.name, value)
    for i, gap in enumerate(profile.gaps):
        yield Element(ElementPath(f"{path}/gap[{i}]"), ElementKind.BYTES, True, gap[:MAX_VALUE])


def _rebuilt(profile: icc.Profile) -> bytes:
    """The clean profile; empty when the transform cannot be written anew: then it is not kept, and the verifier
    misses it."""
    try:
        return icc.clean(profile)
    except InputError:
        return b""


_ICC_WORDS: Final = frozenset(b"desc cprt dmnd dmdd tech vued view meas calt targ scrd".split())
