"""INI files of slides (MIRAX `Slidedat.ini`, Hamamatsu `.vms`) as sections of pairs, read up to a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1 << 20

_PAIR: Final = re.compile(r"([^=]{1,200}?)\s*=\s*(.*)")


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of an INI file."""

    section: str
    key: str
    """Empty for a line that is no pair."""
    untrusted_value: str = field(repr=False)


def pairs(file: Path) -> tuple[Pair, ...]:
    """Every line that says something, in file order; Latin-1, so that every byte survives."""
    with file.open("rb") as opened:
        text = opened.read(MAX_BYTES).removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    found: list[Pair] = []
    section = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            section = line.strip("[]")
            continue
        pair = _PAIR.fullmatch(line)
        found.append(Pair(section, pair[1], pair[2]) if pair else Pair(section, "", line))
    return tuple(found)
