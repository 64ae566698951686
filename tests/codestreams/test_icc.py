"""A colour profile keeps its transform byte for byte and nothing that was written by people."""

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from coverslip.codestreams import icc
from coverslip.errors import CoverslipError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_transform_stays():
    """Every transform tag has the same bytes before and after."""
    before, after = icc.parse(SRGB), icc.parse(icc.clean(icc.parse(SRGB)))
    numbers = {tag.signature: tag.data for tag in before.tags if tag.signature in icc.TRANSFORM}
    kept = {tag.signature: tag.data for tag in after.tags if tag.signature in icc.TRANSFORM}
    assert len(numbers) >= 7
    assert {name: kept[name] for name in numbers} == {name: data[: len(kept[name])] for name, data in numbers.items()}


def test_words_and_dates_go():
    """Date, platform, maker, model, creator are zero; description and copyright are ours."""
    clean = icc.clean(icc.parse(SRGB))
    assert clean[24:36] == bytes(12)
    assert clean[48:56] == bytes(8)
    assert clean[80:84] == bytes(4)
    opened = ImageCms.ImageCmsProfile(io.BytesIO(clean)).profile
    assert (opened.profile_description, opened.copyright) == (icc.DESCRIPTION, icc.COPYRIGHT)


def test_colours_come_out_the_same():
    """LittleCMS converts a picture to the same pixels through either profile."""
    picture = Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 30).convert("RGB")
    lab = ImageCms.createProfile("LAB")
    results = []
    for data in (SRGB, icc.clean(icc.parse(SRGB))):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        results.append(ImageCms.profileToProfile(picture, profile, lab, outputMode="LAB").tobytes())
    assert results[0] == results[1]


def test_clean_twice_is_clean_once():
    """Cleaning is idempotent."""
    once = icc.clean(icc.parse(SRGB))
    assert icc.clean(icc.parse(once)) == once


@given(at=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, len(SRGB)))
def test_no_bytes_break_the_parser(at, value, cut):
    """Any damage ends in a profile or in one of our errors."""
    data = bytearray(SRGB)
    data[at] = value
    with suppress(CoverslipError):
        icc.clean(icc.parse(bytes(data[:cut])))


@pytest.mark.parametrize("name", ["desc", "cprt"])
def test_each_word_is_an_element(name):
    """The texts are seen, so that the report can say they went."""
    assert name in {tag.name for tag in icc.parse(SRGB).tags}
