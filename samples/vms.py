"""A small Hamamatsu VMS set: the .vms file, which names the pictures beside it, and those pictures.

Source: OpenSlide `openslide-vendor-hamamatsu.c`: keys of the group `Virtual Microscope Specimen`; widths in nanometres.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from coverslip.geometry import Size
from samples.pictures import macro
from samples.tissue import Pixels, Tissue, shrunk

NANOMETRES = 460
"""Per pixel."""


def write(path: Path, size: Size = Size(512, 384), *, reference: str = "none", seed: int = 0) -> Path:
    """Write `path` (.vms) and beside it base picture, map and macro, named after it as the scanner does."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    small = shrunk(pixels, 4)
    pictures = {
        "ImageFile": (f"{path.stem} - 2010-01-12 13.24.05.jpg", pixels),
        "MapFile": (f"{path.stem}_map2.jpg", small),
        "MacroImage": (f"{path.stem}_macro.jpg", macro(["no words"], small, 320, 108)),
    }
    for name, content in pictures.values():
        path.with_name(name).write_bytes(_jpeg(content))
    pairs = {key: name for key, (name, _) in pictures.items()} | {
        "NoLayers": "1", "NoJpegColumns": "1", "NoJpegRows": "1", "SourceLens": "20", "Reference": reference,
        "PhysicalWidth": str(size.width * NANOMETRES), "PhysicalHeight": str(size.height * NANOMETRES),
    }  # fmt: skip
    lines = ["[Virtual Microscope Specimen]", *(f"{key}={value}" for key, value in pairs.items()), ""]
    path.write_bytes("\r\n".join(lines).encode())
    return path


def _jpeg(pixels: Pixels) -> bytes:
    """A JPEG with restart markers, which OpenSlide insists on, and 4:2:2, or it reads across them."""
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "JPEG", quality=80, subsampling="4:2:2", restart_marker_blocks=4)
    return made.getvalue()
