"""Whether a file is a ZIP archive, and how much may come out of one: what is asked before anything is unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coverslip.errors import StorageFailed

GROWTH: Final = 8
"""An archive may unpack to this many times its size: slides are compressed already."""
FLOOR: Final = 256 << 20
"""Even a tiny archive may unpack to this much."""


def looks_like_zip(head: bytes) -> bool:
    """Whether a file that begins so is a ZIP archive: a file in it, nothing in it, or a part of one."""
    return head.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\b"))


def is_archive(source: Path) -> bool:
    """Whether a file begins as a ZIP archive does. Raises StorageFailed when it cannot be read."""
    try:
        with source.open("rb") as file:
            return looks_like_zip(file.read(4))
    except OSError as error:
        raise StorageFailed("the file cannot be read") from error


def most_unpacked(source: Path) -> int:
    """Bytes that unpacking a file may take; 0 when it is no archive. Raises StorageFailed."""
    return FLOOR + GROWTH * source.stat().st_size if is_archive(source) else 0
