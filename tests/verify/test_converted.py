"""Converted slides are compared by decoding: other bytes, same picture, same numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simplejpeg

from coverslip.slide import Route

FACTS = b"coverslip 1|AppMag = 20|MPP = 0.499\0"


def encoded_anew(tile, change=lambda pixels: pixels):
    pixels = np.ascontiguousarray(change(simplejpeg.decode_jpeg(tile)))
    stream = simplejpeg.encode_jpeg(pixels, quality=92, colorsubsampling="444")
    return stream[:2] + stream[20:]  # without the JFIF segment


@pytest.fixture
def converted(workshop):
    """What the converted route makes of the workshop's source: levels only, BigTIFF, resolution in its own tags."""

    def page(number, spec):
        tags = [tag for tag in spec.tags if tag.code != 270]
        scale = 10**7 // (499 * (1 if number == 0 else 4))
        tags += [workshop.tag(282, 5, (scale, 1)), workshop.tag(283, 5, (scale, 1))]
        tags += [workshop.tag(296, 3, (3,))]
        if number:
            tags = [tag if tag.code != 254 else workshop.tag(254, 4, (1,)) for tag in tags]
        else:
            tags += [workshop.tag(270, 2, FACTS)]
        return replace(spec, tags=tuple(tags), pieces=tuple(encoded_anew(tile) for tile in spec.pieces))

    levels = [workshop.clean.pages[0], workshop.clean.pages[2]]
    made = replace(workshop.clean, big=True, pages=tuple(page(n, spec) for n, spec in enumerate(levels)))
    exact = [workshop.tag(code, 5, (501002, 25)) for code in (282, 283)]  # 20040.08, as many digits as there may be
    return made.page(0, lambda spec: spec.with_tag(exact[0]).with_tag(exact[1]))


def codes(workshop, slide):
    return workshop.codes(slide, route=Route.CONVERTED)


def test_the_good_converted_slide_passes(workshop, converted):
    """Every sampled region of every level agrees, and nothing else stands in the file."""
    report = workshop.judge(converted, route=Route.CONVERTED)
    assert report.findings == ()
    assert report.scans.method == "decoded"
    assert report.scans.compared == report.scans.identical >= 2
    assert report.utility.after.mpp.x == pytest.approx(0.499)


def test_other_pixels_are_found(workshop, converted):
    """One level shifted by a few pixels, as a converter that rounds wrongly does."""
    shifted = converted.page(
        0,
        lambda page: replace(
            page, pieces=tuple(encoded_anew(tile, lambda pixels: np.roll(pixels, 5, axis=1)) for tile in page.pieces)
        ),
    )
    assert ("scans", "pixels-differ") in codes(workshop, shifted)


def test_other_colours_are_found(workshop, converted):
    """A little too dark everywhere: above the noise of JPEG, below what an eye notices."""
    darker = converted.page(
        1,
        lambda page: page.with_piece(0, lambda tile: encoded_anew(tile, lambda pixels: pixels - np.minimum(pixels, 5))),
    )
    assert ("scans", "pixels-differ") in codes(workshop, darker)


@pytest.mark.parametrize("change", [(b"20", b"40"), (b"AppMag = 20|", b"")])
def test_another_magnification_is_found(workshop, converted, change):
    """The number must come along."""
    text = workshop.tag(270, 2, FACTS.replace(*change))
    assert ("utility", "reads-differently") in codes(workshop, converted.page(0, lambda page: page.with_tag(text)))


def test_another_resolution_is_found(workshop, converted):
    """One in a thousand off."""
    tag = workshop.tag(282, 5, (10**7, 500))
    assert ("utility", "reads-differently") in codes(workshop, converted.page(0, lambda page: page.with_tag(tag)))


def test_any_picture_beside_the_levels_is_found(workshop, converted):
    """A converted slide has levels and nothing else."""
    extra = replace(converted, pages=(*converted.pages, workshop.clean.pages[1].without(270)))
    assert ("structure", "unexpected-picture") in codes(workshop, extra)


def test_comments_and_words_are_found_as_on_the_other_route(workshop, converted):
    """Tiles are new, so all their bytes are searched."""
    broken = converted.page(0, lambda page: page.with_piece(2, workshop.commented))
    assert {("scans", "foreign-marker"), ("leaks", "secret-found")} <= codes(workshop, broken)
