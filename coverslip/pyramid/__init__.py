"""The deep-zoom pyramid: an index into the clean slide, plus only the tiles the slide cannot give."""

from coverslip.pyramid.build import BuildSummary, build
from coverslip.pyramid.bundle import PageFacts, export_static
from coverslip.pyramid.check import check
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.export import export_dzi
from coverslip.pyramid.read import Pyramid
from coverslip.pyramid.szi import (
    dzi_zip_chunks,
    dzi_zip_length,
    dzi_zip_range,
    export_szi,
    szi_chunks,
    szi_length,
    szi_range,
)

__all__ = [
    "BuildSummary",
    "DeepZoom",
    "PageFacts",
    "Pyramid",
    "build",
    "check",
    "dzi_zip_chunks",
    "dzi_zip_length",
    "dzi_zip_range",
    "export_dzi",
    "export_static",
    "export_szi",
    "szi_chunks",
    "szi_length",
    "szi_range",
]
