"""A small Hamamatsu VMU set: the .vmu file, which names uncompressed pictures beside it, and those pictures.

Source: OpenSlide `openslide-vendor-hamamatsu.c`: keys of the group `Uncompressed Virtual Microscope Specimen`; NGR
files begin `GN`, hold width, height and column width, and 12-bit RGB column by column.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from coverslip.geometry import Size
from samples.codecs import jpeg_ycbcr
from samples.pictures import macro
from samples.tissue import Pixels, Tissue, shrunk

NANOMETRES = 460
"""Per pixel."""
COLUMN = 64
HEADER = 64


def write(path: Path, size: Size = Size(256, 192), *, reference: str = "none", seed: int = 0) -> Path:
    """Write `path` (.vmu) and beside it base picture, map and macro; sides are multiples of 256."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    small = shrunk(pixels, 4)
    names = {"ImageFile": f"{path.stem}.ngr", "MapFile": f"{path.stem}_map.ngr", "MacroImage": f"{path.stem}_macro.jpg"}
    path.with_name(names["ImageFile"]).write_bytes(_ngr(pixels))
    path.with_name(names["MapFile"]).write_bytes(_ngr(small))
    path.with_name(names["MacroImage"]).write_bytes(jpeg_ycbcr(macro(["no words"], small, 320, 108), 80))
    pairs = names | {
        "NoLayers": "1", "SourceLens": "20", "BitsPerPixel": "36", "PixelOrder": "RGB", "Reference": reference,
        "PhysicalWidth": str(size.width * NANOMETRES), "PhysicalHeight": str(size.height * NANOMETRES),
    }  # fmt: skip
    lines = ["[Uncompressed Virtual Microscope Specimen]", *(f"{key}={value}" for key, value in pairs.items()), ""]
    path.write_bytes("\r\n".join(lines).encode())
    return path


def _ngr(pixels: Pixels) -> bytes:
    height, width, _ = pixels.shape
    column = min(COLUMN, width)
    head = struct.pack("<2sH3i8xI", b"GN", 1, width, height, column, HEADER).ljust(HEADER, b"\0")
    deep = pixels.astype("<u2") << 4
    return head + b"".join(np.ascontiguousarray(deep[:, x : x + column]).tobytes() for x in range(0, width, column))
