"""A clean slide in a form other programs take: a DeepZoom folder, an SZI file, or a folder for any web server."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import assert_never

from coverslip.formats import open_slide
from coverslip.forms import Form, viewer_library
from coverslip.names import export_name, index_beside
from coverslip.progress import Progress, silent
from coverslip.pyramid import PageFacts, Pyramid, export_dzi, export_static, export_szi
from coverslip.tiling import build_pyramid


def export(
    clean: Path, form: Form, out: Path, *, openseadragon: Path | None = None, progress: Progress = silent
) -> Path:
    """Write a clean slide's tiles into the folder `out`, named as the slide is; return what to open.

    Uses the pyramid beside the slide and builds it when there is none. Stored tiles are copied, never decoded. Raises
    OutputExists, StorageFailed, PyramidInvalid.
    """
    library = viewer_library(openseadragon) if form is Form.STATIC else None
    index = index_beside(clean)
    if not index.exists():
        build_pyramid(clean, index, progress=progress)
    with Pyramid.open(clean, index) as pyramid:
        match form:
            case Form.DZI:
                return export_dzi(pyramid, out, export_name(clean))
            case Form.SZI:
                return export_szi(pyramid, out, export_name(clean))
            case Form.STATIC:
                assert library is not None
                return export_static(pyramid, out / export_name(clean), library, _facts(clean))
            case _:
                assert_never(form)


def _facts(clean: Path) -> PageFacts:
    with closing(open_slide(clean)) as slide:
        return PageFacts(slide.facts.mpp.x if slide.facts.mpp else None, slide.facts.magnification)
