"""Which numbers the fields of a clean slide may hold: a field of four bytes could be four letters.

The verifier's own list, on purpose not shared with the writer. TIFF 6.0 sections 8, 15, 21 and 22.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd

from coverslip.verify.limits import MAX_SIDE, MAX_TILE_SIDE
from coverslip.verify.pages import J2K_CODECS, JPEG_CODECS, Page

SHORT, LONG, RATIONAL = 3, 4, 5
LETTERS = {SHORT: "H", LONG: "I", RATIONAL: "I"}
"""Types that numbers of a clean slide have, and how `struct` spells them."""
MAX_DIGITS = 8
"""Of a resolution."""
Test = Callable[[int], bool]

SHORTS: dict[int, Test] = {
    258: {1, 2, 4, 8, 12, 16, 32, 64}.__contains__,
    259: {1, 5, 7, 8, 32946, 33003, 33005, 34712}.__contains__,
    262: {0, 1, 2, 6}.__contains__,
    266: {1, 2}.__contains__,
    274: range(1, 9).__contains__,
    277: range(1, 1 << 16).__contains__,
    284: {1, 2}.__contains__,
    296: {1, 2, 3}.__contains__,
    317: {1, 2, 3}.__contains__,
    339: range(1, 7).__contains__,
    530: {1, 2, 4}.__contains__,
    531: {1, 2}.__contains__,
}
"""Numbers that TIFF writes in two bytes."""
LONGS: dict[int, Test] = {
    254: {0, 1}.__contains__,
    256: range(1, MAX_SIDE + 1).__contains__,
    257: range(1, MAX_SIDE + 1).__contains__,
    278: range(1, MAX_SIDE + 1).__contains__,
    322: range(1, MAX_TILE_SIDE + 1).__contains__,
    323: range(1, MAX_TILE_SIDE + 1).__contains__,
    32997: {1}.__contains__,
}
"""Numbers that TIFF writes in two bytes or four."""
NUMBERS = SHORTS | LONGS
COLOURS = {0: 1, 1: 1, 2: 3, 6: 3}
"""How many samples are colour; one more would be a picture that no viewer shows."""
FULL, VIDEO = (0, 255, 128, 255, 128, 255), (235, 128, 240, 128, 240)
FRACTIONS: dict[int, frozenset[tuple[int, ...]]] = {
    529: frozenset({(299, 1000, 587, 1000, 114, 1000), (2126, 10000, 7152, 10000, 722, 10000)}),
    532: frozenset(
        tuple(part for value in values for part in (value, 1))
        for values in (FULL, (0, 255, 0, 255, 0, 255), (15, *VIDEO), (16, *VIDEO))
    ),
}
"""Fractions that are written in one way or not at all."""


def is_allowed(tag: int, kind: int, values: Sequence[int], page: Page | None) -> bool:
    """Whether a numeric field may have these values, in this type, on this page; `values` of a fraction are two."""
    if tag in (282, 283):
        return kind == RATIONAL and len(values) == 2 and is_resolution(*values)
    if tag in FRACTIONS:
        return kind == RATIONAL and tuple(values) in FRACTIONS[tag]
    wide = kind == LONG and tag in LONGS
    if not (kind == SHORT or wide) or not values or not all(map(NUMBERS[tag], values)):
        return False
    if tag == 258 and len(set(values)) != 1:
        return False
    return page is None or _fits(tag, values, page)


def _fits(tag: int, values: Sequence[int], page: Page) -> bool:
    """What the rest of the page leaves room for."""
    if tag == 278:
        return not page.tiled and values[0] <= page.size.height
    if tag == 277:
        return values[0] == COLOURS.get(page.photometric)
    return True


def means_something(tag: int, page: Page) -> bool:
    """Whether a page has luma and chroma, where a field says how they become colours."""
    return tag not in FRACTIONS or page.photometric == 6


def is_asked_for(page: Page) -> bool:
    """Whether a decoder asks the page how luma and chroma become colours: JPEG and JPEG 2000 know it themselves."""
    return page.photometric == 6 and page.codec not in JPEG_CODECS | J2K_CODECS


def is_resolution(above: int, below: int) -> bool:
    """A fraction in lowest terms that is a decimal of at most eight digits, from a hundredth to ten millions."""
    if not above or not below or gcd(above, below) != 1 or not below <= 100 * above <= 10**9 * below:
        return False
    rest, twos, fives = below, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return False
    digits = str(above * 10 ** max(twos, fives) // below).rstrip("0")
    return len(digits) <= MAX_DIGITS
