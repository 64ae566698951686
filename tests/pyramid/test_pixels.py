"""Every served tile shows what an independent reader shows at that place."""

import io

import numpy as np
import openslide
import pytest
import simplejpeg
from PIL import Image

from coverslip.pyramid import Pyramid
from coverslip.pyramid.pixels import Encoding

SLIDES = {
    "aperio RGB without a marker": ("aperio", 1537, 1283, {"tile": 240, "quality": 70}),
    "aperio YCbCr 4:2:2": ("aperio", 1300, 1100, {"codec": "jpeg-ycbcr", "tile": 256}),
    "generic 4:2:0": ("generic", 1024, 1024, {"tile": 256}),
    "one level": ("generic", 1111, 777, {"tile": 256, "downsamples": (1,)}),
    "every level": ("generic", 1024, 768, {"tile": 128, "downsamples": (1, 2, 4, 8)}),
    "levels a pixel short": ("generic", 1027, 1031, {"tile": 128, "downsamples": (1, 2, 4)}),
    "a level short by a whole column": ("generic", 1025, 1025, {"tile": 256, "downsamples": (1, 2, 4)}),
    "large tiles": ("generic", 1500, 1300, {"tile": 512, "downsamples": (1, 4)}),
    "larger tiles": ("generic", 1500, 1300, {"tile": 1024, "downsamples": (1,)}),
    "smaller than a tile": ("generic", 100, 60, {"tile": 256, "downsamples": (1,)}),
    "one pixel wide": ("generic", 1, 300, {"tile": 256, "downsamples": (1,)}),
    "BigTIFF, Motorola order": ("generic", 600, 500, {"tile": 256, "order": ">", "bigtiff": True}),
}
OTHER_CODECS = {
    "deflate": {"codec": "deflate"},
    "deflate with predictor": {"codec": "deflate", "predictor": 2},
    "LZW": {"codec": "lzw"},
    "no compression": {"codec": "none"},
}


def tiles(pyramid: Pyramid):
    """All tiles: reduction, column, row, and the region of the level they stand for."""
    zoom = pyramid.grid
    for reduction in range(zoom.levels):
        grid = zoom.grid(reduction)
        for row in range(grid.height):
            for column in range(grid.width):
                across = slice(column * zoom.tile, (column + 1) * zoom.tile)
                yield reduction, column, row, (slice(row * zoom.tile, (row + 1) * zoom.tile), across)


@pytest.fixture
def lossless(monkeypatch):
    """Let derived tiles be PNG, so that a test sees the pixels before JPEG."""

    def png(_, pixels):
        out = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG", compress_level=1)
        return out.getvalue()

    monkeypatch.setattr(Encoding, "encode", png)


@pytest.fixture
def expected(openslide_levels, box):
    """The reference for every reduction: the level OpenSlide shows where the slide holds one, else the mean above."""

    def references(slide, pyramid):
        levels, zoom = openslide_levels(slide), pyramid.grid
        found = [levels[0]]
        for reduction in range(1, zoom.levels):
            size = zoom.reduced(reduction)
            above = box(found[-1])
            level = levels.get(reduction)
            if level is not None:
                short = ((0, size.height - level.shape[0]), (0, size.width - level.shape[1]), (0, 0))
                above = np.pad(level, short, mode="edge")
            found.append(above)
        return found

    return references


@pytest.mark.parametrize("name", SLIDES)
def test_stored_tiles_are_identical_and_derived_ones_are_the_mean(
    name, generated, built, expected, pixels_of, decibels, lossless
):
    """Stored tiles decode to OpenSlide's pixels exactly; derived ones, before encoding, to 38 dB of their mean."""
    vendor, width, height, options = SLIDES[name]
    slide = generated(vendor, width, height, **options)
    pyramid, _ = built(slide)
    references = expected(slide, pyramid)
    for reduction, column, row, region in tiles(pyramid):
        dz_level = pyramid.grid.largest - reduction
        shown, wanted = pixels_of(pyramid.tile(dz_level, column, row)), references[reduction][region]
        assert shown.shape == wanted.shape, (dz_level, column, row)
        stored = pyramid.stored(dz_level, column, row)
        good = np.array_equal(shown, wanted) if stored else decibels(shown, wanted) >= 38
        assert good, (dz_level, column, row)


@pytest.mark.parametrize(
    ("options", "margin"), [({"codec": "jpeg"}, 0), ({"codec": "jpeg-ycbcr"}, 2)], ids=["full chroma", "subsampled"]
)
def test_cut_tiles_keep_their_coefficients(options, margin, generated, built, openslide_levels, pixels_of):
    """Edge tiles of stored levels are the exact crop; with subsampled chroma, up to the last two columns and rows."""
    slide = generated("aperio", 1300, 1100, tile=256, **options)
    pyramid, _ = built(slide)
    base, cut = openslide_levels(slide)[0], 0
    for reduction, column, row, region in tiles(pyramid):
        if reduction == 0 and not pyramid.stored(pyramid.grid.largest, column, row):
            shown, wanted = pixels_of(pyramid.tile(pyramid.grid.largest, column, row)), base[region]
            height, width = shown.shape[0] - margin, shown.shape[1] - margin
            assert np.array_equal(shown[:height, :width], wanted[:height, :width])
            cut += 1
    assert cut == 10


@pytest.mark.parametrize("name", OTHER_CODECS)
def test_codecs_without_a_browser_are_derived_from_exact_pixels(
    name, generated, built, openslide_levels, pixels_of, lossless
):
    """A lossless source's base level comes out exactly; nothing is served from the slide."""
    slide = generated("generic", 700, 500, **OTHER_CODECS[name])
    pyramid, summary = built(slide)
    base = openslide_levels(slide)[0]
    assert summary.stored_tiles == 0
    for reduction, column, row, region in tiles(pyramid):
        shown = pixels_of(pyramid.tile(pyramid.grid.largest - reduction, column, row))
        assert reduction or np.array_equal(shown, base[region])


def test_tiles_of_another_shape_are_cut_anew(generated, built, openslide_levels, pixels_of, lossless):
    """A tile size that DeepZoom cannot have (48 pixels) is served as 256, exactly."""
    slide = generated("generic", 700, 430, tile=48, codec="deflate", downsamples=(1,))
    pyramid, _ = built(slide)
    assert pyramid.tile_size == 256
    base = openslide_levels(slide)[0]
    for reduction, column, row, region in tiles(pyramid):
        if reduction == 0:
            assert np.array_equal(pixels_of(pyramid.tile(pyramid.grid.largest, column, row)), base[region])


def test_grey_stays_grey(tmp_path, built, pixels_of, decibels):
    """A one-channel JPEG slide is served and derived as grey."""
    import tifffile

    grey = np.random.default_rng(3).integers(0, 255, (20, 28), np.uint8).repeat(30, 0).repeat(30, 1)
    slide = tmp_path / "grey.tiff"
    tifffile.imwrite(slide, grey, tile=(256, 256), compression="jpeg", compressionargs={"level": 90})
    pyramid, _ = built(slide)
    shown = pixels_of(pyramid.tile(pyramid.grid.largest, 0, 0))
    assert decibels(shown[..., 0], grey[:256, :256]) > 30
    assert Image.open(io.BytesIO(pyramid.tile(pyramid.grid.largest - 1, 0, 0))).mode == "L"


def test_encoding_costs_no_more_than_encoding_the_reference(
    generated, built, openslide_levels, box, decibels, pixels_of
):
    """After encoding, a derived tile is within half a decibel of the reference encoded at the same quality."""
    slide = generated("aperio", 1024, 1024, tile=256, quality=70)
    pyramid, summary = built(slide)
    mean = box(openslide_levels(slide)[0])
    for column in (0, 1):
        region = np.ascontiguousarray(mean[:256, column * 256 : column * 256 + 256])
        best = pixels_of(simplejpeg.encode_jpeg(region, quality=summary.quality, colorsubsampling="420"))
        shown = pixels_of(pyramid.tile(pyramid.grid.largest - 1, column, 0))
        assert decibels(shown, region) > decibels(best, region) - 0.5


@pytest.mark.parametrize("name", ["aperio/CMU-1-Small-Region.svs", "generic-tiff/CMU-0-small.tiff"])
def test_real_jpeg_slides_look_as_openslide_shows_them(
    name, real_slide, built, expected, pixels_of, decibels, lossless
):
    """Real slides, every tile: stored ones identical, derived ones above 38 dB."""
    slide = real_slide(name)
    pyramid, _ = built(slide)
    references = expected(slide, pyramid)
    for reduction, column, row, region in tiles(pyramid):
        dz_level = pyramid.grid.largest - reduction
        shown, wanted = pixels_of(pyramid.tile(dz_level, column, row)), references[reduction][region]
        stored = pyramid.stored(dz_level, column, row)
        good = np.array_equal(shown, wanted) if stored else decibels(shown, wanted) >= 38
        assert good, (dz_level, column, row)


@pytest.mark.slow
def test_real_jpeg_2000_slide_looks_as_openslide_shows_it(real_slide, built, pixels_of, decibels):
    """Aperio's YCbCr JPEG 2000: colours are right, in the middle and at both edges."""
    slide = real_slide("aperio/luna-1065626-jp2k.svs")
    pyramid, summary = built(slide)
    assert summary.stored_tiles == 0
    with openslide.OpenSlide(slide) as reader:
        for column, row in ((3, 4), (11, 9), (23, 0), (8, 20)):
            shown = pixels_of(pyramid.tile(pyramid.grid.largest, column, row))
            wanted = reader.read_region((column * 512, row * 512), 0, (shown.shape[1], shown.shape[0])).convert("RGB")
            assert decibels(shown, np.asarray(wanted)) > 33


def test_small_jpeg_2000_slides_of_both_colour_kinds(generated, built, openslide_levels, pixels_of, lossless, decibels):
    """33003 (YCbCr) and 33005 (RGB) decode to OpenSlide's colours, but for rounding of the conversion."""
    for codec in ("j2k-ycbcr", "j2k-rgb"):
        slide = generated("aperio", 600, 500, codec=codec, tile=256, downsamples=(1,))
        pyramid, _ = built(slide)
        base = openslide_levels(slide)[0]
        for reduction, column, row, region in tiles(pyramid):
            if reduction == 0:
                assert decibels(pixels_of(pyramid.tile(pyramid.grid.largest, column, row)), base[region]) > 45
