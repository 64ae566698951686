"""ICC profiles as the verifier reads them: what may stand in a clean one, and a digest of the transform alone."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from coverslip.errors import DamagedSlide
from coverslip.verify.icc_tags import types, walk
from coverslip.verify.parts import parts

WORDS = {b"desc": "scanner colour profile", b"cprt": "no copyright stated"}
"""The only texts a clean profile may carry."""
TRANSFORM = frozenset(b"A2B0 A2B1 A2B2 B2A0 B2A1 B2A2 gamt rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC wtpt bkpt chad".split())
UNKNOWN = frozenset(b"A2B3 B2A3 D2B0 D2B1 D2B2 D2B3 B2D0 B2D1 B2D2 B2D3".split())
"""Tags that turn values into colours as well, and that no clean profile has."""
LUMINANCE = b"lumi"
"""Three numbers that change no colour and name nobody: neither kept nor looked for."""
MAX_TAGS = 100
MAX_UNREADABLE = 1 << 16
CLASSES, SPACES, CONNECTIONS = {b"scnr", b"mntr", b"prtr", b"spac"}, {b"RGB ", b"GRAY"}, {b"XYZ ", b"Lab "}
ILLUMINANT = struct.pack(">3i", 63190, 65536, 54061)
"""D50, in every profile (ICC.1:2022 §7.2.16)."""
_EMPTY = ((4, 8), (24, 36), (40, 44), (48, 56), (80, 84), (100, 128))
"""Header bytes that name a maker, a model, a platform or a time (ICC.1:2022 table 17)."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a profile."""

    signature: bytes
    start: int
    data: bytes


def tags(profile: bytes) -> tuple[Tag, ...] | None:
    """The profile's tags; None when it is no profile."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    count = int.from_bytes(profile[128:132], "big")
    if count > MAX_TAGS or 132 + 12 * count > len(profile):
        return None
    rows = [struct.unpack_from(">4sII", profile, 132 + 12 * number) for number in range(count)]
    if any(start < 132 or start + size > len(profile) for _, start, size in rows):
        return None
    return tuple(Tag(signature, start, profile[start : start + size]) for signature, start, size in rows)


def objections(profile: bytes) -> Iterator[str]:
    """What in this profile is not allowed in a clean slide."""
    found = tags(profile)
    if found is None:
        yield "is not a readable ICC profile"
        return
    if int.from_bytes(profile[:4], "big") != len(profile):
        yield "says another length than it has"
    if any(profile[start:end].strip(b"\0") for start, end in _EMPTY):
        yield "its header names a time, a maker or a platform"
    if profile[84:100].strip(b"\0") and profile[84:100] != _identity(profile):
        yield "its identifier is not the digest of its content"
    if not _is_fixed_header(profile):
        yield "its header holds more than class, colour spaces and intent"
    if len({tag.signature for tag in found}) != len(found):
        yield "holds a tag twice"
    for tag in found:
        if tag.signature in TRANSFORM:
            yield from _numbers(tag, profile)
        elif not _is_fixed_text(tag):
            yield "holds a tag that is neither colour transform nor fixed text"
    if _slack(profile, found):
        yield "holds bytes that belong to no tag"


def _is_fixed_header(profile: bytes) -> bool:
    major, minor = profile[8], profile[9]
    return (
        major in (2, 4)
        and minor in range(0, 0x50, 0x10)
        and not any(profile[10:12] + profile[44:48] + profile[56:64])
        and profile[12:16] in CLASSES
        and profile[16:20] in SPACES
        and profile[20:24] in CONNECTIONS
        and int.from_bytes(profile[64:68], "big") < 4
        and profile[68:80] == ILLUMINANT
    )


def _numbers(tag: Tag, profile: bytes) -> Iterator[str]:
    if tag.data[:4] not in types(tag.signature, profile[12:16], profile[16:20]):
        yield "holds a colour transform that such a profile does not have"
        return
    try:
        if not walk(tag.signature, tag.data, profile[16:20], profile[20:24]).is_exact:
            yield "a colour transform holds more than its numbers, or numbers that none has"
    except DamagedSlide:
        yield "a colour transform cannot be read"


def removable(profile: bytes) -> Iterator[tuple[str, bytes]]:
    """What of a source's profile must not be found in a clean slide, with its place: makers, times and texts."""
    found = tags(profile)
    if found is None:
        yield "profile", profile[:MAX_UNREADABLE]
        return
    places = [*_EMPTY, (84, 100)] if profile[84:100] != _identity(profile) else _EMPTY
    yield from ((f"header[{start}]", profile[start:end]) for start, end in places)
    for number, tag in enumerate(found):
        if tag.signature not in TRANSFORM | {LUMINANCE} and not _is_fixed_text(tag):
            texts = parts(tag.data) if tag.data[:4] in (b"desc", b"mluc") else (tag.data[8:],)
            yield from ((f"tag[{number}]", text) for text in texts)


def _identity(profile: bytes) -> bytes:
    blank = profile[:44] + bytes(4) + profile[48:64] + bytes(4) + profile[68:84] + bytes(16) + profile[100:]
    return hashlib.md5(blank, usedforsecurity=False).digest()


def _is_fixed_text(tag: Tag) -> bool:
    wanted = WORDS.get(tag.signature)
    if wanted is None:
        return False
    ascii_text, wide = wanted.encode(), wanted.encode("utf-16-be")
    fixed = (
        b"text" + bytes(4) + ascii_text + b"\0",
        b"desc" + bytes(4) + struct.pack(">I", len(ascii_text) + 1) + ascii_text + b"\0" + bytes(78),
        b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(wide), 28) + wide,
    )
    return tag.data in fixed


def _slack(profile: bytes, found: tuple[Tag, ...]) -> bool:
    position = 132 + 12 * len(found)
    for start, end in sorted({(tag.start, tag.start + len(tag.data)) for tag in found}):
        if profile[position : max(position, start)].strip(b"\0") or start > position + 3:
            return True
        position = max(position, end)
    return bool(profile[position:].strip(b"\0")) or len(profile) > position + 3


def transform_digest(profile: bytes) -> str:
    """SHA-256 over version, class, spaces, intent and the numbers that turn values into colours; empty for no profile.

    Equal for profiles that transform alike: what says nothing about colour is left out, and where the stages of a
    transform stand. A transform that cannot be read is digested as it stands, and is like no clean one.
    """
    found = tags(profile)
    if found is None:
        return ""
    intent = profile[64:68] if int.from_bytes(profile[64:68], "big") < 4 else bytes(4)
    digest = hashlib.sha256(profile[8:9] + profile[12:24] + intent)
    for tag in sorted(found, key=lambda tag: tag.signature):
        if tag.signature in UNKNOWN or types(tag.signature, profile[12:16], profile[16:20]):
            for part in (tag.signature, tag.data[:4], *_colours(tag, profile)):
                digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _colours(tag: Tag, profile: bytes) -> list[bytes]:
    if tag.signature in UNKNOWN:
        return [tag.data]
    try:
        return walk(tag.signature, tag.data, profile[16:20], profile[20:24]).colours
    except DamagedSlide:
        return [tag.data, b"unreadable"]
