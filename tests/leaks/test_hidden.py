"""Words put into any bit a decoder does not need: the slide is held back, or they are gone from everything we write.

Nobody knows these words: no element of the source holds them, so no search can find them. Only a reader that takes
numbers for numbers, and a verifier that does so again, keep them out.
"""

import pytest

from coverslip.geometry import Size
from coverslip.outcomes import Cleaned
from coverslip.pipeline import deidentify
from coverslip.policy import load
from samples import aperio, generic
from samples.codecs import (
    COM,
    behind_packets,
    behind_scan,
    dht,
    dqt,
    longer_j2k_segment,
    segment,
    with_j2k_comment,
    with_j2k_segment,
    with_segments,
)
from samples.remake import base_tag, base_tags, first_tile, remake
from samples.tiffmaker import LONG, LONG8, RATIONAL, Tag
from tests.leaks.conftest import KEY, forms

WORDS = b"SMITH^JOHN^MRN7654321"
SIZE = Size(600, 450)
STRICT = load("strict")
HELD, GONE = "held", "gone"

SOUND = {
    "svs": lambda path: aperio.write(path, SIZE, identifiers=False),
    "ycc": lambda path: aperio.write(path, SIZE, identifiers=False, codec="jpeg-ycbcr"),
    "j2k": lambda path: aperio.write(path, SIZE, identifiers=False, codec="j2k-rgb"),
    "tiff": lambda path: generic.write(path, SIZE, identifiers=False),
    "lzw": lambda path: generic.write(path, SIZE, identifiers=False, codec="lzw"),
    "deflate": lambda path: generic.write(path, SIZE, identifiers=False, codec="deflate"),
    "none": lambda path: generic.write(path, SIZE, identifiers=False, codec="none"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a sound slide without identifiers, each kind made once."""
    made = {}

    def once(kind):
        if kind not in made:
            path = tmp_path_factory.mktemp("sound") / "slide"
            made[kind] = SOUND[kind](path).path.read_bytes()
        return made[kind]

    return once


@pytest.fixture
def treated(sound, tmp_path):
    """What becomes of a sound slide with one thing hidden in it."""

    def run(kind, words=WORDS, **edits):
        source = remake(sound(kind), tmp_path / "slide.svs", **edits)
        assert any(form in source.read_bytes() for form in forms(words))
        outcome = deidentify(source, tmp_path / "out", policy=STRICT, key=KEY)
        if not isinstance(outcome, Cleaned):
            return HELD
        for file in (tmp_path / "out").iterdir():
            assert not any(form in file.read_bytes() for form in forms(words)), file.suffix
        return GONE

    return run


def tables(change):
    """An edit of the base level's JPEGTables."""
    return {"tags": base_tag(347, change)}


def tile(change):
    """An edit of the base level's first tile."""
    return {"tile": first_tile(change)}


JPEG = {
    "unused DQT in JPEGTables": (tables(lambda t: t[:2] + dqt(3, WORDS) + t[2:]), GONE),
    "unused DHT in JPEGTables": (tables(lambda t: t[:2] + dht(3, WORDS) + t[2:]), GONE),
    "overwritten DQT in JPEGTables": (tables(lambda t: t[:2] + dqt(0, WORDS) + t[2:]), GONE),
    "unused DQT in a tile": (tile(lambda d: with_segments(d, dqt(3, WORDS))), GONE),
    "unused DHT in a tile": (tile(lambda d: with_segments(d, dht(3, WORDS))), GONE),
    "DHT behind the scan": (tile(lambda d: behind_scan(d, dht(3, WORDS))), GONE),
    "COM behind the scan": (tile(lambda d: behind_scan(d, segment(COM, WORDS))), GONE),
    "COM and fill bytes behind the scan": (tile(lambda d: behind_scan(d, b"\xff\xff" + segment(COM, WORDS))), GONE),
    "words behind the last unit": (tile(lambda d: d[:-2] + WORDS + d[-2:]), HELD),
    "words behind a restart": (tile(lambda d: d[:-2] + b"\xff\xd0" + WORDS + d[-2:]), HELD),
}


@pytest.mark.parametrize("place", JPEG)
@pytest.mark.parametrize("kind", ["svs", "tiff"])
def test_in_a_jpeg(treated, kind, place):
    """In tables nobody uses, behind the scan, behind its last unit."""
    edits, expected = JPEG[place]
    assert treated(kind, **edits) == expected


CAP, COD, QCD, QCC, RGN, POC, PPM, TLM, PLM, CRG = (
    0xFF50, 0xFF52, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F, 0xFF60, 0xFF55, 0xFF57, 0xFF63,
)  # fmt: skip
J2K = {
    "COM": (lambda d: with_j2k_comment(d, WORDS), GONE),
    "COM in a tile-part": (lambda d: with_j2k_comment(d, WORDS, tile_part=True), GONE),
    "TLM": (lambda d: with_j2k_segment(d, TLM, WORDS), GONE),
    "PLM": (lambda d: with_j2k_segment(d, PLM, WORDS), GONE),
    "CRG": (lambda d: with_j2k_segment(d, CRG, WORDS), GONE),
    "CAP": (lambda d: with_j2k_segment(d, CAP, WORDS), HELD),
    "POC": (lambda d: with_j2k_segment(d, POC, WORDS), HELD),
    "PPM": (lambda d: with_j2k_segment(d, PPM, WORDS), HELD),
    "RGN": (lambda d: with_j2k_segment(d, RGN, WORDS), HELD),
    "QCC of component 200": (lambda d: with_j2k_segment(d, QCC, b"\xc8" + WORDS), HELD),
    "QCC with words for steps": (lambda d: with_j2k_segment(d, QCC, b"\1" + WORDS), HELD),
    "QCD of more bands": (lambda d: longer_j2k_segment(d, QCD, WORDS + b"X"), HELD),
    "COD with a tail": (lambda d: longer_j2k_segment(d, COD, WORDS), HELD),
    "words behind the last packet": (lambda d: behind_packets(d, WORDS), HELD),
    "few words behind the last packet": (lambda d: behind_packets(d, WORDS[-8:]), HELD),
    "words and noise behind the last packet": (lambda d: behind_packets(d, WORDS + b"\x80\x91\xf0" * 9), HELD),
    "words behind the end": (lambda d: d + WORDS, GONE),
}


@pytest.mark.parametrize("place", J2K)
def test_in_a_jpeg_2000(treated, place):
    """In segments, behind their content, behind the packets."""
    change, expected = J2K[place]
    words = WORDS[-8:] if place.startswith("few") else WORDS
    assert treated("j2k", words, **tile(change)) == expected


FRACTIONS = {532: (WORDS, 48), 529: (WORDS, 24), 282: (b"SMITHJON", 8), 283: (b"MRN76543", 8)}


@pytest.mark.parametrize("kind", ["svs", "ycc", "tiff", "none"])
@pytest.mark.parametrize("code", FRACTIONS)
def test_in_a_fraction(treated, kind, code):
    """Coefficients and resolutions are eight letters each to whoever looks at the bytes."""
    words, length = FRACTIONS[code]
    treated(kind, words, tags=base_tags(Tag(code, RATIONAL, words.ljust(length)[:length])))


@pytest.mark.parametrize("code", [254, 258, 262, 266, 274, 277, 284, 296, 317, 338, 339, 531, 32997])
@pytest.mark.parametrize("kind", ["svs", "none"])
@pytest.mark.parametrize("form", [(LONG, b"JSMITH765432"), (LONG8, b"JSMITH76" * 2)], ids=["LONG", "LONG8"])
def test_in_an_integer(treated, kind, code, form):
    """Four letters in place of a number, eight in a field of eight bytes, and more behind it."""
    treated(kind, form[1][:8], tags=base_tags(Tag(code, *form)))
