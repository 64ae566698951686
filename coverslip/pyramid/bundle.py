"""A pyramid as a folder with a page in it: put it on any web server, or open `index.html` from a disk.

index.html  viewer.js  viewer.css  openseadragon.min.js  slide.dzi  slide_files/<dz_level>/<column>_<row>.jpg
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from coverslip.durable import sync
from coverslip.errors import OutputExists
from coverslip.pyramid.export import export_dzi
from coverslip.pyramid.partial import storage_errors
from coverslip.pyramid.read import Pyramid

_PAGE = "index.html"
_PARTS = ("viewer.js", "viewer.css")
_LIBRARY = "openseadragon.min.js"


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a page says about a slide beside its pixels."""

    mpp: float | None = None
    """Micrometres per pixel; None leaves the scale bar out."""
    objective: float | None = None
    """Nominal magnification; None shows per cent instead."""


def export_static(pyramid: Pyramid, folder: Path, openseadragon: Path, facts: PageFacts = PageFacts()) -> Path:
    """Write the new folder `folder` and return the path of its page.

    `openseadragon` is the library's one file, copied in. The folder appears under its name when all is there. Raises
    OutputExists, StorageFailed, PyramidInvalid.
    """
    if folder.exists():
        raise OutputExists(where="export")
    partial = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.part"
    try:
        with storage_errors():
            partial.mkdir(parents=True)
            shutil.copyfile(openseadragon, partial / _LIBRARY)
            for part in _PARTS:
                (partial / part).write_bytes(_asset(part).encode())
            (partial / _PAGE).write_text(_page(pyramid, facts), encoding="utf-8")
        export_dzi(pyramid, partial, "slide")
        with storage_errors():
            partial.rename(folder)
            sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / _PAGE


def _page(pyramid: Pyramid, facts: PageFacts) -> str:
    size = pyramid.size
    numbers = {"width": size.width, "height": size.height, "tile": pyramid.tile_size}
    words = {"mpp": facts.mpp, "objective": facts.objective}
    shown = {name: "" if value is None else f"{value:.10g}" for name, value in words.items()}
    return _asset(_PAGE).format(**numbers, **shown)


def _asset(name: str) -> str:
    return (files("coverslip.pyramid") / "static" / name).read_text(encoding="utf-8")
