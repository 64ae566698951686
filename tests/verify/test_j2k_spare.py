"""A writer that copies more of a JPEG 2000 tile than a decoder needs is caught, though the source has it too."""

from __future__ import annotations

import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverslip.errors import InputError
from coverslip.verify import j2k_meaning, j2k_walk
from samples.codecs import behind_packets, longer_j2k_segment, with_j2k_comment, with_j2k_segment

WORDS = b"SMITH^JOHN^MRN7654321"
MORE, FOREIGN, BEHIND = ("scans", "more-than-needed"), ("scans", "foreign-marker"), ("scans", "bytes-after-end")
COD, QCD = 0xFF52, 0xFF5C


def stream(pixels):
    """A tile of 64 pixels, without OpenJPEG's comment."""
    data = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", level=40, mct=True, resolutions=4))
    at = data.index(b"\xff\x64")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


PLAIN = stream(np.kron(np.random.default_rng(1).integers(0, 255, (8, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8)))


def place(marker):
    """Where a segment's payload begins."""
    return PLAIN.index(struct.pack(">H", marker)) + 4


def cut(pixels):
    """A level's tiles, row by row, padded as levels are."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % 64), (0, -width % 64), (0, 0)), mode="edge")
    for top in range(0, height, 64):
        yield from (np.ascontiguousarray(padded[top : top + 64, at : at + 64]) for at in range(0, width, 64))


@pytest.fixture
def slide(workshop):
    """The workshop's slides with JPEG 2000 tiles in their levels; returns the clean one."""
    tiles = {number: tuple(map(stream, cut(workshop.shown(size)))) for number, size in ((0, (256, 192)), (2, (64, 48)))}

    def packed(slide):
        for number, pieces in tiles.items():
            old = slide.pages[number]
            page = replace(old, pieces=pieces).with_tag(workshop.tag(259, 3, (33005,)))
            slide = slide.page(number, lambda _, page=page: page.without(530).with_tag(workshop.tag(262, 3, (2,))))
        return slide

    workshop.source = packed(workshop.source)
    return packed(workshop.clean)


def put(at, data):
    """Other bytes at one place of a tile."""
    return lambda s: s[:at] + data + s[at + len(data) :]


HIDDEN = {
    "COM": (lambda s: with_j2k_comment(s, WORDS), FOREIGN),
    "COM in a tile-part": (lambda s: with_j2k_comment(s, WORDS, tile_part=True), FOREIGN),
    **{
        f"segment {marker:X}": (lambda s, marker=marker: with_j2k_segment(s, marker, WORDS), FOREIGN)
        for marker in (0xFF50, 0xFF55, 0xFF57, 0xFF5E, 0xFF5F, 0xFF60, 0xFF63)
    },
    "COD with a tail": (lambda s: longer_j2k_segment(s, COD, WORDS), MORE),
    "QCD with a tail": (lambda s: longer_j2k_segment(s, QCD, WORDS + b"X"), MORE),
    "QCC of component 200": (lambda s: with_j2k_segment(s, 0xFF5D, b"\xc8" + WORDS), MORE),
    "COC of component 74": (lambda s: with_j2k_segment(s, 0xFF53, b"J\0" + WORDS[:5]), MORE),
    "COD twice": (lambda s: with_j2k_segment(s, COD, s[place(COD) : place(COD) + 14]), MORE),
    "profile": (put(place(0xFF51), b"JM"), MORE),
    "tiles larger than the image": (put(place(0xFF51) + 18, b"JSMIJSMI"), MORE),
    "layers": (put(place(COD) + 2, b"JM"), MORE),
    "levels": (put(place(COD) + 5, b"J"), MORE),
    "precincts": (put(place(COD) + 10, b"SMIT"), MORE),
    "a part without a length": (put(PLAIN.index(b"\xff\x90") + 6, bytes(4)), MORE),
    "announced parts": (put(PLAIN.index(b"\xff\x90") + 11, b"J"), MORE),
    "words behind the last packet": (lambda s: behind_packets(s, WORDS), BEHIND),
    "few words behind the last packet": (lambda s: behind_packets(s, WORDS[-8:]), BEHIND),
    "words behind the end": (lambda s: s + WORDS, BEHIND),
}


def test_the_clean_one_passes(workshop, slide):
    """So that the tests below fail for their defect only."""
    assert workshop.codes(slide) == set()


@pytest.mark.parametrize("where", HIDDEN)
def test_what_rides_along_in_a_tile_is_found(workshop, slide, where):
    """Nobody knows the words, and every comparison with the source says equal."""
    change, code = HIDDEN[where]
    workshop.source = workshop.source.page(0, lambda page: page.with_piece(5, change))
    assert code in workshop.codes(slide.page(0, lambda page: page.with_piece(5, change)))


@pytest.mark.parametrize("junk", [b"", b"\x80\x91\xf0" * 20])
@pytest.mark.parametrize("where", ["segment", "packets"])
def test_a_known_value_in_a_header_or_behind_the_packets_is_found(workshop, slide, where, junk):
    """Although the tile is the source's own, bit for bit."""
    secret = b"ZQ-7781-DOE^JANE"

    def hide(tile):
        return with_j2k_segment(tile, 0xFF5F, secret) if where == "segment" else behind_packets(tile, secret + junk)

    workshop.source = workshop.source.page(0, lambda page: page.with_piece(5, hide))
    assert ("leaks", "secret-found") in workshop.codes(slide.page(0, lambda page: page.with_piece(5, hide)))


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(PLAIN) - 1), value=st.integers(0, 255), words=st.binary(max_size=40))
def test_no_bytes_break_the_reading_of_headers(at, value, words):
    """Any damage ends in objections, none, or one of our errors."""
    from coverslip.geometry import Size
    from coverslip.verify.pages import Page
    from coverslip.verify.tiff_walk import Ifd, IfdKind

    nothing = np.zeros(0, np.int64)
    ifd = Ifd("ifd[0]", IfdKind.PAGE, 0, 0, ())
    page = Page(ifd, Size(64, 64), Size(64, 64), True, 33005, 0, 2, 3, 8, 1, nothing, nothing)
    data = bytearray(PLAIN)
    data[at] = value
    try:
        walked = j2k_walk.walk_j2k(bytes(data) + words, "tile")
    except InputError:
        return
    list(j2k_meaning.objections(page, bytes(data), walked))
    j2k_meaning.meaning(walked)
