"""A writer that copies more of a JPEG than a decoder needs is caught, though the source holds the very same bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from coverslip.errors import InputError
from coverslip.verify import jpeg_meaning, jpeg_walk
from coverslip.verify.jpeg_end import ends_with_its_picture
from samples.codecs import COM, again, apart, behind_scan, dht, dqt, segment, segments, with_segments
from tests.verify.conftest import sharing, shown

WORDS = b"SMITH^JOHN^MRN7654321"
MORE = ("scans", "more-than-needed")


def renamed(tile, names):
    """Other names for the components."""
    out = bytearray(tile)
    for marker, at, _ in segments(tile):
        first, step = (at + 10, 3) if marker == 0xC0 else (at + 5, 2)
        if marker in (0xC0, 0xDA):
            for index, name in enumerate(names):
                out[first + step * index] = name
    return bytes(out)


def wide(tile):
    """The first quantisation table in sixteen bits, with a letter where zeros belong."""
    at, end = next((at, end) for marker, at, end in segments(tile) if marker == 0xDB)
    values = tile[at + 5 : end]
    return tile[:at] + segment(0xDB, b"\x10" + b"".join(bytes((0, value)) for value in values)) + tile[end:]


def longer(tile, marker, words):
    """Words behind what a segment's content asks for."""
    at, end = next((at, end) for found, at, end in segments(tile) if found == marker)
    return tile[:at] + segment(marker, tile[at + 4 : end] + words) + tile[end:]


HIDDEN = {
    "unused DQT": (lambda s: with_segments(s, dqt(3, WORDS)), MORE),
    "unused DHT": (lambda s: with_segments(s, dht(3, WORDS)), MORE),
    "DQT 0 that is overwritten": (lambda s: with_segments(s, dqt(0, WORDS)), MORE),
    "DHT behind the scan": (lambda s: behind_scan(s, dht(3, WORDS)), MORE),
    "DQT behind the scan": (lambda s: behind_scan(s, dqt(3, WORDS)), MORE),
    "COM behind the scan": (lambda s: behind_scan(s, segment(COM, WORDS)), ("scans", "foreign-marker")),
    "Adobe with words": (lambda s: with_segments(s, segment(0xEE, b"Adobe" + WORDS[:6] + b"\1")), MORE),
    "JFIF with words": (lambda s: with_segments(s, segment(0xE0, b"JFIF\0" + WORDS[:7] + b"\0\0")), MORE),
    "fill bytes in the header": (lambda s: s[:2] + b"\xff" * 30 + s[2:], MORE),
    "fill bytes behind the scan": (lambda s: s[:-2] + b"\xff" * 30 + s[-2:], MORE),
    "a restart interval longer than the scan": (lambda s: with_segments(s, segment(0xDD, b"JM")), MORE),
    "initials for names": (lambda s: renamed(s, b"JFK"), MORE),
    "a wide table of narrow numbers": (wide, MORE),
    "DHT with words for symbols": (lambda s: with_segments(s, dht(0, WORDS), before_sos=True), MORE),
    "words at the end of the frame": (lambda s: longer(s, 0xC0, WORDS), ("scans", "damaged-tile")),
    "few words at the end of the frame": (lambda s: longer(s, 0xC0, WORDS[:2]), ("scans", "damaged-tile")),
    "words at the end of the scan's header": (lambda s: longer(s, 0xDA, WORDS), ("scans", "damaged-tile")),
    "words at the end of a table": (lambda s: longer(s, 0xDB, WORDS), ("scans", "damaged-tile")),
    "a second picture": (lambda s: again(s, s), MORE),
    "one component of a second picture": (lambda s: again(s, apart(shown((64, 64)), 75), 1), MORE),
    "a restart without an interval": (lambda s: s[:-2] + b"\xff\xd0" + WORDS + s[-2:], ("scans", "damaged-tile")),
    "words behind the last unit": (lambda s: s[:-2] + WORDS + s[-2:], ("scans", "bytes-after-end")),
    "few words behind the last unit": (lambda s: s[:-2] + WORDS[-8:] + s[-2:], ("scans", "bytes-after-end")),
    "words and noise": (lambda s: s[:-2] + WORDS + b"\x80\x91\xf0" * 40 + s[-2:], ("scans", "bytes-after-end")),
}


@pytest.mark.parametrize("place", HIDDEN)
def test_what_rides_along_in_a_tile_is_found(workshop, place):
    """Nobody knows the words, and every comparison with the source says equal."""
    change, code = HIDDEN[place]
    workshop.source = workshop.source.page(0, lambda page: page.with_piece(5, change))
    broken = workshop.clean.page(0, lambda page: page.with_piece(5, change))
    found = workshop.codes(broken)
    assert code in found or (code == MORE and ("scans", "foreign-marker") in found)


@pytest.mark.parametrize("place", HIDDEN)
def test_a_writer_that_leaves_it_out_passes(workshop, place):
    """The clean tile without it means the same, so nothing is objected to: but for what cannot be left out."""
    change, _ = HIDDEN[place]
    if any(
        word in place
        for word in ("initials", "symbols", "restart without", "last unit", "noise", "second", "at the end")
    ):
        return
    workshop.source = workshop.source.page(0, lambda page: page.with_piece(5, change))
    assert workshop.codes(workshop.clean) == set()


def progressive():
    """A picture in ten scans."""
    out = io.BytesIO()
    Image.fromarray(shown((64, 64))).save(out, "JPEG", progressive=True)
    return out.getvalue()


@pytest.mark.parametrize("number", range(10))
def test_a_progressive_scan_that_comes_again_is_found(number):
    """Each of those an encoder writes; as it wrote them they are objected to by nobody."""
    good = progressive()
    for stream, wrong in ((good, ()), (again(good, good, number), ("a scan codes what another has coded",))):
        walked = jpeg_walk.walk_jpeg(stream, "here")
        assert set(jpeg_meaning.read({}, walked.segments, "here").wrong) >= set(wrong)
        assert bool(jpeg_meaning.read({}, walked.segments, "here").wrong) == bool(wrong)


@pytest.mark.parametrize("number", range(10))
def test_a_progressive_scan_names_no_table_it_does_not_use(number):
    """One of DC coefficients has no use for an AC table, and one of AC coefficients none for a DC table."""
    good = progressive()
    walked = jpeg_walk.walk_jpeg(good, "here")
    place = [segment for segment in walked.segments if segment.marker == jpeg_walk.SOS][number]
    spare = 0x01 if place.payload[-3] == 0 else 0x10
    at = place.start + 6
    changed = good[:at] + bytes([good[at] | spare]) + good[at + 1 :]
    walked = jpeg_walk.walk_jpeg(changed, "here")
    assert "a scan names tables it does not use" in jpeg_meaning.read({}, walked.segments, "here").wrong


SHARED = {
    "unused": lambda tables: tables[:2] + dqt(3, WORDS) + tables[2:],
    "overwritten": lambda tables: tables[:2] + dqt(0, WORDS) + tables[2:],
    "unused codes": lambda tables: tables[:2] + dht(3, WORDS) + tables[2:],
    "interval": lambda tables: tables[:2] + segment(0xDD, b"JM") + tables[2:],
    "fill": lambda tables: tables[:2] + b"\xff" * 9 + tables[2:],
}


@pytest.mark.parametrize("place", SHARED)
def test_what_rides_along_in_shared_tables_is_found(workshop, place):
    """JPEGTables with a table that no tile asks for, or twice."""

    assert workshop.codes(sharing(workshop.clean)) == set()
    bare = workshop.source.page(0, lambda page: page.with_piece(0, lambda tile: workshop.clean.pages[0].pieces[0]))
    workshop.source = sharing(bare, SHARED[place])
    assert ("structure", "jpeg-tables") in workshop.codes(sharing(workshop.clean, SHARED[place]))
    assert workshop.codes(sharing(workshop.clean)) == set()


@pytest.mark.parametrize("form", ["plain", "utf-16-le", "base64"])
@pytest.mark.parametrize("junk", [b"", b"\x80\x91\xf0" * 20])
def test_a_known_value_in_a_scan_s_last_bytes_is_found(workshop, form, junk):
    """Although the tile is the source's, bit for bit, and the end of its scan does not read like words."""
    import base64

    secret = b"ZQ-7781-DOE^JANE"
    hidden = {"plain": secret, "utf-16-le": secret.decode().encode("utf-16-le"), "base64": base64.b64encode(secret)}

    def hide(tile):
        return tile[:-2] + hidden[form] + junk + tile[-2:]

    workshop.source = workshop.source.page(0, lambda page: page.with_piece(5, hide))
    found = workshop.codes(workshop.clean.page(0, lambda page: page.with_piece(5, hide)))
    assert ("leaks", "secret-found") in found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 16),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    sampling=st.sampled_from(["444", "422", "420", "grey"]),
    tail=st.binary(max_size=12),
    options=st.sampled_from([{}, {"restart_marker_blocks": 3}, {"optimize": True}]),
)
def test_the_end_of_the_picture_is_found_to_the_byte(seed, width, height, sampling, tail, options):
    """A scan as libjpeg wrote it ends with its picture; with anything behind it, it does not."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels) if sampling != "grey" else Image.fromarray(pixels[..., 0])
    chroma = {} if sampling == "grey" else {"subsampling": ":".join(sampling)}
    out = io.BytesIO()
    image.save(out, "JPEG", quality=70, **chroma, **options)
    stream = out.getvalue()
    walked = jpeg_walk.walk_jpeg(stream, "tile")
    reading = jpeg_meaning.read({}, walked.segments, "tile")
    scan = stream[slice(*walked.scans[0])]
    assert not set(reading.wrong) - {"a restart interval longer than any scan"}
    assert ends_with_its_picture(scan, reading, 0)
    tail = tail.replace(b"\xff", b"x")
    assert ends_with_its_picture(scan + tail, reading, 0) == (not tail)


def test_both_sides_find_the_same_end():
    """The reader's walk through a scan and the verifier's agree, byte by byte cut off."""
    from coverslip.codestreams import jpeg, mcu

    stream = simplejpeg.encode_jpeg(np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8), 60)
    header = jpeg.header(stream, 0, len(stream))
    scan = stream[len(header.raw) : -2]
    reading = jpeg_meaning.read({}, jpeg_walk.walk_jpeg(stream, "tile").segments, "tile")
    for cut in range(30):
        part = scan[: len(scan) - cut]
        assert mcu.has_tail(part, header.frame, header.scan, 0, header.own) == (cut > 0)
        assert ends_with_its_picture(part, reading, 0) == (cut == 0)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 700), value=st.integers(0, 255), words=st.binary(max_size=40))
def test_no_bytes_break_the_reading_of_headers(at, value, words):
    """Any damage ends in a reading or in one of our errors."""
    stream = bytearray(simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8), 60))
    stream[at % len(stream)] = value
    try:
        walked = jpeg_walk.walk_jpeg(bytes(stream) + words, "tile")
        jpeg_meaning.read({}, walked.segments, "tile")
    except InputError:
        return


def test_a_tile_that_cannot_be_walked_is_identical_to_nothing(workshop):
    """Nobody knows what it shows, also where the source has the same bytes all over."""
    change, _ = HIDDEN["a restart without an interval"]
    workshop.source = workshop.clean.page(0, lambda page: page.with_piece(5, change))
    scans = workshop.judge(workshop.source).scans
    assert scans.identical == scans.compared - 1
