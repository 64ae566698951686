"""INI files that name other files: the values in them, and the same text with other names in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from coverslip.errors import LimitExceeded
from coverslip.preflight import MAX_INI

_CODECS: Final = ("utf-8", "cp1252", "cp437")


def text(pieces: Iterable[bytes]) -> bytes:
    """The whole file. Raises LimitExceeded beyond what readers take."""
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) > MAX_INI:
            raise LimitExceeded("a text file of the slide is too long", where="companion")
    return bytes(found)


def values(untrusted_text: bytes) -> frozenset[str]:
    """What stands behind the equals signs, folded as names are compared, in each way it may be read."""
    lines = untrusted_text.splitlines()
    return frozenset(form for line in lines for form in _forms(line.partition(b"=")[2].strip()))


def renamed(untrusted_text: bytes, names: Mapping[str, str]) -> bytes:
    """The same text with file names exchanged; `names` are folded old ones and new ones. Else no byte changes."""
    return b"".join(_exchanged(line, names) for line in untrusted_text.splitlines(keepends=True))


def _exchanged(line: bytes, names: Mapping[str, str]) -> bytes:
    key, sign, rest = line.partition(b"=")
    value = rest.strip()
    new = next((names[form] for form in _forms(value) if form in names), None)
    return line if new is None else key + sign + rest.replace(value, new.encode(), 1)


def _forms(value: bytes) -> Iterator[str]:
    for codec in _CODECS:
        yield unicodedata.normalize("NFC", value.decode(codec, "replace")).casefold()
