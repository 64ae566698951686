"""Values inside values: read by their form, on both sides of the check, and never a reason to stumble."""

from __future__ import annotations

import random
import struct

import pytest

from coverslip.tiff.parts import MAX_PARTS, parts, swapped
from coverslip.verify import parts as verifier
from samples.codecs import COM, jpeg_rgb, numbered, segment, with_segments
from samples.identifiers import Planter
from samples.pictures import label
from samples.plants import exif_segment

NAME = b"ZQ-1 DOE^JANE"


def record(number, value):
    return struct.pack(">BBBH", 0x1C, 2, number, len(value)) + value


def block(number, value, name=b""):
    named = bytes([len(name)]) + name
    named += bytes(len(named) % 2)
    return b"8BIM" + struct.pack(">H", number) + named + struct.pack(">I", len(value)) + value + bytes(len(value) % 2)


def thumbnail():
    return with_segments(numbered(jpeg_rgb(label(["no words"], 96, 96), 60)), segment(COM, NAME))


KNOWN = {
    "IPTC": (record(120, b"other") + record(80, NAME), {"2:80": NAME}),
    "IPTC with a long length": (b"\x1c\x02\x78\x80\x04" + struct.pack(">I", len(NAME)) + NAME, {"2:120": NAME}),
    "Photoshop": (block(0x03F0, b"odd") + block(0x0404, record(25, NAME)), {"0404/2:25": NAME}),
    "Photoshop's block with a name": (block(0x03ED, b"", NAME), {"03ED/name": NAME}),
    "Photoshop in APP13": (b"Photoshop 3.0\0" + block(0x0404, record(25, NAME)), {"0404/2:25": NAME}),
    "Photoshop's thumbnail": (block(0x040C, bytes(28) + thumbnail()), {"040C/jpeg/COM[0]": NAME}),
    "a JPEG": (thumbnail(), {"COM[0]": NAME}),
}


@pytest.mark.parametrize("name", KNOWN)
def test_each_part_has_a_place_and_its_very_value(name):
    """Not a byte of what holds it: a length before a name would hide it from a search for the name."""
    data, expected = KNOWN[name]
    assert expected.items() <= {part.name: part.value for part in parts(data)}.items()
    assert set(expected.values()) <= set(verifier.parts(data))


def test_a_photograph_in_a_photograph_is_followed():
    """EXIF is a TIFF in a JPEG segment, and holds a JPEG that holds a comment."""
    planter = Planter(5)
    payload = exif_segment(planter, "x")
    values = {one.place: one.value.encode() for one in planter.found}
    found = {part.name: part.value for part in parts(payload)}
    assert found["ifd[0]/ImageDescription"] == values["x/ImageDescription"]
    assert found["ifd[1]/thumbnail/COM[0]"] == values["x/thumbnail/COM"]
    assert values["x/thumbnail/COM"] in verifier.parts(payload)


def test_numbers_of_the_other_byte_order_are_turned():
    """Adobe's IPTC as longs, written on a machine of the other order."""
    assert swapped(b"abcdefgh!!") == b"dcbahgfe"


@pytest.mark.parametrize("data", [b"", b"8BIM", b"\x1c", b"\x1c\x02\x78\xff\xff", b"Exif\0\0", b"\xff\xd8\xff", NAME])
def test_what_follows_no_form_has_no_parts(data):
    """The value as a whole is an element already."""
    assert parts(data) == ()


@pytest.mark.parametrize("name", KNOWN)
def test_broken_containers_raise_nothing(name):
    """Any byte changed or cut off: fewer parts, never an error, never more than there may be."""
    data, dice = KNOWN[name][0], random.Random(name)
    for _ in range(300):
        broken = bytearray(data[: dice.randrange(1, len(data) + 1)])
        broken[dice.randrange(len(broken))] = dice.randrange(256)
        assert len(parts(bytes(broken))) <= MAX_PARTS
        verifier.parts(bytes(broken))


def test_there_is_an_end_to_parts():
    """A value of nothing but records, and blocks within blocks."""
    assert len(parts(record(1, b"x") * 5000)) == MAX_PARTS
    inner = NAME
    for _ in range(50):
        inner = block(0x0404, inner)
    assert max(part.name.count("/") for part in parts(inner)) < 3
    assert len(verifier.parts(record(1, NAME) * 5000)) <= verifier.MAX_PARTS
