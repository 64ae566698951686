"""What JPEGs share is no proof; what only looks like it hides no name."""

import random

import pytest

from coverslip.verify.claim import Secret
from coverslip.verify.leaks import Hunt
from coverslip.verify.stretches import samples, stretches
from tests.verify.hunting import NOISE, around, finds


def segment(marker, payload):
    """As a JPEG holds it."""
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


DIVISORS = bytes(range(16, 80))
SHARED = {
    "divisors": segment(0xDB, b"\0" + DIVISORS),
    "wide divisors": segment(0xDB, b"\x13" + b"\x01\x02" * 64),
    "two tables of divisors": segment(0xDB, b"\0" + DIVISORS + b"\1" + DIVISORS),
    "codes": segment(0xC4, b"\x10" + bytes([0, 2, 1, *bytes(13)]) + b"\0\1\2"),
    "codes of a progressive one": segment(0xC4, b"\x10" + bytes([0, 1, *bytes(14)]) + b"\x10"),
    "frame": segment(0xC0, b"\x08\x01\0\x01\0\3\1\x22\0\2\x11\1\3\x11\1"),
    "progressive frame": segment(0xC2, b"\x0c\x01\0\x01\0\1\1\x11\3"),
    "restarts": segment(0xDD, b"\0\x08"),
    "scan": segment(0xDA, b"\3\1\0\2\x11\3\x33\0\x3f\0"),
}
WORDS = b"between tables"


@pytest.mark.parametrize("kind", SHARED)
def test_jpeg_tables_prove_nothing_and_what_stands_around_does(kind):
    """Thumbnails share those with every other JPEG."""
    value = b"\xff\xd8" + SHARED[kind] + WORDS + SHARED[kind] * 2 + b"and behind"
    assert stretches(value) == (b"\xff\xd8", WORDS, b"and behind")
    assert not finds(value, around(SHARED[kind]))
    assert finds(value, around(WORDS))
    assert finds(value, around(b"and behind"))


@pytest.mark.parametrize("kind", SHARED)
def test_what_only_begins_like_one_is_looked_for(kind):
    """Two bytes stand anywhere by chance, and a name behind them would be blanked with up to two thousand others."""
    assert stretches(SHARED[kind][:-1]) == (SHARED[kind][:-1],)
    longer = bytearray(SHARED[kind] + "Švarc-Kralj".encode("utf-16-le"))
    longer[3] += 20
    assert stretches(bytes(longer)) == (longer,)
    assert finds(bytes(longer), around("varc-Kralj".encode("utf-16-le")))


@pytest.mark.parametrize(
    "spoilt",
    [
        segment(0xDB, b"\0" + bytes(64)),
        segment(0xDB, b"\4" + DIVISORS),
        segment(0xDB, b""),
        segment(0xC4, b"\0" + bytes([0, 0, 0, 9, *bytes(12)]) + b"Jane\0Doe1"),
        segment(0xC4, b"\x20" + bytes([0, 2, 1, *bytes(13)]) + b"\0\1\2"),
        segment(0xC0, b"\x08\x01\0\x01\0\3Jane Doe1"),
        segment(0xC0, b"\x41\x01\0\x01\0\1\1\x11\3"),
        segment(0xC2, b"\x08\x01\0\x01\0\2\1\x11\3"),
        segment(0xC2, b"\x08\x01\0"),
        segment(0xC0, b"\x08\x01\0\x01\0\5" + b"\1\x11\3" * 5),
        segment(0xC0, b"\x08\x01\0\x01\0\1\1\x01\3"),
        segment(0xC0, b"\x08\x01\0\x01\0\1\1\x51\3"),
        segment(0xC0, b"\x08\x01\0\x01\0\1\1\x10\3"),
        segment(0xC0, b"\x08\x01\0\x01\0\2\1\x11\3\2\x11\4"),
        segment(0xDD, b"\0\x08\0"),
        segment(0xDA, b"\3\1A\2B\3C\0\x3f\0"),
        segment(0xDA, b"\x05\1\0\1\0\1\0\1\0\1\0\0\x3f\0"),
        segment(0xDA, b"\1\1\0\0\x3f"),
        b"\xff\xc0\0\1",
        b"\xff\xc0\0\0",
        b"\xff\xda\0\2",
    ],
)
def test_what_no_decoder_would_take_is_no_table(spoilt):
    """A clean slide holds none either, so looking for what stands in it accuses nobody."""
    assert stretches(spoilt + b"Tail") == (spoilt + b"Tail",)


def test_a_table_in_a_table_is_blanked_once():
    """A marker inside one is part of it."""
    outer = segment(0xDB, b"\x10" + b"\1\2" * 30 + segment(0xDD, b"\1\1") + b"\1\2" * 31)
    assert stretches(b"x" + outer + b"Tail") == (b"x", b"Tail")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("odd", [b"", b"x", b"\0"])
def test_a_table_joins_no_letters(codec, odd):
    """A name before one and one behind it are found each, also where the first is cut."""
    before, behind = "Zupančič-Kralj".encode(codec), "Horvat-Novak".encode(codec)
    value = b"\x05\xff" + before + odd + SHARED["restarts"] + behind
    assert finds(value, around("-Kralj".encode(codec)))
    assert finds(value, around(behind))


@pytest.mark.parametrize("short", [b"JFIF\0\1\2\x48\x49", bytes(range(29))])
def test_how_any_jpeg_begins_is_not_looked_for(short):
    """A short stretch is a value of its own only when nothing else is there."""
    value = b"\xff\xd8" + short + SHARED["frame"] + NOISE[:200]
    assert not any(form in b"\xff\xd8" + short for form in samples(stretches(value)))
    assert finds(value, around(NOISE[60:160]))
    assert finds(b"\xff\xd8" + short, around(b"\xff\xd8" + short))


def test_many_short_ones_take_no_long_one_s_place():
    """Restart intervals one behind the other, and then what matters."""
    wordless = bytes(random.Random(4).choices(range(0x80, 0xA0), k=200))
    assert finds((b"ab\x01" + SHARED["restarts"]) * 300 + wordless, around(wordless[60:160]))


def test_a_text_ends_where_a_stretch_ends():
    """What would stand across a table stands nowhere: such a value is said to be proved by structure, not searched."""
    value = b"0" + SHARED["restarts"] + b";AKE\0"
    hunt = Hunt((Secret("here", value),), ())
    assert hunt.forms[0] == 0
    assert [proof.proof for proof in hunt.summary().secrets] == ["structure"]


@pytest.mark.parametrize("number", [1, 300, 3000])
def test_every_stretch_is_read(number):
    """However many there are before it."""
    value = (b"\x90\x91" + SHARED["restarts"]) * number + b"\x90Jane Doe-Miller\x91"
    assert finds(value, around(b"Jane Doe-Miller"))
