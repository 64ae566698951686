"""Names of files as words that may not turn up again: without the ending, which somebody may have left off."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

_MIDDLE: Final = frozenset((".ome", ".tar", ".qptiff", ".ptif", ".svs", ".tif", ".tiff", ".zip"))
"""What stands before the last ending and is none of the name either."""


def stem(untrusted_name: str) -> str:
    """The last part of a path without its ending, and without a double one such as `.ome.tiff`."""
    name = PurePath(untrusted_name.replace("\\", "/")).name
    path = PurePath(name)
    if path.suffix and PurePath(path.stem).suffix.lower() in _MIDDLE:
        path = PurePath(path.stem)
    return path.stem


def words(untrusted_name: str) -> tuple[str, ...]:
    """Every part of a path without its ending: folders are called after people as well."""
    parts = untrusted_name.replace("\\", "/").split("/")
    return tuple(dict.fromkeys(word for part in parts if (word := stem(part))))


def stem_bytes(untrusted_name: str) -> bytes:
    """The same, as it would stand in a file."""
    return stem(untrusted_name).encode("utf-8", "surrogateescape")
