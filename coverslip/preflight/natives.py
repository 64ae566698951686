"""Which versions of native libraries are safe to hand a hostile file to; anything older stops the program at start.

OpenSlide before 4.0.1 writes outside its memory on a crafted BIF and shows other memory as pixels (CVE-2026-48977,
CVE-2026-54604); Pillow before 13.0.0 decodes what its allow-list should refuse.
"""

from __future__ import annotations

import re
from typing import Final

import openslide
import PIL

OLDEST: Final = {"OpenSlide": (4, 0, 1), "Pillow": (13, 0, 0)}


def found() -> dict[str, str]:
    """What is loaded, by the libraries' own words."""
    return {"OpenSlide": openslide.__library_version__, "Pillow": PIL.__version__}


def require(versions: dict[str, str]) -> None:
    """Raise ImportError, so that no process starts, when a library is older than `OLDEST`."""
    for name, oldest in OLDEST.items():
        if parsed(versions[name]) < oldest:
            needed = ".".join(map(str, oldest))
            raise ImportError(f"{name} {needed} or newer is needed: older ones are not safe with hostile files")


def parsed(version: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    numbers = re.match(r"\d{1,6}(\.\d{1,6}){0,3}", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()
