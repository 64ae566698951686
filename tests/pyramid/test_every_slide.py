"""Every deep-zoom tile of every kind of slide we have, after the whole way: what tifffile reads in the clean slide."""

import io

import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image

from coverslip.outcomes import Cleaned
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.pyramid import Pyramid, build
from coverslip.pyramid.pixels import Encoding
from samples import dicom, mirax, sakura, vms, zeiss

REAL = [
    "aperio/CMU-1-Small-Region.svs",
    "generic-tiff/CMU-0-small.tiff",
    "ome-tiff/OS-1-detail.ome.tif",
    "hamamatsu/test3-DAPI.ndpi",
    "dicom/pyramid-6-levels",
    "dicom/cmu-1-small-region",
]
LEGIBLE = 8
"""Pixels on the shorter side below which a decibel is made of a block or two."""
SYNTHETIC = {
    "MIRAX": lambda folder: mirax.write(folder, columns=5, rows=4).path,
    "VMS": lambda folder: vms.write(folder / "slide.vms"),
    "Sakura": lambda folder: sakura.write(folder / "slide.svslide"),
    "Zeiss": lambda folder: zeiss.write(folder / "slide.czi"),
    "DICOM": lambda folder: dicom.write(folder),
}


@pytest.fixture(scope="module", params=[*REAL, *SYNTHETIC])
def clean(request, tmp_path_factory, real_slide):
    """The clean slide of each, made once."""
    folder = tmp_path_factory.mktemp("every")
    (folder / "in").mkdir()
    source = SYNTHETIC[request.param](folder / "in") if request.param in SYNTHETIC else real_slide(request.param)
    outcome = deidentify(source, folder / "out", policy=load("strict"), key=bytes(32))
    assert isinstance(outcome, Cleaned), outcome
    return outcome.clean


@pytest.fixture(scope="module")
def levels(clean):
    """What tifffile reads of every level, by its reduction; levels may be pages or hang below the first one."""
    with tifffile.TiffFile(clean) as tiff:
        base = tiff.pages[0]
        pages = [base, *(base.pages or ()), *tiff.pages[1:]]
        tiled = [page.aspage() for page in pages if page.aspage().is_tiled]
        return {round(np.log2(base.imagewidth / page.imagewidth)): page.asarray()[..., :3] for page in tiled}


@pytest.fixture(scope="module")
def served(clean):
    """Its pyramid with the pixels of derived tiles as they were before JPEG, as it is, and derived tiles' quality."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoding, "encode", _png)
        build(clean, clean.with_suffix(".exact"), complete=True)
    summary = build(clean, clean.with_suffix(".pyramid"), complete=True)
    exact = Pyramid.open(clean, clean.with_suffix(".exact"))
    usual = Pyramid.open(clean, clean.with_suffix(".pyramid"))
    yield exact, usual, summary.quality
    exact.close()
    usual.close()


def _png(_, pixels):
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


@pytest.fixture(scope="module")
def references(levels, served, box):
    """For every reduction: the level the slide holds, else the exact mean of the one above."""
    zoom, found = served[0].grid, [levels[0]]
    for reduction in range(1, zoom.levels):
        size, level = zoom.reduced(reduction), levels.get(reduction)
        above = box(found[-1]) if level is None else level
        short = ((0, size.height - above.shape[0]), (0, size.width - above.shape[1]), (0, 0))
        found.append(np.pad(above, short, mode="edge") if short[0][1] or short[1][1] else above)
    return found


def _tiles(pyramid):
    """Level, column, row and the region each tile stands for."""
    zoom = pyramid.grid
    for reduction in range(zoom.levels):
        grid, side = zoom.grid(reduction), zoom.tile
        for row in range(grid.height):
            for column in range(grid.width):
                yield reduction, column, row, np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]


def test_each_tile_is_its_place(served, references, decibels):
    """Stored tiles are equal in every value; derived ones, before encoding, within 38 dB of the exact mean."""
    exact, _, _ = served
    for reduction, column, row, region in _tiles(exact):
        address = exact.grid.largest - reduction, column, row
        shown, wanted = _pixels(exact.tile(*address)), references[reduction][region]
        assert shown.shape == wanted.shape, address
        if exact.stored(*address):
            assert np.array_equal(shown, wanted), address
        else:
            assert decibels(shown, wanted) >= 38, address


def test_no_seam_shows_where_tiles_meet(served, references, decibels):
    """One row or column along every border between derived tiles is as near the mean as tiles have to be."""
    exact, _, _ = served
    side = exact.tile_size
    for reduction in range(1, exact.grid.levels):
        size = exact.grid.reduced(reduction)
        if min(size.width, size.height) <= side or exact.stored(exact.grid.largest - reduction, 0, 0):
            continue
        level = np.zeros_like(references[reduction])
        for found, column, row, region in _tiles(exact):
            if found == reduction:
                level[region] = _pixels(exact.tile(exact.grid.largest - reduction, column, row))
        for border in range(side, size.width, side):
            rim = np.s_[:, border - 1 : border + 1]
            assert decibels(level[rim], references[reduction][rim]) >= 38, (reduction, border)
        for border in range(side, size.height, side):
            rim = np.s_[border - 1 : border + 1]
            assert decibels(level[rim], references[reduction][rim]) >= 38, (reduction, border)


def test_encoding_loses_no_more_than_the_reference_would(served, references, decibels):
    """After encoding, each derived tile is within half a decibel of the exact mean encoded at the same quality."""
    _, usual, quality = served
    compared = 0
    for reduction, column, row, region in _tiles(usual):
        address = usual.grid.largest - reduction, column, row
        wanted = np.ascontiguousarray(references[reduction][region])
        if reduction == 0 or usual.stored(*address) or min(wanted.shape[:2]) < LEGIBLE:
            continue
        best = _pixels(simplejpeg.encode_jpeg(wanted, quality=quality, colorsubsampling="420"))
        assert decibels(_pixels(usual.tile(*address)), wanted) > decibels(best, wanted) - 0.5, address
        compared += 1
    assert compared
