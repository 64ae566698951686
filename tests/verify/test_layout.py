"""Directories, tags and pages of a clean slide: only the ones there are room for, each once, in their order."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
import simplejpeg

from coverslip.errors import DamagedSlide
from coverslip.verify import structure
from coverslip.verify.structure import ALLOWED, MANY, MAX_DESCRIPTION, RATIONALS
from tests.verify.conftest import bare, sharing
from tests.verify.test_jpeg_spare import WORDS, dqt, segment

PLANES = 3
"""Samples of the workshop's pages."""


def both(workshop, change, number=0):
    """The codes when the source has the very same, so that nothing reads differently."""
    workshop.source = workshop.source.page(number, change)
    return workshop.codes(workshop.clean.page(number, change))


def test_a_tag_that_stands_twice_is_found(workshop):
    """Readers take the first or the last; the other one is a hiding place."""
    twice = workshop.tag(262, 3, (6,))
    assert both(workshop, lambda page: replace(page, tags=(*page.tags, twice))) == {("structure", "repeated-tag")}


ROOM = dict.fromkeys((254, 256, 257, 259, 262, 266, 274, 277, 278, 282, 283, 284, 296, 317, 322, 323, 531, 32997), 1)
ROOM |= {530: 2, 529: 3, 532: 6, 258: PLANES, 339: PLANES}


def test_every_number_has_its_room():
    """Of the fields a clean slide may have, these hold numbers; the others are texts, tables and places."""
    assert {code for code, most in ALLOWED.items() if most != MANY} == set(ROOM)


@pytest.mark.parametrize("code", sorted(ROOM))
def test_a_value_too_many_is_found(workshop, code):
    """Only the first is ever looked at: what follows it is room for letters."""
    one = (1, 1) if code in RATIONALS else (1,)
    bad = workshop.tag(code, 5 if code in RATIONALS else 3, one * (ROOM[code] + 1))
    ifd = workshop.clean.page(2, lambda page: page.with_tag(bad))
    assert ("structure", "too-many-values") in workshop.codes(ifd)


@pytest.mark.parametrize("code", [258, 339])
def test_a_value_for_each_sample_is_none_too_many(workshop, code):
    """Three samples, three values."""
    good = workshop.tag(code, 3, (8,) * PLANES if code == 258 else (1,) * PLANES)
    assert both(workshop, lambda page: page.with_tag(good)) == set()


TYPES = {
    "a description as bytes": (270, 7, b"Aperio Image Library v12.0.15\0"),
    "tables as a text": (347, 2, b"\xff\xd8\xff\xd9"),
    "a profile as numbers": (34675, 1, b"0123"),
    "a resolution as a number": (282, 3, (72,)),
    "a number as a text": (296, 2, b"\2"),
    "a number as a fraction": (317, 5, (1, 1)),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_tag_of_another_type_is_found(workshop, name):
    """Its bytes would be read one way here and another way there."""
    broken = workshop.clean.page(0, lambda page: page.with_tag(workshop.tag(*TYPES[name])))
    assert ("structure", "unexpected-type") in workshop.codes(broken)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("last", [False, True])
def test_each_byte_behind_a_short_value_is_looked_at(workshop, order, big, last):
    """Two bytes of four, or of eight: the first behind the value and the last of the entry."""
    clean = replace(workshop.clean, big=big, order=order)
    workshop.source = replace(workshop.source, big=big, order=order)
    data = bytearray(clean.write(workshop.folder / "probe.svs").read_bytes())
    entry = struct.pack(order + ("HHQH" if big else "HHIH"), 262, 3, 1, 6)
    at = data.index(entry) + len(entry)
    data[at + ((5 if big else 1) if last else 0)] = 65
    assert workshop.codes(Bytes(bytes(data))) == {("structure", "slack")}


class Bytes:
    """A slide that is written as it stands."""

    def __init__(self, data):
        self.data = data

    def write(self, path):
        path.write_bytes(self.data)
        return path


DESCRIPTIONS = {
    "without its end": lambda text: text,
    "ended twice": lambda text: text + b"\0\0",
    "a letter of another alphabet": lambda text: text.replace(b"Left", b"L\xe9ft") + b"\0",
    "a letter at its end": lambda text: text + b"J\0",
    "a letter behind its end": lambda text: text + b"\0J",
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_one_text(workshop, name):
    """ASCII, with one NUL at its end."""
    text = DESCRIPTIONS[name](workshop.description)
    assert ("structure", "description") in both(workshop, lambda page: page.with_tag(workshop.tag(270, 2, text)))


@pytest.mark.parametrize(("length", "found"), [(MAX_DESCRIPTION, set()), (MAX_DESCRIPTION + 1, {"description"})])
def test_a_description_is_short(workshop, monkeypatch, length, found):
    """However harmless all of it reads."""
    monkeypatch.setattr(structure.grammar, "objections", lambda text: [])
    text = workshop.description.ljust(length - 1) + b"\0"
    codes = both(workshop, lambda page: page.with_tag(workshop.tag(270, 2, text)))
    assert {code for check, code in codes if check == "structure"} == found


def test_the_first_page_is_a_level(workshop):
    """A thumbnail in front is what every reader shows first."""
    first, thumbnail, second = workshop.clean.pages
    assert ("structure", "no-base-level") in workshop.codes(replace(workshop.clean, pages=(thumbnail, first, second)))


def test_levels_become_smaller(workshop):
    """Two of the same size, or a larger one behind a smaller: one of them is something else."""
    first, thumbnail, second = workshop.clean.pages
    workshop.source = replace(workshop.source, pages=(*workshop.source.pages, second))
    assert ("structure", "level-order") in workshop.codes(
        replace(workshop.clean, pages=(first, thumbnail, second, second))
    )


def test_levels_that_grow_are_found(workshop):
    """In the source they do, too."""
    first, thumbnail, _ = workshop.clean.pages
    levels = [workshop.level(workshop.shown(size), workshop.description) for size in ((64, 48), (128, 96))]
    workshop.source = replace(workshop.source, pages=(workshop.source.pages[0], thumbnail, *levels))
    assert ("structure", "level-order") in workshop.codes(replace(workshop.clean, pages=(first, thumbnail, *levels)))


def test_a_tiled_picture_of_another_shape_is_found(workshop):
    """As a label is, whatever it is called."""
    label = workshop.level(workshop.label(), workshop.description)
    first, _, second = workshop.clean.pages
    assert ("structure", "unexpected-picture") in workshop.codes(replace(workshop.clean, pages=(first, second, label)))


def test_a_picture_beside_the_levels_is_small(workshop, monkeypatch):
    """Nobody decodes more than that to look at it."""
    area = 240 * 180
    monkeypatch.setattr(structure, "MAX_PICTURE_PIXELS", area)
    assert workshop.codes(workshop.clean) == set()
    monkeypatch.setattr(structure, "MAX_PICTURE_PIXELS", area - 1)
    assert workshop.codes(workshop.clean) == {("structure", "unexpected-picture")}


def test_a_directory_without_a_picture_is_found(workshop):
    """Tags that describe nothing, at the end of the chain."""
    data = bytearray(workshop.clean.write(workshop.folder / "probe.svs").read_bytes())
    link = 4
    while (directory := struct.unpack_from("<I", data, link)[0]) != 0:
        link = directory + 2 + 12 * struct.unpack_from("<H", data, directory)[0]
    data += bytes(len(data) % 2)
    struct.pack_into("<I", data, link, len(data))
    data += struct.pack("<HHHIII", 1, 254, 4, 1, 0, 0)
    assert ("structure", "unexpected-directory") in workshop.codes(Bytes(bytes(data)))


def test_a_picture_below_a_page_is_found(workshop):
    """A SubIFD that is no level, here the thumbnail's directory once more."""
    path = workshop.clean.write(workshop.folder / "probe.svs")
    size = path.stat().st_size
    broken = workshop.clean.page(0, lambda page: page.with_tag(workshop.tag(330, 4, (size + size % 2 + 12,))))
    data = broken.write(path).read_bytes()
    first = struct.unpack_from("<I", data, 4)[0]
    second = struct.unpack_from("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0])[0]
    length = 2 + 12 * struct.unpack_from("<H", data, second)[0]
    spare = bytes(size + size % 2 + 12 - len(data)) + data[second : second + length] + bytes(4)
    assert ("structure", "unexpected-directory") in workshop.codes(Bytes(data + spare))


FRAMES = {
    "broader": (96, 64, "RGB"),
    "higher": (64, 96, "RGB"),
    "narrower": (32, 64, "RGB"),
    "lower": (64, 32, "RGB"),
    "grey": (64, 64, "GRAY"),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("number", [0, 5])
def test_a_tile_is_as_large_as_the_page_says(workshop, name, number):
    """What a stream has beyond its tile is shown by no viewer and kept for good; a label would fit."""
    width, height, kind = FRAMES[name]
    pixels = workshop.label()[:height, :width, : 3 if kind == "RGB" else 1]
    other = bare(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 75, kind, "444"))
    assert ("scans", "more-than-needed") in both(workshop, lambda page: page.with_piece(number, lambda _: other))


TABLES = {
    "followed by words": lambda tables: tables + b"JOHN SMITH",
    "with a comment": lambda tables: tables[:2] + segment(0xFE, WORDS[:10]) + tables[2:],
    "one of them twice": lambda tables: tables[:2] + dqt(0, bytes(range(1, 65))) + tables[2:],
}


@pytest.mark.parametrize("name", TABLES)
def test_shared_tables_are_tables(workshop, name):
    """A stream of tables from its first byte to its last, each once."""
    assert ("structure", "jpeg-tables") in workshop.codes(sharing(workshop.clean, TABLES[name]))


UNREADABLE = {
    "not even a stream": lambda tables: b"JOHN SMITH",
    "broken off": lambda tables: tables[:-9],
    "with half a table": lambda tables: tables[:2] + segment(0xDB, bytes(9)) + tables[2:],
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_shared_tables_that_cannot_be_read_end_it(workshop, name):
    """Nothing can be said of tiles without their tables."""
    with pytest.raises(DamagedSlide) as refused:
        workshop.codes(sharing(workshop.clean, UNREADABLE[name]))
    assert refused.value.where == "ifd[0]/347"


def test_a_thumbnail_needs_its_shared_tables(workshop):
    """Those it does not ask for say something else."""
    spare = dqt(3, bytes(range(1, 65)))
    give = workshop.tag(347, 7, b"\xff\xd8" + spare + b"\xff\xd9")
    assert workshop.codes(workshop.clean.page(1, lambda page: page.with_tag(give))) == {("structure", "jpeg-tables")}


def test_strips_are_as_high_as_the_page_says(workshop):
    """The last one holds the rows that are left, and no more."""
    pixels = np.ascontiguousarray(workshop.shown((240, 180)))
    tall, short = (workshop.picture(part, 0).pieces[0] for part in (pixels[:100], pixels[100:]))

    def cut(pieces):
        tags = (workshop.tag(278, 4, (100,)), workshop.tag(270, 2, workshop.description + b"\0"))
        page = workshop.picture(pixels, 0).with_tag(tags[0]).with_tag(tags[1])
        return workshop.clean.page(1, lambda _: replace(page, pieces=pieces))

    assert workshop.codes(cut((tall, short))) == set()
    assert ("structure", "more-than-needed") in workshop.codes(cut((tall, tall)))
