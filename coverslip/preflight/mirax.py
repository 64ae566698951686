"""MIRAX: whatever number in `Slidedat.ini` sizes something is bounded, and files are named in the slide's folder only.

Source: OpenSlide 4.0 `openslide-vendor-mirax.c`: levels, data files and camera positions are allocated by count before
anything else is compared, and a failed allocation ends the process.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from coverslip.errors import LimitExceeded
from coverslip.preflight import keyfile

SETTINGS: Final = "Slidedat.ini"
MAX_IMAGES: Final = 1 << 24
"""Camera pictures of a slide, over all."""
_BOUNDS: Final = tuple(
    (re.compile(key), most)
    for key, most in (
        (r"IMAGENUMBER_[XY]", 1 << 16),
        (r"CameraImageDivisionsPerSide", 256),
        (r"HIER_COUNT|NONHIER_COUNT", 1000),
        (r"NONHIER_[0-9]+_COUNT", 10_000),
        (r"HIER_[0-9]+_COUNT", 64),
        (r"FILE_COUNT", 4096),
        (r"DIGITIZER_(WIDTH|HEIGHT)", 8192),
        (r"IMAGE_CONCAT_FACTOR", 30),
    )
)
_NAMES: Final = re.compile(r"INDEXFILE|FILE_[0-9]+")


def check(folder: Path) -> None:
    """Raise LimitExceeded for numbers nobody can mean, DamagedSlide for names that leave the folder.

    A folder without settings passes: no reader takes it.
    """
    settings = folder / SETTINGS
    if not settings.is_file():
        return
    raw = settings.read_bytes()
    numbers = keyfile.check_numbers(raw, _BOUNDS, SETTINGS)
    if numbers.get("IMAGENUMBER_X", 0) * numbers.get("IMAGENUMBER_Y", 0) > MAX_IMAGES:
        raise LimitExceeded("more pictures than anybody takes", where=f"{SETTINGS}/IMAGENUMBER_X")
    keyfile.check_names(raw, _NAMES, SETTINGS)
