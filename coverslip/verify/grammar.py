"""What an ImageDescription of a clean slide may say: fixed words, numbers, geometry, codec; nothing anybody wrote.

The verifier's own allowlist, on purpose not shared with the policies or the writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SOFTWARE = re.compile(
    r"Aperio (?:Image Library|Leica Biosystems(?: GT ?450(?: ?DX)?)?)(?: v?\d{1,3}(?:\.\d{1,4}){0,3})? ?"
)
_SIZE = r"\d{1,7}x\d{1,7}"
_WORD = re.compile(
    rf"{_SIZE}|\[\d{{1,7}},\d{{1,7}}[ ,]{_SIZE}\]|\({_SIZE}\)|->|-"
    r"|JPEG/(?:RGB|YCC|YCbCr)|J2K/(?:YUV16|KDU|RGB|YCC)|J2K|JPEG|LZW|RAW|Q=\d{1,3}(?:;)?"
)
_GEOMETRY = re.compile(r"\[[^\]]*\]|\S+")
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?")
_COLOUR = re.compile(r"[0-9A-F]{6}")

NUMBER_KEYS = frozenset(
    {
        "AppMag", "MPP", "MPP X", "MPP Y", "StripeWidth", "Left", "Top", "LineCameraSkew", "LineAreaXOffset",
        "LineAreaYOffset", "Focus Offset", "DisplayColor", "OriginalWidth", "OriginalHeight", "Originalheight",
        "Exposure Time", "Exposure Scale", "Gamma", "Offset", "Filtered",
    }
)  # fmt: skip
WORD_KEYS = {
    "Background": _COLOUR,
    "ScannerType": re.compile(r"CS|CS2|CSO|AT|AT2|AT Turbo|GT ?450|GT ?450 ?DX|VERSA|LV1|XT|OS|FL"),
    "ICC Profile": re.compile(r"(?:ScanScope )?(?:CS|CS2|CSO|AT|AT2|GT ?450|GT ?450 ?DX|LV1|XT|v1)"),
}
"""Keys whose value is a word, with all the words there are."""


def objections(text: str) -> Iterator[str]:
    """What in this description is not allowed, in words that name the part and not its content."""
    head, *pairs = text.split("|")
    if head != "coverslip 1":
        yield from _head(head)
    for number, pair in enumerate(pairs):
        key, equals, value = pair.partition(" = ")
        if not equals or not is_allowed(key, value):
            yield f"pair {number} is not an allowed key with an allowed value"


def _head(head: str) -> Iterator[str]:
    software, *lines = re.split(r"\r\n|\n", head)
    if not _SOFTWARE.fullmatch(software):
        yield "the first line is not a known program's"
    if len(lines) > 1:
        yield "there are more header lines than two"
    for line in lines:
        if not is_geometry(line):
            yield "the geometry line holds more than geometry"


def is_geometry(line: str) -> bool:
    """True when a line holds sizes, codecs and arrows only."""
    return all(_WORD.fullmatch(word) for word in _GEOMETRY.findall(line))


def is_allowed(key: str, value: str) -> bool:
    """True when a pair may stand in a clean slide."""
    if key in NUMBER_KEYS:
        return _NUMBER.fullmatch(value) is not None
    words = WORD_KEYS.get(key)
    return words is not None and words.fullmatch(value) is not None


def pair(text: str, key: str) -> str:
    """The value of one key exactly as written, spaces around it aside; empty when it is not there."""
    for part in text.split("|")[1:]:
        found, equals, value = part.partition("=")
        if equals and found.strip() == key:
            return value.strip()
    return ""
