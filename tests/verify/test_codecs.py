"""Stored tiles of other codecs: what stands behind their end is found, also when the source has it too."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from coverslip.slide import Route
from coverslip.verify import Secret

SECRET = b"ZQ-7781-DOE^JANE"


def uncommented(stream):
    """Without the encoder's own comment."""
    at = stream.index(b"\xff\x64")
    return stream[:at] + stream[at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big") :]


CODECS = {
    "none": (1, lambda pixels: pixels.tobytes()),
    "lzw": (5, lambda pixels: bytes(imagecodecs.lzw_encode(pixels))),
    "deflate": (8, lambda pixels: zlib.compress(pixels.tobytes())),
    "j2k": (33005, lambda pixels: uncommented(bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", level=40)))),
}


@pytest.fixture(params=CODECS)
def plain(request, workshop):
    """A one-level generic TIFF of 2 × 2 tiles, without description, and the codec's name."""
    number, encode = CODECS[request.param]
    rng = np.random.default_rng(number)
    pixels = [np.kron(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(4)]
    sizes = {256: 128, 257: 128, 259: number, 262: 2}
    tags = [
        tag if tag.code not in sizes else replace(tag, values=(sizes[tag.code],))
        for tag in workshop.clean.pages[0].tags
    ]
    page = replace(
        workshop.clean.pages[0],
        tags=tuple(tag for tag in tags if tag.code not in (270, 530)),
        pieces=tuple(encode(tile) for tile in pixels),
    )
    slide = replace(workshop.clean, pages=(page,))
    workshop.source, workshop.secrets, workshop.kept = slide, (Secret("ifd[0]/tiles/tail", SECRET),), frozenset()
    return slide


def test_the_good_slide_passes(workshop, plain):
    """Whole bytes, or all packets, are the source's."""
    report = workshop.judge(plain)
    assert report.findings == ()
    assert report.scans.identical == 4


def test_bytes_behind_a_tile_are_found(workshop, plain):
    """Even when the source has the very same bytes there, so that nothing differs."""
    hidden = plain.page(0, lambda page: page.with_piece(2, lambda tile: tile + SECRET))
    workshop.source = hidden
    assert {("scans", "bytes-after-end"), ("leaks", "secret-found")} <= workshop.codes(hidden)


@pytest.mark.parametrize("codec", ["lzw", "deflate"])
@pytest.mark.parametrize("more", [SECRET, b"\0"])
def test_more_than_a_tile_has_room_for_is_found(workshop, codec, more):
    """Words packed together with the pixels, behind the last of them: readers stop where the tile is full."""
    number, _ = CODECS[codec]
    pack = {"lzw": lambda data: bytes(imagecodecs.lzw_encode(data)), "deflate": zlib.compress}[codec]
    page = workshop.clean.pages[0].with_tag(workshop.tag(259, 3, (number,))).with_tag(workshop.tag(262, 3, (2,)))
    flat = bytes(64 * 64 * 3)
    good = replace(page.without(530), pieces=(pack(flat),) * len(page.pieces))
    workshop.source = slide = replace(workshop.clean, pages=(good,))
    assert workshop.codes(slide) == set()
    workshop.source = hidden = slide.page(0, lambda page: page.with_piece(2, lambda tile: pack(flat + more)))
    assert ("scans", "more-than-needed") in workshop.codes(hidden)


def test_trimmed_tails_leave_the_scan_identical(workshop, plain):
    """A writer that cuts the tail off has not touched the scan."""
    workshop.source = plain.page(0, lambda page: page.with_piece(2, lambda tile: tile + SECRET))
    assert workshop.codes(plain) == set()


def test_one_changed_byte_is_found(workshop, plain):
    """In the middle of a tile."""

    def flip(tile):
        return tile[:-40] + bytes([tile[-40] ^ 4]) + tile[-39:]

    assert ("scans", "scan-differs") in workshop.codes(plain.page(0, lambda page: page.with_piece(1, flip)))


def test_a_codestream_comment_is_found(workshop, plain):
    """COM in the main header of a JPEG 2000 tile."""
    if plain.pages[0].pieces[0][:2] != b"\xff\x4f":
        return
    segment = struct.pack(">HHH", 0xFF64, 4 + len(SECRET), 1) + SECRET

    def comment(tile):
        at = tile.index(b"\xff\x52")
        return tile[:at] + segment + tile[at:]

    broken = plain.page(0, lambda page: page.with_piece(3, comment))
    workshop.source = broken
    assert {("scans", "foreign-marker"), ("leaks", "secret-found")} <= workshop.codes(broken)
    assert workshop.codes(plain) == set()


def test_without_a_source_every_tile_is_searched(workshop, plain):
    """Nothing is proved identical, so nothing is spared."""
    hidden = plain.page(0, lambda page: page.with_piece(2, lambda tile: tile + SECRET))
    assert ("leaks", "secret-found") in workshop.codes(hidden, source=None, route=Route.SAME_CONTAINER)
