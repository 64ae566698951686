"""A clean slide in a form other programs take: a DeepZoom folder, an SZI file, or a folder for any web server."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import assert_never

from coverslip.errors import StorageFailed
from coverslip.formats import open_slide
from coverslip.forms import Form
from coverslip.pipeline import build_pyramid
from coverslip.progress import Progress, silent
from coverslip.pyramid import PageFacts, Pyramid, export_dzi, export_static, export_szi

_CHECKOUT = Path(__file__).resolve().parent.parent
_LIBRARIES = (
    _CHECKOUT / "service/static/vendor/openseadragon.min.js",
    _CHECKOUT / "node_modules/openseadragon/build/openseadragon/openseadragon.min.js",
)
"""Where a checkout keeps the viewer library; a wheel brings none."""


def export(
    clean: Path, form: Form, out: Path, *, openseadragon: Path | None = None, progress: Progress = silent
) -> Path:
    """Write a clean slide's tiles into the folder `out`, named as the slide is; return what to open.

    Uses the pyramid beside the slide and builds it when there is none. Stored tiles are copied, never decoded. Raises
    OutputExists, StorageFailed, PyramidInvalid.
    """
    library = _library(openseadragon) if form is Form.STATIC else None
    index = clean.with_suffix(".pyramid")
    if not index.exists():
        build_pyramid(clean, index, progress=progress)
    with Pyramid.open(clean, index) as pyramid:
        match form:
            case Form.DZI:
                return export_dzi(pyramid, out, clean.stem)
            case Form.SZI:
                return export_szi(pyramid, out, clean.stem)
            case Form.STATIC:
                assert library is not None
                return export_static(pyramid, out / clean.stem, library, _facts(clean))
            case _:
                assert_never(form)


def _library(given: Path | None) -> Path:
    for path in (given,) if given else _LIBRARIES:
        if path.is_file():
            return path
    raise StorageFailed("openseadragon.min.js is not here: run `npm ci`, or name it with --openseadragon")


def _facts(clean: Path) -> PageFacts:
    with closing(open_slide(clean)) as slide:
        return PageFacts(slide.facts.mpp.x if slide.facts.mpp else None, slide.facts.magnification)
