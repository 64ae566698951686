"""The deep-zoom pyramid: an index into the clean slide, plus only the tiles the slide cannot give."""

from coverslip.pyramid.build import BuildSummary, build
from coverslip.pyramid.check import check
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.export import export_dzi
from coverslip.pyramid.read import Pyramid

__all__ = ["BuildSummary", "DeepZoom", "Pyramid", "build", "check", "export_dzi"]
