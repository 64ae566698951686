"""ICC profiles as the verifier reads them: what may stand in a clean one, and a digest of the transform alone."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from coverslip.verify.parts import parts

WORDS = {b"desc": "scanner colour profile", b"cprt": "no copyright stated"}
"""The only texts a clean profile may carry."""
TRANSFORM = frozenset(
    b"A2B0 A2B1 A2B2 A2B3 B2A0 B2A1 B2A2 B2A3 D2B0 D2B1 D2B2 D2B3 B2D0 B2D1 B2D2 B2D3 gamt"
    b" rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC wtpt bkpt chad lumi".split()
)
MAX_TAGS = 100
MAX_UNREADABLE = 1 << 16
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
    for tag in found:
        if tag.signature not in TRANSFORM and not _is_fixed_text(tag):
            yield "holds a tag that is neither colour transform nor fixed text"
    if _slack(profile, found):
        yield "holds bytes that belong to no tag"


def removable(profile: bytes) -> Iterator[tuple[str, bytes]]:
    """What of a source's profile must not be found in a clean slide, with its place: makers, times and texts."""
    found = tags(profile)
    if found is None:
        yield "profile", profile[:MAX_UNREADABLE]
        return
    places = [*_EMPTY, (84, 100)] if profile[84:100] != _identity(profile) else _EMPTY
    yield from ((f"header[{start}]", profile[start:end]) for start, end in places)
    for number, tag in enumerate(found):
        if tag.signature not in TRANSFORM and not _is_fixed_text(tag):
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
    """SHA-256 over colour spaces, intent, illuminant and the tags that turn values into colours; empty without any.

    Reserved bytes and bytes behind a tag's own end say nothing about colour and are left out.
    """
    found = tags(profile)
    if found is None:
        return ""
    digest = hashlib.sha256(profile[16:24] + profile[64:80])
    for tag in sorted(found, key=lambda tag: tag.signature):
        if tag.signature in TRANSFORM:
            body = tag.data[8 : _content_end(tag.data)]
            digest.update(tag.signature + tag.data[:4] + len(body).to_bytes(4, "big") + body)
    return digest.hexdigest()


def _content_end(data: bytes) -> int:
    kind, size = data[:4], len(data)
    if kind == b"curv":
        return min(size, 12 + 2 * int.from_bytes(data[8:12], "big"))
    if kind == b"para":
        return min(size, 12 + 4 * {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(int.from_bytes(data[8:10], "big"), 7))
    if kind in (b"XYZ ", b"sf32"):
        step = 12 if kind == b"XYZ " else 4
        return 8 + (size - 8) // step * step
    if kind in (b"mft1", b"mft2") and size >= 52:
        return min(size, _table_end(data, kind))
    return size


def _table_end(data: bytes, kind: bytes) -> int:
    inputs, outputs, grid = data[8], data[9], data[10]
    colours = int(grid**inputs) * outputs
    if kind == b"mft1":
        return 48 + 256 * (inputs + outputs) + colours
    before, after = struct.unpack_from(">HH", data, 48)
    return int(52 + 2 * (before * inputs + after * outputs + colours))
