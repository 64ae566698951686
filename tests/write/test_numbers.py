"""Numeric fields come out as numbers: whatever bytes stood there, only values that a TIFF can mean are written."""

import struct
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverslip.errors import CoverslipError, DamagedSlide, UnknownStructure
from coverslip.geometry import Size
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, Field
from coverslip.verify import values
from coverslip.verify.pages import Page
from coverslip.verify.tiff_walk import Ifd, IfdKind
from coverslip.write.numbers import KEPT, decimal, kept_field

SAMPLES, PHOTOMETRIC, WIDTH, HEIGHT = 3, 6, 1000, 700


def directory(*changed, order="<", photometric=PHOTOMETRIC, compression=1, tiled=True):
    """A page with other fields; each is (code, type, bytes)."""
    numbers = {256: WIDTH, 257: HEIGHT, 259: compression, 262: photometric, 277: SAMPLES, 284: 1}
    fields = {code: (code, t.SHORT, struct.pack(order + "H", value)) for code, value in numbers.items()}
    fields |= (
        {322: (322, t.SHORT, struct.pack(order + "H", 256)), 323: (323, t.SHORT, struct.pack(order + "H", 256))}
        if tiled
        else {}
    )
    fields |= {code: (code, kind, raw) for code, kind, raw in changed}
    made = {c: Field(c, kind, len(raw) // t.TYPE_SIZES[kind], 0, raw) for c, kind, raw in fields.values()}
    return Directory("ifd[0]", 0, 0, order, made)


def page(*, photometric=PHOTOMETRIC, compression=1, tiled=True):
    """The same page as the verifier sees it."""
    nothing = np.zeros(0, np.int64)
    ifd = Ifd("ifd[0]", IfdKind.PAGE, 0, 0, ())
    size = Size(WIDTH, HEIGHT)
    return Page(ifd, size, Size(256, 256), tiled, compression, 0, photometric, SAMPLES, 8, 1, nothing, nothing)


@pytest.mark.parametrize("code", [259, 262, 266, 274, 284, 296, 317, 339, 530, 531, 258, 32997])
def test_letters_are_no_number(code):
    """Four letters in place of a number a decoder knows: the slide is not written."""
    with pytest.raises((UnknownStructure, DamagedSlide)):
        kept_field(directory((code, t.LONG, b"JSMITH765432")), code)


def test_there_is_no_room_for_letters_behind_the_colours():
    """Every sample is a colour, so nothing has to be said about others: the field goes."""
    assert kept_field(directory((338, t.LONG, b"JSMITH765432")), 338) is None


@pytest.mark.parametrize("code", [529, 532])
def test_fractions_of_letters_go_or_are_refused(code):
    """Where a decoder needs the coefficients the slide is refused; where it does not, the field goes."""
    text = (b"SMITH^JOHN^MRN7654321" * 3)[:48]
    with pytest.raises(UnknownStructure):
        kept_field(directory((code, t.RATIONAL, text)), code)
    assert kept_field(directory((code, t.RATIONAL, text), compression=7), code) is None
    assert kept_field(directory((code, t.RATIONAL, text), photometric=2), code) is None


def test_usual_coefficients_stay():
    """BT.601 and the full range, however they are spelt, in their one spelling."""
    spelt = struct.pack("<12I", 0, 7, 510, 2, 128, 1, 255, 1, 1280, 10, 255, 1)
    found = kept_field(directory((532, t.RATIONAL, spelt)), 532)
    assert struct.unpack("<12I", found.raw) == (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)
    spelt = struct.pack(">6I", 2990, 10000, 587, 1000, 114, 1000)
    found = kept_field(directory((529, t.RATIONAL, spelt), order=">"), 529)
    assert struct.unpack(">6I", found.raw) == (299, 1000, 587, 1000, 114, 1000)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ((20_000_000, 1000), (20_000, 1)),
        ((36_956_112, 1000), (4_619_514, 125)),
        ((3130, 1), (3130, 1)),
        ((72, 1), (72, 1)),
        ((161_705_484, 4096), (39_478_878, 1000)),
        ((2_147_483_647, 54_397), (39_477_979, 1000)),
        ((0x4E4F4A48, 0x54494D53), (929, 1000)),
    ],
)
def test_a_resolution_is_a_decimal_of_eight_digits(value, written):
    """Usual ones read exactly as before; others to a part in twenty million, and letters are letters no more."""
    found = kept_field(directory((282, t.RATIONAL, struct.pack("<2I", *value))), 282)
    above, below = struct.unpack("<2I", found.raw)
    assert Fraction(above, below) == pytest.approx(Fraction(*value), rel=5e-8)
    if written != (929, 1000):
        assert Fraction(above, below) == Fraction(*written)
    assert struct.pack("<I", value[0])[:4] not in found.raw or value[0] < 1 << 24


@pytest.mark.parametrize("value", [(0, 1), (1, 0), (0, 0), (1, 4_000_000_000), (4_000_000_000, 1)])
def test_a_resolution_nobody_means_goes(value):
    """Nothing, infinity, a pixel of a kilometre."""
    assert kept_field(directory((282, t.RATIONAL, struct.pack("<2I", *value))), 282) is None


def test_short_numbers_are_short():
    """As TIFF has them, whatever they were."""
    for kind, raw in ((t.LONG, b"\3\0\0\0"), (t.LONG8, b"\3" + bytes(7)), (t.BYTE, b"\3")):
        found = kept_field(directory((296, kind, raw)), 296)
        assert (found.type, found.raw) == (t.SHORT, b"\3\0")
    assert kept_field(directory((254, t.LONG, b"JSMI")), 254).raw in (b"\0\0\0\0", b"\1\0\0\0")


def test_rows_per_strip_is_of_strips():
    """One number no larger than the picture, and none where there are tiles."""
    assert kept_field(directory((278, t.LONG, b"\xff\xff\xff\xff"), tiled=False), 278).raw == struct.pack("<H", HEIGHT)
    assert kept_field(directory((278, t.SHORT, b"\x10\0"), tiled=False), 278).raw == b"\x10\0"
    assert kept_field(directory((278, t.LONG, b"JSMI")), 278) is None


@settings(max_examples=1500)
@given(
    code=st.sampled_from(sorted(KEPT)),
    kind=st.sampled_from(sorted(t.TYPE_SIZES)),
    raw=st.binary(min_size=1, max_size=64),
    order=st.sampled_from("<>"),
    photometric=st.sampled_from([0, 1, 2, 6]),
    compression=st.sampled_from([1, 5, 7, 8, 33005]),
    tiled=st.booleans(),
)
def test_any_bytes_are_a_number_or_refused(code, kind, raw, order, photometric, compression, tiled):
    """Whatever stands in a field: what is written the verifier's own list allows, in one spelling, or it is refused."""
    raw = raw[: len(raw) // t.TYPE_SIZES[kind] * t.TYPE_SIZES[kind]]
    with suppress(CoverslipError):
        source = directory(
            (code, kind, raw), order=order, photometric=photometric, compression=compression, tiled=tiled
        )
        found = kept_field(source, code)
        if found is None or code in (256, 257, 259, 262, 277, 322, 323):
            return
        form = values.LETTERS[found.type]
        numbers = struct.unpack(f"{order}{len(found.raw) // struct.calcsize(form)}{form}", found.raw)
        seen = page(photometric=photometric, compression=compression, tiled=tiled)
        assert values.is_allowed(code, found.type, numbers, seen)
        assert values.means_something(code, seen)


@settings(max_examples=1000)
@given(above=st.integers(1, (1 << 32) - 1), below=st.integers(1, (1 << 32) - 1))
def test_both_sides_have_one_rule_for_resolutions(above, below):
    """What the writer makes of any fraction the verifier takes; what the verifier takes the writer leaves as it is."""
    value = decimal(Fraction(above, below))
    if value is not None:
        assert values.is_resolution(value.numerator, value.denominator)
        assert max(value.numerator, value.denominator) < 1 << 32
    if values.is_resolution(above, below):
        assert (value.numerator, value.denominator) == (above, below)


@given(digits=st.integers(1, 10**9), places=st.integers(0, 9))
def test_decimals_are_taken_by_both_or_by_none(digits, places):
    """Eight digits are as many as there may be."""
    value = Fraction(digits, 10**places)
    taken = values.is_resolution(value.numerator, value.denominator)
    assert taken == (decimal(value) == value)
