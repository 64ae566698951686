"""JPEG headers are rebuilt, scans are not touched."""

import io
import struct

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coverslip.codestreams import jpeg
from coverslip.codestreams.jpeg import Segment, Span
from coverslip.errors import CoverslipError, DamagedSlide

PIXELS = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
PLAIN = simplejpeg.encode_jpeg(PIXELS, quality=80)
NEEDLE = b"ACC-2024-77 DOE^JANE"


def planted(data: bytes, *segments: Segment) -> bytes:
    """The image with segments right after SOI."""
    return data[:2] + b"".join(segment.encode() for segment in segments) + data[2:]


def progressive() -> bytes:
    """An image of several scans."""
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "JPEG", progressive=True, quality=80)
    return out.getvalue()


def joined(data: bytes, stream: jpeg.Codestream) -> bytes:
    """What would be written."""
    return b"".join(p if isinstance(p, bytes) else data[p.start : p.stop] for p in stream.pieces)


@pytest.mark.parametrize("marker", [jpeg.COM, *range(0xE0, 0xF0)], ids=hex)
def test_words_go(marker):
    """Comments and every application segment vanish; the pixels stay exactly as they were."""
    data = planted(PLAIN, Segment(marker, NEEDLE))
    stream = jpeg.codestream(data, 0, len(data))
    clean = joined(data, stream)
    assert NEEDLE not in clean
    assert [segment.payload for segment in stream.foreign] == [NEEDLE]
    assert np.array_equal(simplejpeg.decode_jpeg(clean), simplejpeg.decode_jpeg(PLAIN))


def test_words_between_progressive_scans_go():
    """A comment between two scans is found although no header holds it."""
    data = progressive()
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    data = data[:second] + Segment(jpeg.COM, NEEDLE).encode() + data[second:]
    stream = jpeg.codestream(data, 0, len(data))
    assert NEEDLE not in joined(data, stream)
    assert [segment.payload for segment in stream.foreign] == [NEEDLE]
    assert np.array_equal(simplejpeg.decode_jpeg(joined(data, stream)), simplejpeg.decode_jpeg(progressive()))


def test_words_after_the_end_go():
    """What follows EOI is reported as trailing and not written."""
    stream = jpeg.codestream(PLAIN + NEEDLE, 0, len(PLAIN) + len(NEEDLE))
    assert (stream.trailing.start, stream.trailing.stop) == (len(PLAIN), len(PLAIN) + len(NEEDLE))


def test_jfif_thumbnail_goes_and_its_meaning_stays():
    """A JFIF segment with a thumbnail becomes the canonical one: decoders still know that colours are YCbCr."""
    at = PLAIN.index(b"JFIF") - 4
    payload = jpeg.JFIF[:-2] + b"\x02\x02" + b"\x11" * 12
    data = PLAIN[:at] + Segment(0xE0, payload).encode() + PLAIN[at + 18 :]
    head = jpeg.header(data, 0, len(data))
    assert Segment(0xE0, jpeg.JFIF).encode() in head.clean
    assert b"\x11" * 12 not in head.clean
    assert [segment.payload for segment in head.foreign] == [b"\x11" * 12]


def test_adobe_keeps_its_transform_only():
    """APP14 says which colour transform applies; whatever follows those twelve bytes goes."""
    data = planted(PLAIN, Segment(0xEE, b"Adobe\0\x65\1\2\3\4\x00" + NEEDLE))
    head = jpeg.header(data, 0, len(data))
    assert NEEDLE not in head.clean
    assert b"Adobe\0\x64\0\0\0\0\x00" in head.clean


@pytest.mark.parametrize("marker", [jpeg.DQT, jpeg.DHT, 0xC0, jpeg.SOS, jpeg.DRI])
def test_nothing_hides_behind_a_table(marker):
    """A segment that is longer than what it declares is refused, not copied."""
    at = PLAIN.find(bytes((0xFF, marker)))
    if at < 0:
        data = planted(PLAIN, Segment(marker, b"\0\x08" + NEEDLE))
    else:
        length = struct.unpack_from(">H", PLAIN, at + 2)[0]
        longer = struct.pack(">H", length + len(NEEDLE))
        data = PLAIN[: at + 2] + longer + PLAIN[at + 4 : at + 2 + length] + NEEDLE + PLAIN[at + 2 + length :]
    with pytest.raises(DamagedSlide):
        jpeg.header(data, 0, len(data))


@given(cut=st.integers(0, len(PLAIN)), at=st.integers(0, len(PLAIN) - 1), value=st.integers(0, 255))
def test_no_bytes_break_the_parser(cut, at, value):
    """Any truncation with any changed byte ends in a codestream or in one of our errors."""
    data = bytearray(PLAIN)
    data[at] = value
    data = bytes(data[:cut])
    try:
        stream = jpeg.codestream(data, 0, len(data))
    except CoverslipError:
        return
    assert all(0 <= p.start <= p.stop <= len(data) for p in stream.pieces if isinstance(p, Span))
