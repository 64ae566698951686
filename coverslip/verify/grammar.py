"""What an ImageDescription of a clean slide may say: fixed words, numbers, geometry, codec; nothing anybody wrote.

The verifier's own allowlist, on purpose not shared with the policies or the writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

_SOFTWARE = re.compile(
    r"Aperio (?:Image Library|Leica Biosystems(?: GT ?450(?: ?DX)?)?)"
    r"(?: v(?:FS90 01|(?:1\d|\d)\.\d\.(?:\d\d|\d)))? ?"
)
_SIZE = r"\d{1,7}x\d{1,7}"
_GEOMETRY = re.compile(
    rf"{_SIZE}(?: \[\d{{1,7}},\d{{1,7}}[ ,]{_SIZE}\])?(?: \({_SIZE}\))?(?: -> {_SIZE})?(?: -)?"
    r"(?: JPEG/(?:RGB|YCC|YCbCr)| J2K/(?:YUV16|KDU|RGB|YCC))?(?: Q=(?:100|\d\d?))?"
)
_NUMBER = re.compile(r"[+-]?(?P<digits>(?:0|[1-9]\d{0,7})(?:\.\d{1,17})?)(?:[eE][+-]?\d{1,2})?")
_COLOUR = re.compile(r"[0-9A-F]{6}")
MAX_DIGITS = 9
"""That say something: of a number itself, or of the one whose nearest double is printed with all its digits."""
MAX_PADDED = 6
"""With zeros behind them."""

SIDES, STAGE, SHIFT = range(10_000_001), (-1000.0, 1000.0), (-10.0, 10.0)
NUMBER_KEYS: dict[str, range | tuple[float, float]] = {
    "AppMag": (0.1, 1e4), "MPP": (1e-4, 1e4), "MPP X": (1e-4, 1e4), "MPP Y": (1e-4, 1e4), "StripeWidth": range(1 << 16),
    "Left": STAGE, "Top": STAGE, "LineCameraSkew": SHIFT, "LineAreaXOffset": SHIFT, "LineAreaYOffset": SHIFT,
    "Focus Offset": STAGE, "DisplayColor": range(1 << 24), "OriginalWidth": SIDES, "OriginalHeight": SIDES,
    "Originalheight": SIDES, "Exposure Time": (0.0, 1e6), "Exposure Scale": (0.0, 1e3), "Gamma": (0.0, 100.0),
    "Offset": STAGE, "Filtered": range(1001),
}  # fmt: skip
"""Keys of numbers and what they can mean: whole numbers, or anything between two."""
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
    """True when a line holds sizes, codec and quality only, each where it belongs, or nothing."""
    return not line.strip() or _GEOMETRY.fullmatch(" ".join(line.split())) is not None


def is_allowed(key: str, value: str) -> bool:
    """True when a pair may stand in a clean slide."""
    if key in NUMBER_KEYS:
        return is_number(value, NUMBER_KEYS[key])
    words = WORD_KEYS.get(key)
    return words is not None and words.fullmatch(value) is not None


def is_number(text: str, bounds: range | tuple[float, float]) -> bool:
    """Whether a number can be meant, and has no more digits than say something."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return False
    if isinstance(bounds, range):
        return text.isdigit() and int(text) in bounds
    value = float(text)
    if not bounds[0] <= value <= bounds[1]:
        return False
    whole = text.strip("+-")
    printed = whole in (repr(abs(value)), format(abs(value), ".17g"))
    return _says(found["digits"]) or (printed and (_says(repr(abs(value))) or float(np.float32(value)) == value))


def _says(decimal: str) -> bool:
    digits = decimal.replace(".", "").lstrip("0")
    return len(digits) <= MAX_DIGITS or not digits[MAX_PADDED:].strip("0")


def pair(text: str, key: str) -> str:
    """The value of one key exactly as written, spaces around it aside; empty when it is not there."""
    for part in text.split("|")[1:]:
        found, equals, value = part.partition("=")
        if equals and found.strip() == key:
            return value.strip()
    return ""
