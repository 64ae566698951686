"""A deliberately broken writer: each thing it could leave behind or damage is caught, by the check meant for it."""

from __future__ import annotations

import base64
import bz2
import gzip
import struct
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

SECRET = b"ZQ-7781-DOE^JANE"
NAME = b"S12-34567"
"""As in the workshop's source."""

HIDDEN = {
    "ascii": SECRET,
    "lower": SECRET.lower(),
    "latin-1": SECRET.decode().encode("latin-1"),
    "utf-16le": SECRET.decode().encode("utf-16-le"),
    "utf-16be": SECRET.decode().encode("utf-16-be"),
    "base64": base64.b64encode(SECRET),
    "base64 shifted": base64.b64encode(b"x" + SECRET + b"yz"),
    "base64 shifted twice": base64.b64encode(b"xx" + SECRET),
    "base64 behind letters": b"abc" + base64.b64encode(SECRET),
    "hex": SECRET.hex().encode(),
    "HEX": SECRET.hex().upper().encode(),
    "zlib": zlib.compress(b"patient " + SECRET),
    "gzip": gzip.compress(SECRET, mtime=0),
    "bzip2": bz2.compress(SECRET),
    "deflate": zlib.compress(b"patient " + SECRET, wbits=-15),
    "lzw": bytes(imagecodecs.lzw_encode(b"patient " + SECRET)),
    "zlib in base64": base64.b64encode(zlib.compress(b"the patient is " + SECRET)),
    "entities": "".join(f"&#{byte};" for byte in SECRET).encode(),
    "hex entities": "".join(f"&#x{byte:X};" for byte in SECRET).encode(),
    "percent": b"ZQ%2D7781%2DDOE%5EJANE",
    "a word of it": b"see ZQ-7781-DOE there",
    "file name": b"C:\\scans\\" + NAME + b".svs",
}


@pytest.mark.parametrize("form", HIDDEN)
def test_a_removed_value_is_found_in_any_form(workshop, form):
    """A private tag on a later page holds the value, plain, encoded or packed."""
    broken = workshop.clean.page(
        2, lambda page: page.with_tag(workshop.tag(65000, 7, b"\x01" + HIDDEN[form] + b"\x02"))
    )
    if form in ("deflate", "lzw"):
        broken = workshop.clean.page(2, lambda page: page.with_tag(workshop.tag(65000, 7, HIDDEN[form])))
    assert ("leaks", "secret-found") in workshop.codes(broken)


@pytest.mark.parametrize(
    "tag",
    [
        (305, 2, b"Scanner software of host LAB-7\0"),
        (306, 2, b"2012:03:04 05:06:07\0"),
        (700, 1, b"<x:xmpmeta/>"),
        (33432, 2, b"An institution\0"),
        (65000, 3, (7,)),
        (269, 2, b"name\0"),
    ],
    ids=lambda tag: str(tag[0]),
)
def test_an_unlisted_tag_is_found(workshop, tag):
    """Whatever it says: a tag the verifier does not list has no business in a clean slide."""
    assert ("structure", "unexpected-tag") in workshop.codes(
        workshop.clean.page(1, lambda page: page.with_tag(workshop.tag(*tag)))
    )


def test_comments_in_tiles_are_found(workshop):
    """A writer that copies whole tiles keeps their COM segments."""
    broken = workshop.clean.page(0, lambda page: page.with_piece(0, workshop.commented))
    assert {("scans", "foreign-marker"), ("leaks", "secret-found")} <= workshop.codes(broken)


def test_an_unknown_comment_in_a_tile_is_found(workshop):
    """Even when nobody knows the value."""
    broken = workshop.clean.page(
        0, lambda page: page.with_piece(5, lambda tile: workshop.commented(tile, b"who knows"))
    )
    assert workshop.codes(broken) == {("scans", "foreign-marker")}


def test_a_value_spelt_as_a_huffman_table_is_found(workshop):
    """A table nobody uses is structure to a decoder and sixteen letters to a reader; the source has it too."""
    table = (
        b"\xff\xc4" + struct.pack(">HB", 19 + len(SECRET), 0x13) + bytes([0, 0, 0, 0, len(SECRET), *bytes(11)]) + SECRET
    )

    def hide(tile):
        at = tile.index(b"\xff\xda")
        return tile[:at] + table + tile[at:]

    broken = workshop.clean.page(0, lambda page: page.with_piece(7, hide))
    workshop.source = workshop.source.page(0, lambda page: page.with_piece(7, hide))
    assert workshop.codes(broken) == {("leaks", "secret-found"), ("scans", "more-than-needed")}


def test_bytes_after_the_end_of_a_tile_are_found(workshop):
    """Between EOI and the tile's byte count nobody looks."""
    broken = workshop.clean.page(0, lambda page: page.with_piece(3, lambda tile: tile + b"0123456789"))
    assert ("scans", "bytes-after-end") in workshop.codes(broken)


def test_a_tail_with_a_second_eoi_is_found(workshop):
    """A tail that ends like a stream does not pass for one."""
    broken = workshop.clean.page(0, lambda page: page.with_piece(3, lambda tile: tile + SECRET + b"\xff\xd9"))
    assert {("scans", "bytes-after-end"), ("leaks", "secret-found")} <= workshop.codes(broken)


@pytest.mark.parametrize("where", ["after_header", "tail"])
def test_orphan_bytes_are_found(workshop, where):
    """A hundred bytes that no structure owns, whatever they say."""
    report = workshop.judge(replace(workshop.clean, **{where: bytes(100)}))
    assert {(found.check, found.code) for found in report.findings} == {("ledger", "unowned-bytes")}
    assert report.ledger.unowned == 100


def test_a_non_zero_byte_of_alignment_is_found(workshop):
    """One spare byte is enough for a flag."""
    path = workshop.clean.write(workshop.folder / "clean.svs")
    data = bytearray(path.read_bytes())
    odd = next(page for page in workshop.clean.pages if any(len(piece) % 2 for piece in page.pieces))
    piece = next(piece for piece in odd.pieces if len(piece) % 2)
    end = data.index(piece) + len(piece)
    assert data[end] == 0
    report = workshop.judge(_Patched(workshop.clean, end, 7))
    assert ("ledger", "unowned-bytes") in {(found.check, found.code) for found in report.findings}


class _Patched:
    """A slide with one byte changed after writing."""

    def __init__(self, slide, at, value):
        self.slide, self.at, self.value = slide, at, value

    def write(self, path):
        data = bytearray(self.slide.write(path).read_bytes())
        data[self.at] = self.value
        path.write_bytes(data)
        return path


@pytest.mark.parametrize("change", [(b"0.4990", b"0.4991"), (b"0.4990", b"0.499"), (b"AppMag = 20", b"AppMag = 40")])
def test_a_changed_number_is_found(workshop, change):
    """MPP's last digit, its spelling, the magnification: all must read as before."""
    text = workshop.description.replace(*change) + b"\0"
    broken = workshop.clean.page(0, lambda page: page.with_tag(workshop.tag(270, 2, text)))
    assert ("utility", "reads-differently") in workshop.codes(broken)


def test_swapped_tiles_are_found(workshop):
    """Same bytes, wrong places."""
    first, second = workshop.clean.pages[0].pieces[1:3]
    swapped = {1: second, 2: first}
    broken = workshop.clean.page(
        0, lambda page: replace(page, pieces=tuple(swapped.get(at, old) for at, old in enumerate(page.pieces)))
    )
    found = {(found.code, found.where) for found in workshop.judge(broken).findings}
    assert {("scan-differs", "ifd[0]/tile[1]"), ("scan-differs", "ifd[0]/tile[2]")} <= found


def test_one_flipped_bit_in_a_scan_is_found(workshop):
    """Bit-identical means every bit."""

    def flip(tile):
        return tile[:-20] + bytes([tile[-20] ^ 1]) + tile[-19:]

    broken = workshop.clean.page(2, lambda page: page.with_piece(0, flip))
    assert ("scans", "scan-differs") in workshop.codes(broken)


def test_changed_tables_are_found(workshop):
    """The scan is the source's, but a quantisation table is not: other pixels."""

    def coarser(tile):
        at = tile.index(b"\xff\xdb") + 10
        return tile[:at] + bytes([tile[at] + 1]) + tile[at + 1 :]

    broken = workshop.clean.page(0, lambda page: page.with_piece(4, coarser))
    assert workshop.codes(broken) == {("scans", "scan-differs")}


def test_shared_tables_mean_the_same_as_tables_in_each_tile(workshop):
    """A writer may move tables to JPEGTables; with a comment inside they are found."""

    def parts(tile):
        end = tile.index(b"\xff\xc0")
        tables = [tile[2:end]]
        after_frame = end + 2 + int.from_bytes(tile[end + 2 : end + 4], "big")
        scan = tile.index(b"\xff\xda")
        tables.append(tile[after_frame:scan])
        return b"".join(tables), tile[:2] + tile[end:after_frame] + tile[scan:]

    tables = parts(workshop.clean.pages[0].pieces[0])[0]
    moved = workshop.clean.page(0, lambda page: replace(page, pieces=tuple(parts(tile)[1] for tile in page.pieces)))
    good = moved.page(0, lambda page: page.with_tag(workshop.tag(347, 7, b"\xff\xd8" + tables + b"\xff\xd9")))
    assert workshop.codes(good) == set()
    bad = moved.page(
        0, lambda page: page.with_tag(workshop.tag(347, 7, workshop.commented(b"\xff\xd8" + tables + b"\xff\xd9")))
    )
    assert {("structure", "jpeg-tables"), ("leaks", "secret-found")} <= workshop.codes(bad)


TURNS = {
    "as it was": lambda pixels: pixels,
    "turned": np.rot90,
    "mirrored": lambda pixels: pixels[:, ::-1],
    "half size": lambda pixels: pixels[::2, ::2],
    "double size": lambda pixels: np.kron(pixels, np.ones((2, 2, 1), np.uint8)),
    "cropped": lambda pixels: pixels[15:-15, 12:-12],
    "on a larger sheet": lambda pixels: np.pad(pixels, ((60, 90), (120, 40), (0, 0)), constant_values=230),
    "darker": lambda pixels: (pixels * 0.6).astype(np.uint8),
}


@pytest.mark.parametrize("turn", TURNS)
def test_the_label_is_recognised(workshop, turn):
    """Encoded anew as an extra page, turned, scaled, cropped: the picture itself is recognised."""
    broken = replace(workshop.clean, pages=(*workshop.clean.pages, workshop.picture(TURNS[turn](workshop.label()), 1)))
    assert ("labels", "private-picture") in workshop.codes(broken)


def test_the_label_in_place_of_the_thumbnail_is_recognised(workshop):
    """No extra page, no tag out of place: only the picture tells."""
    thumbnail = workshop.picture(np.rot90(workshop.label()), 0).with_tag(
        workshop.tag(270, 2, workshop.description + b"\0")
    )
    broken = replace(workshop.clean, pages=(workshop.clean.pages[0], thumbnail, workshop.clean.pages[2]))
    assert workshop.codes(broken) == {("labels", "private-picture"), ("scene", "not-the-same-scene")}


def test_blank_pictures_match_nothing(workshop):
    """A white label and a white thumbnail are not alike, they are nothing."""
    blank = np.full((120, 160, 3), 250, np.uint8)
    workshop.source = replace(workshop.source, pages=(*workshop.source.pages[:3], workshop.picture(blank, 1)))
    thumbnail = workshop.picture(blank, 0).with_tag(workshop.tag(270, 2, workshop.description + b"\0"))
    good = replace(workshop.clean, pages=(workshop.clean.pages[0], thumbnail, workshop.clean.pages[2]))
    assert workshop.codes(good) == set()


def test_comments_in_the_thumbnail_are_found(workshop):
    """Pictures beside the levels are JPEG streams too, here with words nobody knows."""
    broken = workshop.clean.page(
        1, lambda page: page.with_piece(0, lambda data: workshop.commented(data, b"who knows"))
    )
    assert workshop.codes(broken) == {("structure", "foreign-marker")}


def test_more_pictures_than_expected_are_found(workshop):
    """Levels and a thumbnail; a third kind does not exist."""
    extra = workshop.picture(np.full((50, 60, 3), 200, np.uint8), 1)
    broken = replace(workshop.clean, pages=(*workshop.clean.pages, extra))
    assert workshop.codes(broken) == {("structure", "unexpected-picture")}


def test_a_tile_too_many_is_found(workshop):
    """A tile that no reader shows, because the picture has no room for it."""
    hidden = workshop.picture(workshop.label()[:64, :64], 0).pieces[0]
    broken = workshop.clean.page(0, lambda page: replace(page, pieces=(*page.pieces, hidden)))
    workshop.source = workshop.source.page(0, lambda page: replace(page, pieces=(*page.pieces, hidden)))
    assert workshop.codes(broken) == {("structure", "tile-count")}


@pytest.mark.parametrize("code", [330, 34665, 34853])
def test_hidden_directories_are_found(workshop, code):
    """SubIFDs, EXIF and GPS directories hold whole worlds: here a copy of a directory behind the file's end."""
    path = workshop.clean.write(workshop.folder / "probe.svs")
    size = path.stat().st_size
    small = struct.pack("<HHHIII", 1, 305, 2, 4, int.from_bytes(b"abc\0", "little"), 0)
    broken = workshop.clean.page(0, lambda page: page.with_tag(workshop.tag(code, 4, (size + size % 2 + 12,))))
    broken = replace(broken, tail=bytes(size % 2) + small)
    found = workshop.codes(broken)
    assert ("structure", "unexpected-directory") in found
    assert ("structure", "unexpected-tag") in found


@pytest.mark.parametrize(
    "change",
    [
        (b"Aperio Image Library v12.0.15", b"John Doe"),
        (b"|AppMag", b"|User = 3|AppMag"),
        (b"Left = 25", b"Left = Jane 25"),
        (b"\r\n", b"\r\nX:\\scans\\jane.svs\r\n"),
        (b"Q=75", b"Q=75 Jane"),
        (b"|Left", b"\0hidden|Left"),
        (b"v12.0.15", b"v12.0.15 of Jane"),
        (b"|AppMag", b"|Offset = 3 = 4|AppMag"),
        (b"|Left", b"|Exposure Time = 7654321098|Left"),
        (b"|Left", b"|Gamma = 0.7654321098|Left"),
        (b"Q=75", b"Q=75 7654321x098"),
        (b"v12.0.15", b"v765.4321.0987"),
    ],
)
def test_a_description_says_nothing_else(workshop, change):
    """Known words, geometry and numbers under known keys."""
    text = workshop.description.replace(*change)
    broken = workshop.clean.page(0, lambda page: page.with_tag(workshop.tag(270, 2, text + b"\0")))
    assert ("structure", "description") in workshop.codes(broken)


def test_bytes_behind_short_values_are_found(workshop):
    """An entry of two bytes leaves two in its place: a hiding place of two bytes a tag."""
    path = workshop.clean.write(workshop.folder / "probe.svs")
    data = path.read_bytes()
    at = data.index(struct.pack("<HHIH", 262, 3, 1, 6)) + 10
    report = workshop.judge(_Patched(workshop.clean, at, 65))
    assert {(found.check, found.code) for found in report.findings} == {("structure", "slack")}


def test_overlapping_structures_are_found(workshop):
    """Two owners of the same bytes: one of them lies."""
    path = workshop.clean.write(workshop.folder / "probe.svs")
    data = path.read_bytes()
    counts = struct.pack("<12I", *(len(piece) for piece in workshop.clean.pages[0].pieces))
    at = data.index(counts)
    longer = struct.unpack_from("<I", data, at)[0] + 4
    report = workshop.judge(_Patched(workshop.clean, at, longer & 0xFF))
    assert ("ledger", "overlap") in {(found.check, found.code) for found in report.findings}


def test_a_missing_level_is_found(workshop):
    """Levels must read the same before and after."""
    broken = replace(workshop.clean, pages=workshop.clean.pages[:2])
    assert ("utility", "reads-differently") in workshop.codes(broken)


def test_other_colours_are_found(workshop):
    """Scan and tables are the source's, but the page calls them RGB."""
    broken = workshop.clean.page(0, lambda page: page.with_tag(workshop.tag(262, 3, (2,))))
    assert ("utility", "reads-differently") in workshop.codes(broken)
