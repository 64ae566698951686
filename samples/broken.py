"""Every broken slide there is, table after table."""

from __future__ import annotations

from collections.abc import Iterator

from samples import broken_layout, broken_ome, broken_pixels, broken_structure, dressed
from samples.broken_case import Case, sound

__all__ = ["Case", "cases", "sound"]


def cases() -> Iterator[Case]:
    """Every broken slide."""
    for table in (broken_structure, broken_layout, broken_pixels, broken_ome, dressed):
        yield from table.cases()
