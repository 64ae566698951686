"""ICC profiles written anew: the numbers of the colour transform, the words and dates gone.

Source: ICC.1:2022 §7 (header, tag table) and §10 (tag types); ICC.1:2001-04 for version 2 text. A profile names its
maker, its creation time and often a device in free text; what turns device values into colours is numbers.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from coverslip.codestreams.icc_tags import legal, rebuilt
from coverslip.errors import DamagedSlide, LimitExceeded

MAX_TAGS: Final = 100
MAX_LANGUAGES: Final = 256
DESCRIPTION: Final = "scanner colour profile"
COPYRIGHT: Final = "no copyright stated"
OUR_WORDS: Final = frozenset((DESCRIPTION.encode(), COPYRIGHT.encode()))
"""What a profile that was written anew says."""

TRANSFORM: Final = frozenset(
    b"A2B0 A2B1 A2B2 B2A0 B2A1 B2A2 gamt rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC wtpt bkpt chad".split()
)
"""Tags that say how values become colours."""
UNKNOWN: Final = frozenset(b"A2B3 B2A3 D2B0 D2B1 D2B2 D2B3 B2D0 B2D1 B2D2 B2D3".split())
"""Tags that do so as well, and that we do not write: a profile with one of them is not kept."""
LUMINANCE: Final = b"lumi"
"""Three numbers that change no colour and name nobody: not kept."""

HEADER_WORDS: Final = {
    "cmm": (4, 8), "date": (24, 36), "platform": (40, 44), "maker": (48, 52), "model": (52, 56), "creator": (80, 84),
    "profile ID": (84, 100), "reserved": (100, 128),
}  # fmt: skip
"""Parts of the header that name a program, a time or a device, with their bytes (table 17)."""

_CLASSES: Final = frozenset((b"scnr", b"mntr", b"prtr", b"spac"))
_SPACES: Final = frozenset((b"RGB ", b"GRAY"))
_CONNECTIONS: Final = frozenset((b"XYZ ", b"Lab "))
_D50: Final = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
"""The illuminant of every profile (ICC.1:2022 §7.2.16)."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry of the tag table and its data."""

    signature: bytes
    data: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The signature as text when it is printable, else in hex."""
        text = self.signature.decode("latin-1").strip()
        return text if text.isalnum() else self.signature.hex()


@dataclass(frozen=True, slots=True)
class Profile:
    """A parsed profile."""

    header: bytes = field(repr=False)
    tags: tuple[Tag, ...]
    size: int
    gaps: tuple[bytes, ...] = field(default=(), repr=False)
    """Bytes that belong to no tag, alignment aside."""


def parse(data: bytes) -> Profile:
    """Read header and tag table. Raises DamagedSlide or LimitExceeded."""
    if len(data) < 132 or data[36:40] != b"acsp":
        raise DamagedSlide("an ICC profile has no ICC header")
    if data[12:16] not in _CLASSES or data[16:20] not in _SPACES or data[20:24] not in _CONNECTIONS:
        raise DamagedSlide("an ICC profile has an unknown class or colour space")
    if data[8] not in (2, 4):
        raise DamagedSlide("an ICC profile has an unknown version")
    count = int.from_bytes(data[128:132], "big")
    if count > MAX_TAGS:
        raise LimitExceeded(f"an ICC profile has more than {MAX_TAGS} tags")
    if 132 + 12 * count > len(data):
        raise DamagedSlide("an ICC profile ends inside its tag table")
    entries = [struct.unpack_from(">4sII", data, 132 + 12 * i) for i in range(count)]
    if any(at + length > len(data) or at < 132 for _, at, length in entries):
        raise DamagedSlide("an ICC tag lies outside its profile")
    tags = tuple(Tag(name, data[at : at + length]) for name, at, length in entries)
    spans = [(0, 132 + 12 * count), *((at, at + length) for _, at, length in entries)]
    return Profile(data[:128], tags, len(data), tuple(_gaps(data, spans)))


def _gaps(data: bytes, owned: list[tuple[int, int]]) -> Iterator[bytes]:
    reached = 0
    for start, stop in sorted([*owned, (len(data), len(data))]):
        if data[reached:start].strip(b"\0"):
            yield data[reached:start]
        reached = max(reached, stop)


def words(data: bytes) -> tuple[bytes, ...]:
    """The texts of a tag: ASCII, Unicode and Macintosh of a `desc`, every language of an `mluc`; others as they are."""
    if data[:4] == b"mluc":
        return _languages(data)
    if data[:4] == b"desc":
        return _descriptions(data)
    return (data[8:].rstrip(b"\0"),) if data[:4] == b"text" else (data,)


def _languages(data: bytes) -> tuple[bytes, ...]:
    """In UTF-8, in the order of the table (ICC.1:2022 §10.15)."""
    count, width = int.from_bytes(data[8:12], "big"), int.from_bytes(data[12:16], "big")
    found = []
    for number in range(min(count, MAX_LANGUAGES)):
        record = data[16 + number * width :][:12]
        length, at = int.from_bytes(record[4:8], "big"), int.from_bytes(record[8:12], "big")
        found.append(data[at : at + length].decode("utf-16-be", "replace").encode())
    return tuple(found)


def _descriptions(data: bytes) -> tuple[bytes, ...]:
    """ICC.1:2001-04 §6.5.17: ASCII, then UTF-16 with its language, then one byte of length and 67 of a script."""
    stop = 12 + int.from_bytes(data[8:12], "big")
    wide = stop + 8 + 2 * int.from_bytes(data[stop + 4 : stop + 8], "big")
    unicode = data[stop + 8 : wide].decode("utf-16-be", "replace").encode()
    return tuple(text.rstrip(b"\0") for text in (data[12:stop], unicode, data[wide + 3 :]))


def clean(profile: Profile) -> bytes:
    """The profile with the numbers of its transform, and fixed words in place of everything written by people.

    Raises DamagedSlide for a transform we cannot write anew.
    """
    kept = [Tag(tag.signature, data) for tag, data in _transform(profile)]
    modern = profile.header[8] >= 4
    words = [Tag(b"desc", _words(DESCRIPTION, modern)), Tag(b"cprt", _words(COPYRIGHT, modern, plain=True))]
    body, table = bytearray(), bytearray()
    first = 132 + 12 * (len(kept) + len(words))
    placed: dict[bytes, int] = {}
    for tag in words + kept:
        at = placed.get(tag.data)
        if at is None:
            at = placed[tag.data] = first + len(body)
            body += tag.data + bytes(-len(tag.data) % 4)
        table += struct.pack(">4sII", tag.signature, at, len(tag.data))
    rest = struct.pack(">I", len(kept) + len(words)) + table + body
    head = _header(profile.header, 128 + len(rest))
    if modern:
        identity = hashlib.md5(head[:44] + bytes(4) + head[48:64] + bytes(4) + head[68:] + rest, usedforsecurity=False)
        head = head[:84] + identity.digest() + head[100:]
    return head + rest


def _transform(profile: Profile) -> Iterator[tuple[Tag, bytes]]:
    """The tags of the transform that such a profile has, with their data written anew."""
    device_class, space, connection = (profile.header[at : at + 4] for at in (12, 16, 20))
    allowed = legal(device_class, space)
    seen: set[bytes] = set()
    for tag in profile.tags:
        if tag.signature in UNKNOWN or tag.signature in seen & TRANSFORM:
            raise DamagedSlide("an ICC transform is of a kind we do not write", where=f"ICCProfile/{tag.name}")
        seen.add(tag.signature)
        if tag.signature not in allowed:
            continue
        if tag.data[:4] not in allowed[tag.signature]:
            raise DamagedSlide("an ICC transform has a type we do not write", where=f"ICCProfile/{tag.name}")
        yield tag, rebuilt(tag.signature, tag.data, space, connection)


def _header(old: bytes, size: int) -> bytes:
    """Version, class, spaces and intent stay, each one of those there are; every other field is what it is in all."""
    intent = old[64:68] if int.from_bytes(old[64:68], "big") < 4 else bytes(4)
    version = bytes((old[8], min(old[9] >> 4, 4) << 4, 0, 0))
    return b"".join(
        (
            struct.pack(">I", size), bytes(4), version, old[12:24], bytes(12), b"acsp", bytes(24), intent, _D50,
            bytes(48),
        )
    )  # fmt: skip


def _words(text: str, modern: bool, *, plain: bool = False) -> bytes:
    if modern:
        return struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", 2 * len(text), 28) + text.encode(
            "utf-16-be"
        )
    if plain:
        return b"text" + bytes(4) + text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text.encode("ascii") + b"\0" + bytes(78)
