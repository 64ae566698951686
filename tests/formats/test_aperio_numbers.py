"""Numbers and lines of an Aperio description: what scanners write stays, what only looks like it goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverslip.decimals import measured
from coverslip.elements import ElementPath, Inventory
from coverslip.formats import aperio
from coverslip.policy import Keep, load
from coverslip.verify import grammar

WRITTEN = {
    "MPP": ["0.26283899999999999", "0.262839", "0.4990", "0.24628", "0.25", "0.2498000000", "0.2462799996137619"],
    "AppMag": ["20", "40", "40.0", "1.25"],
    "Left": ["25.691574", "-3.5"], "LineCameraSkew": ["-0.000424", "-4.24e-04"], "Focus Offset": ["0.000000"],
    "Exposure Time": ["109"], "Exposure Scale": ["0.000001"], "OriginalWidth": ["46920"], "DisplayColor": ["16777215"],
    "Filtered": ["5"], "StripeWidth": ["2040"], "Gamma": ["2.2"],
}  # fmt: skip
HIDDEN = {
    "MPP": ["0.1234567890", "0.12345678901234567", "1234567890", "20260", "0,25", "0.25 Doe", "00000.25", "-0.25", ""],
    "Gamma": ["0.7654321090", "0.76543219000"],
    "AppMag": ["7654321098", "1000000", "20 Doe"],
    "Left": ["7654321098", "25.6915741234", "1e99", "19561224"],
    "Exposure Time": ["7654321098", "1234567"], "OriginalWidth": ["7654321098", "46920.5", "12345678"],
    "DisplayColor": ["99999999"], "Filtered": ["19561224", "5.123456789"], "StripeWidth": ["123456"],
}  # fmt: skip
SOFTWARE = [
    "Aperio Image Library v12.0.15", "Aperio Image Library v10.0.51", "Aperio Image Library v11.2.1",
    "Aperio Image Library vFS90 01", "Aperio Leica Biosystems GT450 v1.0.1", "Aperio Leica Biosystems GT450 DX v1.2.0",
    "Aperio Image Library",
]  # fmt: skip
NOT_SOFTWARE = [
    "Aperio Image Library v765.4321.0987", "Aperio Image Library vJD19 56", "Aperio Image Library vFS90 02",
    "Aperio Image Library v7654321098", "Aperio Image Library v12.0.15 Doe", "Aperio Doe v1.0.1",
    "Aperio Image Library v12.12.1224",
]  # fmt: skip
GEOMETRY = [
    "46920x33014 [0,100 46000x32914] (256x256) JPEG/RGB Q=30", "46000x32914 -> 1024x732 -",
    "46000x32914 [0,0 46000x32914] (256x256) -> 11500x8228 JPEG/RGB Q=65", "16000x17597 (256x256) J2K/YUV16 Q=70",
    "152366x66545 [0,0,152366x66545] (256x256) JPEG/YCC Q=91",
]  # fmt: skip
NOT_GEOMETRY = [
    "46000x32914 7654321x0987654", "Q=30 Q=12 Q=24", "46000x32914 Q=765", "JPEG/RGB JPEG/RGB", "[1,2 3x4]",
    "46000x32914 -> 1024x732 -> 1956x1224",
]  # fmt: skip


def kept(text):
    """What the default policy keeps of a description, by path."""
    elements = aperio.parse(text).elements(ElementPath("ifd[0]/ImageDescription"))
    return {
        d.element.path.rpartition("ImageDescription/")[2]: d.element.untrusted_text
        for d in load("strict").plan(Inventory(elements))
        if isinstance(d.action, Keep)
    }


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRITTEN.items() for value in values])
def test_what_scanners_write_stays(key, value):
    """As it reads, and the verifier's own grammar lets it pass."""
    assert kept(f"Aperio Image Library v12.0.15\r\n4x4|{key} = {value}")[key] == value
    assert grammar.is_allowed(key, value)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in HIDDEN.items() for value in values])
def test_a_record_number_is_no_measurement(key, value):
    """Too many digits, too large for its key, or no number: neither kept nor let pass."""
    assert key not in kept(f"Aperio Image Library v12.0.15\r\n4x4|{key} = {value}")
    assert not grammar.is_allowed(key, value)


@pytest.mark.parametrize("line", SOFTWARE)
def test_known_programs_stay(line):
    """Products and versions there are."""
    assert kept(f"{line}\r\n4x4")["header/software"] == line
    assert list(grammar.objections(f"{line}\r\n4x4")) == []


@pytest.mark.parametrize("line", NOT_SOFTWARE)
def test_other_programs_go(line):
    """A version of many digits, or of letters, is somebody's number or name."""
    assert "header/software" not in kept(f"{line}\r\n4x4")
    assert list(grammar.objections(f"{line}\r\n4x4"))


@pytest.mark.parametrize("line", GEOMETRY)
def test_geometry_stays(line):
    """Sizes, codec and quality in the order Aperio has."""
    assert kept(f"Aperio Image Library\r\n{line}")["header/geometry"] == line
    assert grammar.is_geometry(line)


@pytest.mark.parametrize("line", NOT_GEOMETRY)
def test_more_numbers_than_a_geometry_has_go(line):
    """Each part stands once, and a quality is at most a hundred."""
    assert "header/geometry" not in kept(f"Aperio Image Library\r\n{line}")
    assert not grammar.is_geometry(line)


@given(digits=st.integers(1, 10**9 - 1), places=st.integers(0, 17), as_c=st.booleans())
def test_nine_digits_are_taken_however_they_are_printed(digits, places, as_c):
    """A decimal of nine digits, or all digits of the double nearest to it."""
    value = digits / 10**places
    text = f"{value:.17g}" if as_c else repr(value)
    if "e" not in text and value < 1e8 and len(text.partition(".")[2]) <= 17:
        assert measured(text) == value
        assert grammar.is_number(text, (0.0, 1e9))


@given(text=st.from_regex(r"[+-]?[0-9]{0,12}(\.[0-9]{0,20})?(e[+-]?[0-9]{1,3})?", fullmatch=True))
def test_both_sides_have_one_idea_of_a_number(text):
    """What the reader takes the verifier lets pass, and nothing else."""
    value = measured(text)
    within = value is not None and -1e9 <= value <= 1e9
    assert grammar.is_number(text, (-1e9, 1e9)) == within


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Иванов Иван".encode(), "Иванов Иван".encode()),
        ("Müller".encode(), "Müller".encode()),
        ("Müller".encode("latin-1"), "Müller".encode()),
        (b"Doe^Jane", b"Doe^Jane"),
    ],
)
def test_a_name_is_looked_for_as_it_was_written(written, said):
    """In UTF-8 if it is; what is not can only be Latin-1."""
    whole = b"Aperio Image Library v12\r\n10x10|Patient = " + written
    values = [each.untrusted_value for each in aperio.parse(whole.decode("latin-1")).elements("d")]
    assert {said, b"Patient = " + said} & set(values)
