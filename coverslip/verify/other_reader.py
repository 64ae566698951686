"""A slide as OpenSlide sees it. Its messages may quote the file, so none leaves this module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import openslide
from openslide.lowlevel import OpenSlideError

from coverslip.errors import DamagedSlide
from coverslip.geometry import Mpp, Size
from coverslip.verify.report import SlideReading

CACHE_BYTES = 8 << 20
"""Decoded tiles OpenSlide keeps: nothing here looks at a tile twice."""


def opened(path: Path) -> openslide.OpenSlide | None:
    """The slide, or None when OpenSlide does not take it. A folder stands for the first DICOM file it takes."""
    candidates = sorted(file for file in path.iterdir() if file.is_file())[:512] if path.is_dir() else [path]
    for candidate in candidates:
        try:
            slide = openslide.OpenSlide(candidate)
            slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
            return slide
        except OpenSlideError:
            continue
        except OSError:
            continue
    return None


@contextmanager
def typed(where: str) -> Iterator[None]:
    """Turn OpenSlide's errors into `DamagedSlide`."""
    try:
        yield
    except OpenSlideError:
        raise DamagedSlide("OpenSlide cannot read the slide", where=where) from None


def read_facts(slide: openslide.OpenSlide, icc_transform: str, texts: tuple[str, str]) -> SlideReading:
    """Everything the utility check compares; `texts` are resolution and magnification exactly as written."""
    properties = slide.properties
    levels = range(slide.level_count)
    x, y = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    return SlideReading(
        vendor=str(properties.get("openslide.vendor", "")),
        mpp=Mpp(x, y) if x and y else None,
        magnification=_number(properties.get("openslide.objective-power")),
        mpp_text=texts[0],
        magnification_text=texts[1],
        levels=tuple(Size(*size) for size in slide.level_dimensions),
        tiles=tuple(_tile(properties, level) for level in levels),
        downsamples=tuple(round(float(downsample), 9) for downsample in slide.level_downsamples),
        icc_transform=icc_transform,
        background=str(properties.get("openslide.background-color", "")),
    )


def profile(slide: openslide.OpenSlide) -> bytes:
    """The base level's ICC profile; empty without one."""
    with typed("icc"):
        found = slide.read_region((0, 0), slide.level_count - 1, (1, 1)).info.get("icc_profile", b"")
    return found if isinstance(found, bytes) else b""


def _tile(properties: Mapping[str, str], level: int) -> Size:
    width, height = (properties.get(f"openslide.level[{level}].tile-{side}", "0") for side in ("width", "height"))
    return Size(int(width), int(height))


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else 0.0
    except ValueError:
        return None
    return value if 0 < value < 1e9 else None
