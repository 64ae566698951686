"""A JPEG comes out with what a decoder asks for, each thing once, and with nothing else, wherever it was put."""

import io
from contextlib import suppress

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from coverslip.codestreams import jpeg
from coverslip.codestreams.jpeg import Span
from coverslip.errors import CoverslipError, DamagedSlide, UnknownStructure
from samples.codecs import COM, again, apart, behind_scan, dht, dqt, segment, segments, split, with_segments

PIXELS = np.ascontiguousarray(
    np.kron(np.random.default_rng(4).integers(0, 255, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
)
PLAIN = simplejpeg.encode_jpeg(PIXELS, quality=80)
WORDS = b"SMITH^JOHN^MRN7654321"


def made(**options):
    """The picture by Pillow's encoder."""
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "JPEG", quality=80, **options)
    return out.getvalue()


KINDS = {
    "plain": PLAIN,
    "grey": simplejpeg.encode_jpeg(PIXELS[..., :1].copy(), 80, "GRAY"),
    "optimised": made(optimize=True),
    "progressive": made(progressive=True),
    "restarts": made(restart_marker_blocks=2),
}


def cleaned(data, shared=None):
    """What is written of a stream."""
    stream = jpeg.codestream(data, 0, len(data), shared or {})
    return b"".join(p if isinstance(p, bytes) else data[p.start : p.stop] for p in stream.pieces)


def pixels(data):
    """As libjpeg decodes it."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("kind", KINDS)
def test_what_encoders_write_stays_as_it_is(kind):
    """An ordinary stream is one span of its own bytes, so that it is copied in one piece."""
    data = KINDS[kind]
    assert jpeg.codestream(data, 0, len(data)).pieces == (Span(0, len(data)),)


HIDDEN = {
    "unused DQT": lambda s: with_segments(s, dqt(3, WORDS)),
    "unused DHT": lambda s: with_segments(s, dht(3, WORDS)),
    "DQT 0 that is overwritten": lambda s: with_segments(s, dqt(0, WORDS)),
    "DHT 0 that is overwritten": lambda s: with_segments(s, dht(0, WORDS)),
    "unused DQT before SOS": lambda s: with_segments(s, dqt(3, WORDS), before_sos=True),
    "DQT behind the scan": lambda s: behind_scan(s, dqt(3, WORDS)),
    "DHT behind the scan": lambda s: behind_scan(s, dht(3, WORDS)),
    "DHT 0 behind the scan": lambda s: behind_scan(s, dht(0, WORDS)),
    "COM behind the scan": lambda s: behind_scan(s, segment(COM, WORDS)),
    "COM behind the scan and fill": lambda s: behind_scan(s, b"\xff\xff\xff", segment(COM, WORDS)),
    "COM between fill bytes": lambda s: with_segments(s, b"\xff" * 9 + segment(COM, WORDS) + b"\xff" * 9),
    "Adobe with flags": lambda s: with_segments(s, segment(0xEE, b"Adobe" + WORDS[:6] + b"\1")),
    "JFIF with a thumbnail": lambda s: s[:2] + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\2\4" + WORDS + b"XYZ") + s[20:],
    "JFIF with words for densities": lambda s: s[:2] + segment(0xE0, b"JFIF\0" + WORDS[:7] + b"\0\0") + s[20:],
}


@pytest.mark.parametrize("place", HIDDEN)
def test_nothing_rides_along(place):
    """Words in any segment a decoder does not need are gone, the picture is the same."""
    data = HIDDEN[place](PLAIN)
    assert not any(WORDS[:length] in cleaned(data) for length in range(6, len(WORDS)))
    assert np.array_equal(pixels(cleaned(data)), pixels(PLAIN))
    assert cleaned(cleaned(data)) == cleaned(data)


def test_fill_bytes_go():
    """Any number of 0xFF may stand before a marker, in the header, before EOI and before a restart."""
    data = KINDS["restarts"]
    at = data.index(b"\xff\xd2")
    filled = data[:at] + b"\xff" * 30 + data[at:-2] + b"\xff" * 40 + data[-2:]
    assert cleaned(filled) == data


def test_shared_tables_are_those_that_are_asked_for():
    """Of JPEGTables only what a tile refers to is written, once, as it was defined last."""
    tables, tile = split(PLAIN)
    found = jpeg.tables(tables[:2] + dqt(3, WORDS) + dht(2, WORDS) + dqt(0, WORDS) + tables[2:])
    header = jpeg.header(tile, 0, len(tile))
    clean = found.clean(header.wanted)
    assert WORDS not in clean
    assert clean == jpeg.tables(tables).clean(header.wanted)
    assert np.array_equal(pixels(clean[:-2] + tile[2:]), pixels(PLAIN))
    assert found.clean(()) == b""


def frame(stream):
    """Where the frame header's payload begins."""
    return next(at for marker, at, _ in segments(stream) if marker == 0xC0) + 4


def scan(stream):
    """Where the scan header's payload begins."""
    return next(at for marker, at, _ in segments(stream) if marker == 0xDA) + 4


def put(stream, at, data):
    """Other bytes at one place."""
    return stream[:at] + data + stream[at + len(data) :]


def named(stream, names):
    """Other names for the three components."""
    for i, name in enumerate(names):
        stream = put(put(stream, frame(stream) + 6 + 3 * i, bytes([name])), scan(stream) + 1 + 2 * i, bytes([name]))
    return stream


REFUSED = {
    "initials for names": named(PLAIN, b"JFK"),
    "sampling of 13": put(PLAIN, frame(PLAIN) + 7, b"M"),
    "sampling of 0": put(PLAIN, frame(PLAIN) + 7, b"\0"),
    "quantisation table 77": put(PLAIN, frame(PLAIN) + 8, b"M"),
    "component twice": named(PLAIN, b"\1\1\2"),
    "Huffman tables 4 and 13": put(PLAIN, scan(PLAIN) + 2, b"M"),
    "coefficients from 74": put(PLAIN, scan(PLAIN) + 7, b"J"),
    "coefficients to 77": put(PLAIN, scan(PLAIN) + 8, b"M"),
    "approximation": put(PLAIN, scan(PLAIN) + 9, b"J"),
    "DNL": behind_scan(PLAIN, segment(0xDC, b"\0\x30")),
    "DAC": with_segments(PLAIN, segment(0xCC, b"JM")),
    "DHP": with_segments(PLAIN, segment(0xDE, WORDS)),
    "EXP": with_segments(PLAIN, segment(0xDF, b"J")),
    "reserved": with_segments(PLAIN, segment(0xF1, WORDS)),
    "restart without an interval": PLAIN[:-2] + b"\xff\xd0" + WORDS + b"\xff\xd9",
    "restart out of turn": KINDS["restarts"].replace(b"\xff\xd1", b"\xff\xd3", 1),
    "a restart too many": KINDS["restarts"][:-2] + b"\xff\xd0" + WORDS + b"\xff\xd9",
    "words behind the last unit": PLAIN[:-2] + WORDS + b"\xff\xd9",
    "few words behind the last unit": PLAIN[:-2] + WORDS[-8:] + b"\xff\xd9",
    "words and noise behind the last unit": PLAIN[:-2] + WORDS + b"\x80\x91\xf0" * 40 + b"\xff\xd9",
    "wide words behind the last unit": PLAIN[:-2] + WORDS.decode().encode("utf-16-le") + b"\xff\xd9",
    "words behind the last unit of an interval": KINDS["restarts"].replace(b"\xff\xd1", WORDS + b"\xff\xd1", 1),
    "words behind a progressive scan": KINDS["progressive"][:-2] + WORDS + b"\xff\xd9",
    "DQT with zeros": with_segments(PLAIN, segment(0xDB, b"\0" + bytes(64)), before_sos=True),
    "DHT with words for symbols": with_segments(PLAIN, dht(0, WORDS), before_sos=True),
    "DHT with more codes than there are": with_segments(
        PLAIN, segment(0xC4, b"\x10\3" + bytes(15) + b"\1\2\3"), before_sos=True
    ),
    "DHT with words behind": with_segments(PLAIN, segment(0xC4, dht(3, b"\1\2")[4:] + WORDS)),
    "DQT with words behind": with_segments(PLAIN, segment(0xDB, dqt(3, WORDS)[4:] + WORDS)),
    "another DQT 0 behind the scan": behind_scan(PLAIN, dqt(0, WORDS)),
    "another interval behind the scan": behind_scan(PLAIN, segment(0xDD, b"JM")),
    "two frames": with_segments(PLAIN, PLAIN[frame(PLAIN) - 4 : frame(PLAIN) + 15]),
}  # fmt: skip


@pytest.mark.parametrize("place", REFUSED)
def test_what_makes_no_sense_is_refused(place):
    """Numbers no decoder could use, in place of numbers: a typed refusal."""
    with pytest.raises((DamagedSlide, UnknownStructure)):
        cleaned(REFUSED[place])


TWICE = {
    "a second picture": again(PLAIN, PLAIN),
    "one component of a second picture": again(PLAIN, apart(PIXELS), 1),
    "a component again": again(apart(PIXELS), apart(PIXELS), 1),
    **{
        f"progressive scan {number} again": again(KINDS["progressive"], KINDS["progressive"], number)
        for number in range(10)
    },
}


@pytest.mark.parametrize("name", TWICE)
def test_nothing_is_coded_twice(name):
    """Decoders show one of the two; the other one may be a label."""
    with pytest.raises(DamagedSlide, match="codes what another one has coded"):
        cleaned(TWICE[name])


def test_components_may_come_one_by_one():
    """Each in a scan of its own, as T.81 allows."""
    data = apart(PIXELS)
    assert np.array_equal(pixels(data), pixels(cleaned(data)))
    assert cleaned(cleaned(data)) == cleaned(data)


def test_a_restart_interval_that_changes_nothing_goes():
    """As long as the scan or longer, an interval is a number for somebody else."""
    assert cleaned(with_segments(PLAIN, segment(0xDD, b"JM"))) == PLAIN


markers = st.sampled_from([*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE, 0x01, 0xF0, 0xF7])
contents = st.builds(lambda a, b: a + WORDS + b, st.binary(max_size=70), st.binary(max_size=70))


@settings(max_examples=400, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)), marker=markers, words=contents, fill=st.integers(0, 3))
def test_wherever_words_are_put_they_are_gone_or_refused(data, kind, marker, words, fill):
    """Any segment with words in it, between any two segments: refused with a typed code, or gone with the picture
    unchanged."""
    stream = KINDS[kind]
    edges = [at for _, at, _ in segments(stream)] + [len(stream) - 2]
    at = data.draw(st.sampled_from(edges))
    hidden = stream[:at] + b"\xff" * fill + segment(marker, words) + stream[at:]
    with suppress(CoverslipError):
        clean = cleaned(hidden)
        assert WORDS not in clean
        assert np.array_equal(pixels(clean), pixels(stream))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(2, len(PLAIN) - 1), bits=st.integers(1, 255), kind=st.sampled_from(sorted(KINDS)))
def test_one_changed_byte_never_adds_anything(at, bits, kind):
    """Whatever one byte is changed to: refused, or written as the same stream with that byte, or without something."""
    data = bytearray(KINDS[kind])
    at %= len(data)
    data[at] ^= bits
    with suppress(CoverslipError):
        clean = cleaned(bytes(data))
        assert len(clean) <= len(data) + 2
        assert cleaned(clean) == clean
