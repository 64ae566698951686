"""Words in files we do not parse: readable strings, comments of JPEGs, and which keys may be repeated in a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coverslip.codestreams import jpeg
from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.errors import InputError

MAX_STRINGS: Final = 2000

_JPEG: Final = b"\xff\xd8\xff"
_ASCII: Final = re.compile(rb"[\x20-\x7e]{8,4096}")
_UTF16: Final = re.compile(rb"(?:[\x20-\x7e]\0){8,4096}")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.,\[\]() /-]{0,95}", re.ASCII)
_LONG_NUMBER: Final = re.compile(r"\d{5}")


def plain_key(key: str) -> bool:
    """Whether a key looks like a word of a vocabulary; others may be identifiers themselves and are not repeated."""
    return bool(_PLAIN_KEY.fullmatch(key)) and not _LONG_NUMBER.search(key)


def readable(raw: bytes, where: str) -> Iterator[Element]:
    """Strings (ASCII, UTF-16LE) before the first JPEG, whose tables would read like words; of a JPEG, its segments."""
    if raw.startswith(_JPEG):
        yield from _segments(raw, where)
    head = raw.partition(_JPEG)[0]
    for number, found in enumerate((_ASCII.findall(head) + _UTF16.findall(head))[:MAX_STRINGS]):
        text = found.replace(b"\0", b"")
        yield Element(ElementPath(f"{where}/string[{number}]"), ElementKind.TEXT, False, text)


def _segments(raw: bytes, where: str) -> Iterator[Element]:
    """Comments and application segments of a JPEG; one whose header cannot be followed is one unknown element."""
    try:
        foreign = jpeg.header(raw, 0, len(raw)).foreign
    except InputError:
        yield Element(ElementPath(f"{where}/jpeg"), ElementKind.BYTES, False)
        return
    for number, segment in enumerate(foreign):
        path = ElementPath(f"{where}/jpeg/{segment.name}[{number}]")
        yield Element(path, ElementKind.BYTES, untrusted_value=segment.payload)
