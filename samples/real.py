"""Where real slides lie, for tests that want what scanners really write."""

from __future__ import annotations

import os
from pathlib import Path

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "slides"


def find(name: str) -> Path | None:
    """A real slide by its place in the collection (`hamamatsu/test3-DAPI.ndpi`); None when it is not at hand."""
    place = Path(os.environ.get("COVERSLIP_REAL_SLIDES", _BESIDE)) / name
    return place if place.exists() else None
