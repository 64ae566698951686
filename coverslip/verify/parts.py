"""Values inside values, as the verifier finds them: IPTC records, Photoshop's blocks, JPEG segments, profile texts.

Found by their marks wherever they stand, not by walking a container from its front: what is looked for has been torn
out of its place. A part that is none costs a pattern nobody finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

MAX_DEPTH: Final = 3
MAX_PARTS: Final = 512
MAX_LOOKS: Final = 1 << 16
"""Parts of one value that are looked at, the same ones again counted: marks may stand one behind the other."""
MAX_VALUE: Final = 1 << 16
MAX_LENGTH: Final = 4096
"""Of a part: what says it is longer is pixels that look like a mark."""
MOSTLY: Final = 0.7
"""Share of printable characters from which a part reads like words."""
_IPTC = re.compile(rb"\x1c[\x01-\x09][\x00-\xff](?=[\x00-\x7f][\x00-\xff]|\x80[\x01-\x04])", re.DOTALL)
_BLOCK = re.compile(rb"8BIM[\x00-\xff]{2}", re.DOTALL)
_SEGMENT = re.compile(rb"\xff[\xe0-\xef\xfe](?=[\x00-\xff]{2})", re.DOTALL)
_LANGUAGES = re.compile(rb"mluc\0{4}")
_DESCRIPTION = re.compile(rb"desc\0{4}")
_PRINTABLE = re.compile(
    rb"[\x20-\x7e]|\0(?=[\x20-\x7e])|(?<=[\x20-\x7e])\0|[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}"
)
"""ASCII, in UTF-16 too, and other letters in UTF-8."""
_COMMENT = re.compile(rb"\A\0[\0\x01]")
"""Rcom, with which the words of a JPEG 2000 comment begin (T.800 A.9.2)."""


def parts(value: bytes) -> tuple[bytes, ...]:
    """Everything inside `value` that says how long it is and reads like words, and what is inside that."""
    found: dict[bytes, None] = {}
    _gather(value[:MAX_VALUE], MAX_DEPTH, found, iter(range(MAX_LOOKS)))
    return tuple(part for part in found if _reads(part))


def _reads(part: bytes) -> bool:
    inside = part.strip(b"\0")
    return len(inside) <= MAX_LENGTH and sum(map(len, _PRINTABLE.findall(inside))) >= MOSTLY * max(6, len(inside))


def _gather(value: bytes, depth: int, found: dict[bytes, None], looks: Iterator[int]) -> None:
    for part, _ in zip(_inside(value), looks):  # noqa: B905  whichever ends first
        if len(found) >= MAX_PARTS:
            return
        if part and part not in found:
            found[part] = None
            if depth > 1:
                _gather(part, depth - 1, found, looks)


def _inside(value: bytes) -> Iterator[bytes]:
    for mark, read in _READERS:
        for match in mark.finditer(value):
            yield from read(value, match.start(), match.end())


def _number(value: bytes, at: int, width: int) -> int:
    return int.from_bytes(value[at : at + width], "big")


def _record(value: bytes, _: int, at: int) -> Iterator[bytes]:
    """Behind a length of two bytes, or of as many as the second of them says when the first is 128."""
    long = value[at + 1] if value[at] & 0x80 else 0
    start, length = at + 2 + long, _number(value, at + 2, long) if long else _number(value, at, 2)
    yield value[start : start + min(length, MAX_VALUE)]


def _block(value: bytes, start: int, at: int) -> Iterator[bytes]:
    """Behind the number stand a Pascal string, padded to an even length, and the content with its length."""
    named = at + 1 + value[at : at + 1][0] if at < len(value) else at
    begin = named + (named - start) % 2 + 4
    yield value[at + 1 : named]
    yield value[begin : begin + min(_number(value, begin - 4, 4), MAX_VALUE)]


def _payload(value: bytes, _: int, at: int) -> Iterator[bytes]:
    yield value[at + 2 : at + max(2, _number(value, at, 2))]


def _languages(value: bytes, start: int, at: int) -> Iterator[bytes]:
    """Every record of the table (ICC.1:2022 section 10.15); offsets count from the tag's beginning."""
    width = _number(value, at + 4, 4)
    for number in range(min(_number(value, at, 4), MAX_PARTS)):
        record = at + 8 + number * width
        length, offset = _number(value, record + 4, 4), _number(value, record + 8, 4)
        yield _utf16(value[start + offset : start + offset + min(length, MAX_LENGTH)])


def _description(value: bytes, _: int, at: int) -> Iterator[bytes]:
    """ASCII, UTF-16 and a Macintosh script, each behind its length (ICC.1:2001-04 section 6.5.17)."""
    stop = at + 4 + min(_number(value, at, 4), MAX_LENGTH)
    wide = stop + 8 + 2 * min(_number(value, stop + 4, 4), MAX_LENGTH)
    yield value[at + 4 : stop]
    yield _utf16(value[stop + 8 : wide])
    yield value[wide + 3 : wide + 70]


def _rest(value: bytes, _: int, at: int) -> Iterator[bytes]:
    yield value[at:]


def _utf16(value: bytes) -> bytes:
    return value.decode("utf-16-be", "ignore").encode("utf-8", "ignore")


_READERS: Final[tuple[tuple[re.Pattern[bytes], Callable[[bytes, int, int], Iterator[bytes]]], ...]] = (
    (_IPTC, _record),
    (_BLOCK, _block),
    (_SEGMENT, _payload),
    (_LANGUAGES, _languages),
    (_DESCRIPTION, _description),
    (_COMMENT, _rest),
)
