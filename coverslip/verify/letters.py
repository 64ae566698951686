"""Text in letters beyond ASCII in a value that is not UTF-8 as a whole: UTF-8 inside it, UTF-16, and code pages.

Names are written in many of them. What is found is only looked for, so a stretch of numbers that reads like letters
costs a search; a name that does not read costs everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

MAX_TEXTS: Final = 256
"""Of each alphabet, from one reading of a value."""
SHORTEST: Final = 6
"""Bytes in UTF-8, and of a short value as it stands: fewer stand everywhere."""
LONGEST: Final = 4096
"""Bytes of a value that may be one text in any script."""
STRETCH: Final = 512
"""Bytes of it that are looked for as they stand, each time: as much of a text as `forms` takes."""
LETTERS: Final = 0.5
"""Share of a text that has to be letters."""
ORDERS: Final = ("utf-16-le", "utf-16-be")
CODE_PAGES: Final = (
    *("cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "koi8_r", "iso8859_2"),
    *("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
)
"""What programs wrote before UTF-8, by country; Latin-1 is everybody's."""
_BESIDE = frozenset(b"\t\n\v\f\r .:")
"""Bytes that make no text of what they stand beside, as in `forms.Ordinary`."""
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1f]")
_UTF8 = re.compile(rb"(?:[\x20-\x7e]|[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}){2,}")
_IDEOGRAPHS = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef"
"""Chinese, Japanese, Korean, and their punctuation."""
_ALPHABETS: Final = (
    "\u0100-\u024f\u0300-\u036f\u1e00-\u1eff",  # Latin
    "\u0300-\u03ff\u1f00-\u1fff",  # Greek
    "\u0300-\u036f\u0400-\u052f",  # Cyrillic
    "\u0530-\u058f",  # Armenian
    "\u0590-\u05ff",  # Hebrew
    "\u0600-\u06ff\u0750-\u077f\u200c\u200d",  # Arabic
    *(f"{chr(first)}-{chr(first + 0x7F)}\u200c\u200d" for first in range(0x900, 0xE00, 0x80)),  # of India
    *(f"{chr(first)}-{chr(first + 0x7F)}" for first in (0xE00, 0xE80)),  # Thai, Lao
    "\u10a0-\u10ff",  # Georgian
)
_ANY = re.compile(f"[ -~\xa0-\xff{''.join(_ALPHABETS)}]{{4,}}")
_RUNS: Final = tuple(re.compile(f"[ -~\xa0-\xff{alphabet}]{{4,}}") for alphabet in _ALPHABETS)
_WHOLE = re.compile(f"[ -~\xa0-\xff{_IDEOGRAPHS}]+")


def inside(value: bytes) -> Iterator[str]:
    """UTF-8 in a value that is none as a whole."""
    found = (text for run in _UTF8.findall(value) for text in _read(run.decode("utf-8", "replace")))
    return islice(found, MAX_TEXTS)


def in_code_pages(value: bytes) -> Iterator[str]:
    """A short value that is text in eight bits, in every code page it may be in: nothing says in which.

    And byte for byte, which is how Latin-1 reads. One byte again and again is no text in any, whatever stands beside.
    """
    said = value.rstrip(b"\0")
    if not SHORTEST <= len(said) <= LONGEST or len(set(said) - _BESIDE) < 2 or _NO_TEXT.search(said):
        return
    found = frozenset(text for page in CODE_PAGES for text in _read_in(page, said))
    yield from found
    if found:
        yield from (said[at : at + STRETCH].decode("latin-1") for at in range(0, len(said), STRETCH))


def _read_in(page: str, said: bytes) -> Iterator[str]:
    try:
        yield from _read(said.decode(page))
    except UnicodeDecodeError:
        return


def wide(value: bytes) -> Iterator[str]:
    """UTF-16 of any alphabet in a value, and a short value as a whole, in ideographs.

    Not for what is text in UTF-8: two ASCII letters are one Chinese character.
    """
    little, big = (frozenset(_in_alphabets(value, order)) for order in ORDERS)
    yield from little - _cut_short(big)
    yield from big - _cut_short(little)
    length = len(value.rstrip(b"\0"))
    whole = value[: length + length % 2]
    if SHORTEST <= len(whole) <= LONGEST:
        yield from _ideographs(whole)


def _cut_short(texts: frozenset[str]) -> frozenset[str]:
    """What the other order makes of them."""
    return frozenset(part for text in texts for part in (text[1:], text[:-1]))


def _in_alphabets(value: bytes, order: str) -> Iterator[str]:
    for start in (0, 1):
        said = value[start:].decode(order, "replace")
        runs = _ANY.findall(said)
        latin = all(max(run) < "\u0100" for run in runs)  # which every alphabet takes, so one of them says it all
        for alphabet in _RUNS[:1] if latin else _RUNS:
            found = (text for run in runs for part in alphabet.findall(run) for text in _read(part))
            yield from islice(found, MAX_TEXTS)


def _ideographs(value: bytes) -> Iterator[str]:
    for order in ORDERS:
        said = value.decode(order, "replace")
        turned = sum(not ord(character) & 0xFF for character in said)  # ASCII in the other order
        if turned < 2 and _WHOLE.fullmatch(said):
            yield from _read(said)


def _read(text: str) -> Iterator[str]:
    """The text; also without a first letter that no English word has, for what stands before may look like one."""
    for part in (text,) if text[:1].isascii() and text[:1].isalpha() else (text, text[1:]):
        written = part.encode("utf-8", "replace")
        if len(written) >= SHORTEST and sum(map(str.isalpha, part)) >= LETTERS * len(part):
            yield part
