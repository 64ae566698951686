"""Numbers in a slide's words exchanged for such as nobody writes: XML in a TIFF, a description, a key file."""

from __future__ import annotations

import random
import re
from typing import Final

from samples.surgery import Patient

NUMBERS: Final = (
    b"0", b"1", b"-1", b"3", b"127", b"65535", b"65536", b"1000000", b"2147483647", b"-2147483648", b"4294967295",
    b"9223372036854775807", b"-9223372036854775808", b"18446744073709551616", b"1e308", b"-1e308", b"nan", b"inf", b"",
    b"0x10", b"0.0000001", b"9" * 400,
)  # fmt: skip
"""Where arithmetic or memory goes wrong, and what is no number at all."""
_NUMBER: Final = re.compile(rb"(?<![A-Za-z0-9_.#-])-?[0-9]+(\.[0-9]+)?(?![A-Za-z0-9_.-])")
_TEXTS: Final = (270, 700)
MOST: Final = 3


def reworded(data: bytes, dice: random.Random) -> bytes:
    """The same file with up to three numbers of one of its texts exchanged; a TIFF's new text lies at its end."""
    if data[:4] not in (b"II*\0", b"II+\0"):
        return _exchanged(data, dice)
    patient = Patient(data)
    places = [(page, code) for page, (_, _, found) in enumerate(patient.pages) for code in _TEXTS if code in found]
    page, code = dice.choice(places)
    entry = patient.entry(page, code)
    words = _exchanged(bytes(patient.data[entry.value_at : entry.value_at + entry.count]), dice).ljust(9, b"\0")
    return bytes(patient.recount(page, code, len(words)).point(page, code, patient.append(words)).data)


def _exchanged(words: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randint(1, MOST)):
        found = list(_NUMBER.finditer(words))
        if not found:
            break
        place = dice.choice(found)
        words = words[: place.start()] + dice.choice(NUMBERS) + words[place.end() :]
    return words
