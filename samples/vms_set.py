"""A tiny Hamamatsu VMS set: a key file, one picture with restart markers, and its map."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from coverslip.geometry import Size
from samples.tissue import Pixels, Tissue, shrunk


def write(path: Path, size: Size = Size(512, 384), *, reference: str = "none", seed: int = 0) -> Path:
    """Write the set beside `path`, which ends in `.vms`."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    for name, content in (("image.jpg", pixels), ("map.jpg", shrunk(pixels, 4)), ("macro.jpg", shrunk(pixels, 2))):
        path.with_name(name).write_bytes(_jpeg(content))
    keys = {
        "NoLayers": "1", "NoJpegColumns": "1", "NoJpegRows": "1", "ImageFile": "image.jpg", "MapFile": "map.jpg",
        "MacroImage": "macro.jpg", "PhysicalWidth": "256000", "PhysicalHeight": "192000", "SourceLens": "20",
        "Reference": reference,
    }  # fmt: skip
    path.write_text("[Virtual Microscope Specimen]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()))
    return path


def _jpeg(pixels: Pixels) -> bytes:
    """With a restart marker after every 64 pixels: units are 8 × 8, as nothing is subsampled."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=80, subsampling=0, restart_marker_blocks=8)
    return out.getvalue()
