"""A colour profile keeps the numbers of its transform and nothing that was written by people."""

import io
import struct
from contextlib import closing, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from coverslip.codestreams import icc
from coverslip.errors import CoverslipError, DamagedSlide
from coverslip.tiff.structure import open_tiff
from coverslip.verify import icc as seen
from tests.codestreams import profiles

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


def with_tag(name, data, base=SRGB):
    """A profile with one more tag."""
    profile = icc.parse(base)
    tags = [*[(tag.signature, tag.data) for tag in profile.tags if tag.signature != name], (name, data)]
    at, table, body = 132 + 12 * len(tags), b"", b""
    for signature, content in tags:
        table += struct.pack(">4sII", signature, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    return struct.pack(">I", at + len(body)) + base[4:128] + struct.pack(">I", len(tags)) + table + body


IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 16)
TABLE = b"mft2" + bytes(4) + bytes((3, 3, 2, 0)) + IDENTITY + struct.pack(">HH", 2, 2)
TABLE += struct.pack(">6H", *[0, 65535] * 3) + bytes(range(48)) + struct.pack(">6H", *[0, 65535] * 3)
LINE = b"curv" + bytes(8)
GRID = bytes((2, 2, 2)) + bytes(13) + b"\1" + bytes(3) + bytes(range(24))
STAGES = b"mAB " + bytes(4) + bytes((3, 3, 0, 0)) + struct.pack(">5I", 152, 0, 0, 108, 36) + b"JANE" + LINE * 3
STAGES += b"JANE" * 9 + GRID + LINE * 3 + b"Jane Doe"
"""Words before, between and behind the stages."""


@pytest.mark.parametrize("data", [TABLE, TABLE + b"Jane", STAGES], ids=["table", "tail", "stages"])
def test_tables_keep_their_colours_and_nothing_else(data):
    """LittleCMS converts to the same pixels, the verifier sees one transform, and no word is left."""
    before = with_tag(b"A2B0", data)
    after = icc.clean(icc.parse(before))
    assert converted(before) == converted(after) != converted(SRGB)
    assert seen.transform_digest(before) == seen.transform_digest(after) != seen.transform_digest(SRGB)
    assert list(seen.objections(after)) == []
    assert b"jane" not in after.lower()


@settings(max_examples=300)
@given(before=profiles.profiles())
def test_profiles_of_every_shape_keep_their_colours_and_nothing_else(before):
    """Whatever tags, curves, tables and stages: the verifier sees the same transform, and nobody's name."""
    after = icc.clean(icc.parse(before))
    assert list(seen.objections(after)) == []
    assert seen.transform_digest(before) == seen.transform_digest(after)
    assert profiles.NAME not in after


def converted(profile):
    """A picture of many colours through this profile."""
    picture = Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 30)
    colours = Image.merge("RGB", [picture, picture.rotate(90), picture.rotate(180)])
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(colours, opened, ImageCms.createProfile("LAB"), outputMode="LAB").tobytes()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"A2B3", TABLE),
        (b"D2B0", b"mpet" + bytes(8)),
        (b"A2B0", b"mpet" + bytes(8)),
        (b"A2B0", TABLE[:-1]),
        (b"A2B0", TABLE[:8] + b"\4" + TABLE[9:]),
        (b"A2B0", STAGES[:12] + struct.pack(">I", 900) + STAGES[16:]),
        (b"rXYZ", b"XYZ " + bytes(4) + b"JSMITH765432"),
        (b"rTRC", b"para" + struct.pack(">IHH4s", 0, 0, 0, b"JANE")),
        (b"rTRC", b"curv" + struct.pack(">II", 0, 1 << 20)),
        (b"chad", b"sf32" + bytes(8)),
        (b"wtpt", b"text" + bytes(4) + b"Jane Doe\0"),
    ],
)
def test_what_no_scanner_writes_is_not_written(name, data):
    """A transform of an unknown kind, a broken one, or letters in place of numbers: the profile is not kept."""
    with pytest.raises(DamagedSlide):
        icc.clean(icc.parse(with_tag(name, data)))


def edged(at, value, data=TABLE):
    """The same with other bytes somewhere."""
    return data[:at] + value + data[at + len(value) :]


WIDE = b"mft2" + bytes(4) + bytes((3, 3, 2, 0)) + IDENTITY
SIDES = STAGES.index(GRID)
LONGEST = 4096


def broad(before, after):
    """A table whose curves have so many points."""
    return WIDE + struct.pack(">HH", before, after) + bytes(2 * (3 * before + 24 + 3 * after))


def points(count):
    """A curve of so many points."""
    return b"curv" + struct.pack(">II", 0, count) + bytes(2 * count)


@pytest.mark.parametrize(
    ("name", "data"),
    [(b"A2B0", broad(LONGEST, 2)), (b"A2B0", broad(2, LONGEST)), (b"rTRC", points(LONGEST)), (b"rTRC", points(0))],
)
def test_the_largest_and_the_least_are_written(name, data):
    """What a profile may hold at most, and a curve of no points."""
    before = with_tag(name, data)
    after = icc.clean(icc.parse(before))
    assert list(seen.objections(after)) == []
    assert seen.transform_digest(before) == seen.transform_digest(after)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"A2B0", broad(LONGEST + 1, 2)),
        (b"A2B0", broad(2, LONGEST + 1)),
        (b"A2B0", broad(1, 2)),
        (b"A2B0", broad(2, 1)),
        (b"rTRC", points(LONGEST + 1)),
        (b"rTRC", points(9)[:-1]),
        (b"rTRC", points(0)[:-1]),
        (b"A2B0", edged(8, b"\3\1")),
        (b"A2B0", edged(10, b"\1")),
        (b"A2B0", edged(SIDES, b"\1", STAGES)),
        (b"A2B0", edged(SIDES + 16, b"\3", STAGES)),
        (b"A2B0", edged(SIDES, b"\xff" * 3, STAGES)),
        (b"A2B0", edged(12, bytes(4), STAGES)),
        (b"A2B0", STAGES[:31]),
        (b"A2B0", edged(12, struct.pack(">I", 31), STAGES)),
        (b"A2B0", edged(16, struct.pack(">I", 120), STAGES)),
        (b"A2B0", edged(24, bytes(4), STAGES)),
        (b"A2B0", edged(28, bytes(4), STAGES)),
        (b"rTRC", b"para" + struct.pack(">IHHi", 0, 0, 0, (16 << 16) + 1)),
        (b"rTRC", b"para" + struct.pack(">IHHi", 0, 5, 0, 1) * 9),
        (b"rXYZ", b"XYZ " + struct.pack(">I3i", 0, (2 << 16) + 1, 0, 0)),
        (b"kTRC", LINE),
    ],
)
def test_past_every_edge_nothing_is_written_but_what_the_verifier_takes(name, data):
    """One point too many, one byte too few, a stage without its other half: refused, or left out, never passed on."""
    before = with_tag(name, data)
    with suppress(DamagedSlide):
        after = icc.clean(icc.parse(before))
        assert name not in {tag.signature for tag in icc.parse(after).tags}
        assert list(seen.objections(after)) == []


def test_a_scanners_own_profile_keeps_its_colours(real_slide):
    """A real profile with three tables, through LittleCMS before and after."""
    with closing(open_tiff(real_slide("aperio/luna-1065626-jp2k.svs"))) as tiff:
        before = tiff.pages[0].raw(34675)
    after = icc.clean(icc.parse(before))
    assert converted(before) == converted(after)
    assert seen.transform_digest(before) == seen.transform_digest(after)


@given(at=st.integers(0, 399), value=st.integers(0, 255))
def test_what_is_written_the_verifier_takes(at, value):
    """Whatever a profile says, what is written of it is numbers and fixed words, and the same transform."""
    for base in (SRGB, with_tag(b"A2B0", STAGES)):
        data = bytearray(base)
        data[at] = value
        with suppress(CoverslipError):
            after = icc.clean(icc.parse(bytes(data)))
            assert list(seen.objections(after)) == []
            assert seen.transform_digest(bytes(data)) == seen.transform_digest(after)


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
