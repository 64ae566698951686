"""A JPEG 2000 codestream comes out as values written anew: nothing behind a segment's content, no segment unread."""

import struct
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverslip.codestreams import j2k
from coverslip.codestreams.frames import Expected
from coverslip.codestreams.jpeg import Span
from coverslip.errors import CoverslipError, InputError
from coverslip.geometry import Size
from samples.codecs import behind_packets, longer_j2k_segment, with_j2k_comment, with_j2k_segment

BLOCKS = np.random.default_rng(4).integers(0, 255, (12, 16, 3), np.uint8)
PIXELS = np.ascontiguousarray(np.kron(BLOCKS, np.ones((8, 8, 1), np.uint8)))
EXPECTED = Expected(Size(128, 96), 3, bits=8, tiled=True)
WORDS = b"SMITH^JOHN^MRN7654321"
OPTIONS = {
    "precincts": {"level": 40, "mct": True},
    "no mixing": {"level": 35, "mct": False},
    "reversible": {"reversible": True},
    "few resolutions": {"level": 40, "resolutions": 3},
}


def bare(**options):
    """A codestream without OpenJPEG's comment."""
    return cleaned(bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", **options)))


def cleaned(data):
    """What is written of a codestream."""
    stream = j2k.codestream(data, 0, len(data), EXPECTED)
    return b"".join(p if isinstance(p, bytes) else data[p.start : p.stop] for p in stream.pieces)


STREAMS = {name: bare(**options) for name, options in OPTIONS.items()}
PLAIN = STREAMS["precincts"]


@pytest.mark.parametrize("kind", STREAMS)
def test_what_encoders_write_stays_as_it_is(kind):
    """Without a comment an ordinary codestream is one span of its own bytes, and decodes to the same pixels as with."""
    data = STREAMS[kind]
    assert j2k.codestream(data, 0, len(data), EXPECTED).pieces == (Span(0, len(data)),)
    commented = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", **OPTIONS[kind]))
    assert np.array_equal(imagecodecs.jpeg2k_decode(data), imagecodecs.jpeg2k_decode(commented))


def find(marker):
    """Where the payload of a segment of the main header begins."""
    at = 2
    while PLAIN[at : at + 2] != marker:
        at += 2 + int.from_bytes(PLAIN[at + 2 : at + 4], "big")
    return at + 4


SIZ, COD, QCD, SOT = find(b"\xff\x51"), find(b"\xff\x52"), find(b"\xff\x5c"), PLAIN.index(b"\xff\x90")
LEVELS = PLAIN[COD + 5]


def put(at, data):
    """Other bytes at one place."""
    return PLAIN[:at] + data + PLAIN[at + len(data) :]


def part(tile=0, part=0, parts=1):
    """Other numbers in the only tile-part's header."""
    return put(SOT + 4, struct.pack(">HIBB", tile, int.from_bytes(PLAIN[SOT + 6 : SOT + 10], "big"), part, parts))


def middle(data):
    """Something in place of what stands among the packets."""
    return put(SOT + 200, data)


SOD = PLAIN.index(b"\xff\x93")
SOP = b"\xff\x91\0\4\0%c"


def styled(markers, *among):
    """Markers among the packets, announced: what stands there is not decoded before it is copied."""
    data = bytearray(put(COD, bytes([PLAIN[COD] | markers])))
    for number, marker in enumerate(among):
        at = SOD + 100 + 100 * number
        data[at : at + len(marker)] = marker
    return bytes(data)


REFUSED = {
    "profile": put(SIZ, b"JM"),
    "offset of the image": put(SIZ + 2, struct.pack(">IIII", 128 + 0x4A53, 96, 0x4A53, 0)),
    "offset of its tiles": put(SIZ + 26, b"\0\0JS"),
    "depth of a component": put(SIZ + 36, b"J"),
    "sampling of a component": put(SIZ + 37, b"J"),
    "Scod": put(COD, b"S"),
    "progression": put(COD + 1, b"M"),
    "layers": put(COD + 2, b"JM"),
    "no layers": put(COD + 2, b"\0\0"),
    "transform of components": put(COD + 4, b"J"),
    "levels": put(COD + 5, b"J"),
    "code blocks": put(COD + 6, b"JM"),
    "passes": put(COD + 8, b"S"),
    "transform": put(COD + 9, b"M"),
    "precincts": put(COD + 10, b"SMITH"),
    "kind of quantisation": put(QCD, b"J"),
    "tile": part(tile=0x4A4D),
    "part": part(part=0x4A),
    "parts": part(parts=0x4A),
    "a marker among packets": middle(b"\xff\x93" + WORDS),
    "SOP nobody announced": middle(b"\xff\x91\0\4JM"),
    "COD with a tail": longer_j2k_segment(PLAIN, 0xFF52, WORDS),
    "QCD with a tail": longer_j2k_segment(PLAIN, 0xFF5C, WORDS + b"X"),
    "SIZ with a tail": longer_j2k_segment(PLAIN, 0xFF51, WORDS),
    "COD twice": with_j2k_segment(PLAIN, 0xFF52, PLAIN[COD : COD + 11 + LEVELS]),
    "COC of component 74": with_j2k_segment(PLAIN, 0xFF53, b"J\0" + PLAIN[COD + 5 : COD + 10]),
    "COC with a tail": with_j2k_segment(PLAIN, 0xFF53, b"\1\0" + PLAIN[COD + 5 : COD + 10] + WORDS),
    "QCC of component 200": with_j2k_segment(PLAIN, 0xFF5D, b"\xc8" + WORDS),
    "QCC with words for steps": with_j2k_segment(PLAIN, 0xFF5D, b"\1" + WORDS),
    **{
        f"segment {marker:X}": with_j2k_segment(PLAIN, marker, WORDS)
        for marker in (0xFF50, 0xFF5E, 0xFF5F, 0xFF60, 0xFF61, 0xFF56, 0xFF78)
    },
    "the tile behind the last": part(tile=1),
    "a tile-part's own length": put(SOT, b"\0\x0b"),
    "a tile-part that ends behind its tile": put(SOT + 4, struct.pack(">HIBB", 0, len(PLAIN), 0, 1)),
    "a tile-part that ends in its header": put(SOT + 4, struct.pack(">HIBB", 0, 13, 0, 1)),
    "size twice": with_j2k_segment(PLAIN, 0xFF51, PLAIN[SIZ : COD - 4]),
    "size twice, one behind the other": PLAIN[: COD - 4] + PLAIN[2:],
    "size not first": PLAIN[:2] + PLAIN[COD - 4 : QCD - 4] + PLAIN[2 : COD - 4] + PLAIN[QCD - 4 :],
    "a segment of no length": put(COD - 2, b"\0\1"),
    "a segment longer than its tile": put(QCD - 2, b"\xff\xff"),
    "something else than an end": PLAIN[:-2] + b"JM",
    "words instead of an end": PLAIN[:-2] + WORDS,
    "a marker before all packets": put(SOD + 2, b"\xff\x93"),
    "the right SOP nobody announced": middle(SOP % 0),
    "EPH nobody announced": middle(b"\xff\x92"),
    "EPH where SOP was announced": styled(2, b"\xff\x92"),
    "SOP where EPH was announced": styled(4, SOP % 0),
    "SOP that begins with one": styled(2, SOP % 1),
    "SOP twice": styled(2, SOP % 0, SOP % 0),
    "SOP that leaves one out": styled(2, SOP % 0, SOP % 2),
    "SOP of another length": styled(2, b"\xff\x91\0\5\0\0"),
    "words behind the last packet": behind_packets(PLAIN, WORDS),
    "few words behind the last packet": behind_packets(PLAIN, WORDS[-8:]),
    "wide words behind the last packet": behind_packets(PLAIN, WORDS.decode().encode("utf-16-le")),
}  # fmt: skip


@pytest.mark.parametrize("place", REFUSED)
def test_what_makes_no_sense_is_refused(place):
    """A number no decoder knows, a segment nobody writes, a tail: a typed refusal."""
    with pytest.raises(InputError):
        cleaned(REFUSED[place])


@pytest.mark.parametrize("cut", range(SOD + 3))
def test_a_codestream_that_ends_in_its_headers_is_refused(cut):
    """At each byte, with a typed refusal."""
    with pytest.raises(InputError):
        cleaned(PLAIN[:cut])


@pytest.mark.parametrize("stream", [
    styled(2, SOP % 0, SOP % 1, SOP % 2), styled(4, b"\xff\x92", b"\xff\x92"), styled(6, SOP % 0, b"\xff\x92", SOP % 1)
])  # fmt: skip
def test_markers_that_were_announced_stay(stream):
    """SOP numbered in turn, EPH wherever it stands (T.800 A.8)."""
    assert cleaned(stream) == stream


@pytest.mark.parametrize("marker", [0xFF55, 0xFF57, 0xFF58, 0xFF63])
def test_pointers_go_and_are_told_of(marker):
    """TLM, PLM, PLT, CRG, with all they hold."""
    data = with_j2k_segment(PLAIN, marker, WORDS)
    stream = j2k.codestream(data, 0, len(data), EXPECTED)
    assert cleaned(data) == PLAIN
    assert [(gone.marker, gone.payload) for gone in stream.foreign] == [(marker & 0xFF, WORDS)]


@pytest.mark.parametrize("in_part", [False, True])
def test_a_comment_goes_and_its_words_are_told(in_part):
    """Without the number in front that says whether they are words."""
    data = with_j2k_comment(PLAIN, WORDS, tile_part=in_part)
    stream = j2k.codestream(data, 0, len(data), EXPECTED)
    assert cleaned(data) == PLAIN
    assert [gone.payload for gone in stream.foreign] == [WORDS]


def test_what_stands_behind_the_end_is_told_and_not_copied():
    """Its first byte to its last; an end that is missing is written."""
    data = PLAIN + WORDS
    stream = j2k.codestream(data, 0, len(data), EXPECTED)
    assert stream.trailing == Span(len(PLAIN), len(data))
    assert cleaned(data) == PLAIN
    assert cleaned(PLAIN[:-2]) == PLAIN


def test_what_changes_nothing_is_written_in_one_way():
    """Tiles larger than the image, largest precincts spelt out, a part that goes on to the end: as usual ones."""
    larger = put(SIZ + 18, struct.pack(">II", 0x4A534D49, 0x4A534D49))
    assert cleaned(larger) == PLAIN
    assert cleaned(put(SOT + 6, bytes(4))) == PLAIN
    spelt = put(COD + 10, b"\xff" * (LEVELS + 1))
    assert len(cleaned(spelt)) == len(spelt) - (LEVELS + 1)


def test_a_component_may_have_its_own_style_and_steps():
    """COC and QCC of a component there is, to their exact length, stay."""
    own = with_j2k_segment(PLAIN, 0xFF53, b"\1\1" + PLAIN[COD + 5 : COD + 11 + LEVELS])
    own = with_j2k_segment(own, 0xFF5D, b"\1" + PLAIN[QCD : QCD + 3 + 6 * LEVELS])
    clean = cleaned(own)
    assert sorted(clean) == sorted(own)
    assert np.array_equal(imagecodecs.jpeg2k_decode(clean), imagecodecs.jpeg2k_decode(PLAIN))


@settings(max_examples=300, deadline=None)
@given(
    marker=st.integers(0xFF4F, 0xFF93).filter(lambda marker: marker not in (0xFF90, 0xFF93)),
    before=st.binary(max_size=30),
    behind=st.binary(max_size=30),
    kind=st.sampled_from(sorted(STREAMS)),
    in_part=st.booleans(),
)
def test_wherever_words_are_put_they_are_gone_or_refused(marker, before, behind, kind, in_part):
    """Any segment with words in it, in the main header or a tile-part's: refused, or gone with the pixels unchanged."""
    stream = with_j2k_comment(STREAMS[kind], before + WORDS + behind, tile_part=in_part)
    stream = stream.replace(b"\xff\x64", struct.pack(">H", marker), 1)
    with suppress(CoverslipError):
        clean = cleaned(stream)
        assert WORDS not in clean
        assert np.array_equal(imagecodecs.jpeg2k_decode(clean), imagecodecs.jpeg2k_decode(STREAMS[kind]))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(2, SOT + 14), value=st.integers(0, 255), kind=st.sampled_from(sorted(STREAMS)))
def test_one_changed_byte_of_a_header_is_read_or_refused(at, value, kind):
    """Whatever it is changed to: refused, or written in the one way there is."""
    stream = bytearray(STREAMS[kind])
    stream[at] = value
    with suppress(CoverslipError):
        clean = cleaned(bytes(stream))
        assert cleaned(clean) == clean
        assert len(clean) <= len(stream)
