"""Names of files without their endings: as words that may not turn up again, and as names of what lies beside."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Final

_MIDDLE: Final = frozenset((".ome", ".tar", ".qptiff", ".ptif", ".svs", ".tif", ".tiff", ".zip"))
"""What stands before the last ending and is none of the name either."""


def stem(untrusted_name: str) -> str:
    """The last part of a path without its ending, and without a double one such as `.ome.tiff`."""
    return _bare(PurePath(untrusted_name.replace("\\", "/")))


def index_beside(clean: Path) -> Path:
    """Where the pyramid of a clean slide lies: `slide-1.ome.tif` has `slide-1.pyramid`."""
    return clean.with_name(f"{_bare(clean)}.pyramid")


def export_name(clean: Path) -> str:
    """What an export of a clean slide is called, without the endings of its form."""
    return _bare(clean)


def _bare(path: PurePath) -> str:
    inner = PurePath(path.stem)
    return inner.stem if path.suffix and inner.suffix.lower() in _MIDDLE else path.stem


def words(untrusted_name: str) -> tuple[str, ...]:
    """Every part of a path without its ending: folders are called after people as well."""
    parts = untrusted_name.replace("\\", "/").split("/")
    return tuple(dict.fromkeys(word for part in parts if (word := stem(part))))


def stem_bytes(untrusted_name: str) -> bytes:
    """The same, as it would stand in a file."""
    return stem(untrusted_name).encode("utf-8", "surrogateescape")
