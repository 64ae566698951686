"""INI files as OpenSlide's parser sees them: which keys there are, what numbers they claim, which files they name.

Sections are not looked at: a bound holds for every line with that key, so that no disagreement between two parsers
about sections, repeated keys or line ends can hide one. Source: GLib, "Key-value file parser".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coverslip.errors import DamagedSlide, LimitExceeded

MAX_NAME: Final = 255
"""Bytes of a file's name."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,400}")

Bounds = tuple[tuple[re.Pattern[str], int], ...]
"""Keys, as patterns, and the greatest number each may claim."""


def lines(raw: bytes) -> Iterator[tuple[str, str]]:
    """Keys and values; only a line feed ends a line."""
    for line in raw.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            yield key.strip(), value.strip()


def check_numbers(raw: bytes, bounds: Bounds, where: str) -> dict[str, int]:
    """The greatest number each bounded key claims. Raises LimitExceeded for one beyond its bound."""
    found: dict[str, int] = {}
    for key, value in lines(raw):
        bound = next((most for pattern, most in bounds if pattern.fullmatch(key)), None)
        if bound is None or not _INTEGER.fullmatch(value):
            continue
        if abs(int(value)) > bound:
            raise LimitExceeded(f"a number is greater than {bound}", where=f"{where}/{_shown(key)}")
        found[key] = max(int(value), found.get(key, 0))
    return found


def check_names(raw: bytes, keys: re.Pattern[str], where: str) -> tuple[str, ...]:
    """Names of files in the slide's own folder. Raises DamagedSlide for one that leads anywhere else."""
    found = []
    for key, value in lines(raw):
        if keys.fullmatch(key) and value:
            if Path(value).name != value or "\\" in value or "\0" in value or len(value.encode()) > MAX_NAME:
                raise DamagedSlide("a companion is named that lies outside the slide's folder", where=where)
            found.append(value)
    return tuple(found)


def _shown(key: str) -> str:
    """The key without its numbers, which came out of the file."""
    return re.sub(r"[0-9]+", "n", key)
