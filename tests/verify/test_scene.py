"""A level shows what the next larger one shows, or the slide is held back, however much it looks like a level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from coverslip.geometry import Size
from coverslip.verify import scene
from coverslip.verify.pages import level_pages, pictures
from coverslip.verify.reading import Bytes
from coverslip.verify.tiff_walk import walk
from samples import aperio, generic
from samples.dressed import pictures as dressed

FOUND = {("scene", "not-the-same-scene")}


def smaller(workshop, change):
    """The workshop with another second level, in source and clean slide alike: every byte is the source's own."""
    pixels = np.ascontiguousarray(change(workshop.shown((64, 48))))
    page = workshop.level(pixels, workshop.description)
    workshop.source = replace(workshop.source, pages=(*workshop.source.pages[:2], page, *workshop.source.pages[3:]))
    return replace(workshop.clean, pages=(*workshop.clean.pages[:2], page))


OTHER = {
    **{name: lambda level, name=name: dressed(Size(64, 48))[name] for name in dressed(Size(64, 48))},
    "turned by half": lambda level: level[::-1, ::-1],
    "mirrored": lambda level: level[:, ::-1],
    "negative": lambda level: 255 - level,
    "shifted by an eighth": lambda level: np.roll(level, 8, axis=1),
    "noise": lambda level: np.random.default_rng(3).integers(0, 255, level.shape, dtype=np.uint8),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_level_that_shows_something_else_is_found(workshop, name):
    """It has the shape, tiles, codec and words of a level, and the source has it too: only the picture tells."""
    assert workshop.codes(smaller(workshop, OTHER[name])) == FOUND


SAME = {
    "darker": lambda level: (level * 0.7).astype(np.uint8),
    "paler": lambda level: (128 + level // 2).astype(np.uint8),
    "shifted by a pixel": lambda level: np.roll(level, 1, axis=(0, 1)),
    "grainy": lambda level: np.clip(
        level + np.random.default_rng(3).normal(0, 12, level.shape), 0, 255
    ).astype(np.uint8),
    "blank": lambda level: np.full_like(level, 244),
    "black": np.zeros_like,
    "nearly blank": lambda level: np.random.default_rng(3).integers(240, 246, level.shape, dtype=np.uint8),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_level_that_shows_the_same_or_nothing_is_fine(workshop, name):
    """Other brightness, rounding and grain are no reason to hold a slide back, nor is empty glass."""
    assert workshop.codes(smaller(workshop, SAME[name])) == set()


@pytest.mark.parametrize("method", [Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
def test_any_way_of_reducing_is_the_same_scene(workshop, method):
    """Scanners take every fourth pixel, average or sharpen."""
    reduced = Image.fromarray(workshop.shown((256, 192))).resize((64, 48), method)
    assert workshop.codes(smaller(workshop, lambda level: np.asarray(reduced))) == set()


def test_a_thumbnail_of_something_else_is_found(workshop):
    """No label of this source, so that it is like nothing private: still not this slide."""
    other = workshop.picture(dressed(Size(240, 180))["other-slide"], 0)
    other = other.with_tag(workshop.tag(270, 2, workshop.description + b"\0"))
    broken = replace(workshop.clean, pages=(workshop.clean.pages[0], other, workshop.clean.pages[2]))
    assert workshop.codes(broken) == FOUND


@pytest.mark.parametrize(
    ("size", "subfile"), [((60, 72), 0), ((64, 48), 1), ((64, 48), 9), ((64, 48), 4)], ids=lambda value: str(value)
)
def test_a_tiled_picture_that_says_it_is_none_is_found(workshop, size, subfile):
    """By its shape or its subfile type; that it lies in tiles makes it no level."""
    label = np.asarray(Image.fromarray(workshop.label()).resize(size))
    page = workshop.level(label, workshop.description, subfile)
    assert ("structure", "unexpected-picture") in workshop.codes(
        replace(workshop.clean, pages=(*workshop.clean.pages[:2], page))
    )


def test_a_tiled_label_of_the_source_is_private(workshop):
    """The thumbnail was made from the smallest tiled page, and that was the label."""
    label = workshop.label()
    tiled = workshop.level(label, b"Aperio Image Library v12.0.15\r\nlabel 200x240", 1)
    workshop.source = replace(workshop.source, pages=(*workshop.source.pages[:3], tiled))
    thumbnail = workshop.picture(label, 0).with_tag(workshop.tag(270, 2, workshop.description + b"\0"))
    broken = replace(workshop.clean, pages=(workshop.clean.pages[0], thumbnail, workshop.clean.pages[2]))
    assert ("labels", "private-picture") in workshop.codes(broken)


def judged(path):
    """The findings on the levels of a TIFF, and what the check measured."""
    with Bytes(path) as file:
        levels = level_pages(pictures(file, walk(file)))
        return scene.check_scene(path, file, (levels,), ())


STORED = {
    "8 bits grey, deflate": ({"photometric": "minisblack", "compression": "zlib"}, np.uint8, 1),
    "16 bits grey": ({"photometric": "minisblack"}, np.uint16, 1),
    "12 of 16 bits grey, LZW": ({"photometric": "minisblack", "compression": "lzw"}, np.uint16, 1 / 16),
    "planes apart": ({"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}, np.uint8, 1),
    "big-endian JPEG 2000": ({"photometric": "rgb", "compression": "jpeg2000"}, np.uint8, 1),
}


@pytest.mark.parametrize("other", [False, True], ids=["same", "label"])
@pytest.mark.parametrize("kind", STORED)
def test_every_kind_of_samples_is_looked_at(kind, other, tmp_path):
    """A label is found, and a level let pass, in each codec, depth and arrangement."""
    options, dtype, scale = STORED[kind]
    whole = np.asarray(dressed(Size(512, 384))["other-slide"])
    level = dressed(Size(128, 96))["label"] if other else np.asarray(Image.fromarray(whole).reduce(4))
    order = ">" if "big" in kind else "<"
    with tifffile.TiffWriter(tmp_path / "slide.tiff", byteorder=order) as writer:
        for pixels, reduced in ((whole, 0), (level, 1)):
            writer.write(_as(pixels, options, dtype, scale), tile=(64, 64), subfiletype=reduced, **options)
    seen, findings = judged(tmp_path / "slide.tiff")
    assert seen.places > 0
    assert [found.where for found in findings] == (["ifd[1]"] if other else [])


def _as(pixels, options, dtype, scale):
    wide = (pixels.astype(np.float64) * np.iinfo(dtype).max / 255 * scale).astype(dtype)
    if options["photometric"] == "minisblack":
        return np.ascontiguousarray(wide[..., 1])
    return np.moveaxis(wide, 2, 0).copy() if "planarconfig" in options else wide


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 1.0])
@pytest.mark.parametrize("repeated", [False, True])
def test_no_synthetic_slide_is_taken_for_another(share, repeated, tmp_path):
    """Nearly empty slides too, with grain in the glass and without."""
    options = {"tissue_share": share, "repeated_blank": repeated, "identifiers": False}
    for path in (
        aperio.write(tmp_path / "a.svs", Size(2200, 1500), **options).path,
        generic.write(tmp_path / "g.tiff", Size(1300, 900), codec="deflate", **options).path,
    ):
        seen, findings = judged(path)
        assert findings == []
        assert seen.agreeing == seen.places


def test_levels_below_several_pages_belong_to_their_page():
    """Of pages that are as large, a level is compared with the last before it."""
    sizes = [100, 50, 100, 50, 25]
    pages = [_Sized(Size(width, width)) for width in sizes]
    assert scene._next_larger(50, pages[:3]) is pages[2]
    assert scene._next_larger(25, pages[:4]) is pages[3]
    assert scene._next_larger(100, pages[:2]) is None


class _Sized:
    """A page as far as its size goes."""

    def __init__(self, size):
        self.size = size
