"""Colour profiles: what may stand in a clean one, and that the digest is of the transform and of nothing else."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from PIL import ImageCms

from coverslip.verify import icc

WORDS = {b"desc": "scanner colour profile", b"cprt": "no copyright stated"}


def profile(extra=(), texts=WORDS, date=bytes(12), curve=b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0200)):
    """A version 2 matrix profile with fixed texts."""
    tags = [
        (b"desc", b"desc" + bytes(4) + struct.pack(">I", len(texts[b"desc"]) + 1) + texts[b"desc"].encode() + bytes(79))
    ]
    tags += [(b"cprt", b"text" + bytes(4) + texts[b"cprt"].encode() + b"\0")]
    tags += [(name, b"XYZ " + bytes(4) + struct.pack(">3i", *values)) for name, values in COLOURS.items()]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    tags += list(extra)
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags:
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = at + len(body)
    head = struct.pack(">I4s4s4s4s4s12s4s", size, bytes(4), b"\x02\x40\0\0", b"scnr", b"RGB ", b"XYZ ", date, b"acsp")
    return (head + bytes(24) + ILLUMINANT).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


COLOURS = {b"wtpt": (63190, 65536, 54061), b"rXYZ": (1, 2, 3), b"gXYZ": (4, 5, 6), b"bXYZ": (7, 8, 9)}
ILLUMINANT = struct.pack(">3i", 63190, 65536, 54061)


def test_a_profile_of_numbers_and_fixed_words_is_fine():
    """Nothing to object to."""
    assert list(icc.objections(profile())) == []


@pytest.mark.parametrize(
    "bad",
    [
        profile(date=struct.pack(">6H", 2012, 3, 4, 5, 6, 7)),
        profile(texts=WORDS | {b"desc": "Scanner of Jane Doe ab"}),
        profile(texts=WORDS | {b"cprt": "Jane Doe's clinic 1"}),
        profile(extra=[(b"dmnd", b"text" + bytes(4) + b"ACME\0")]),
        profile(extra=[(b"priv", bytes(16))]),
        profile() + b"Jane",
        profile()[:80] + b"JANE" + profile()[84:],
        profile()[:84] + b"sixteen letters." + profile()[100:],
        profile()[:100] + b"Jane" + profile()[104:],
        b"not a profile",
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=["date", "desc", "cprt", "dmnd", "private", "tail", "creator", "id", "reserved", "nothing", "as made"],
)
def test_words_dates_and_slack_are_objected_to(bad):
    """Each place of a profile where somebody could write."""
    assert list(icc.objections(bad))


def test_the_digest_is_of_the_transform_alone():
    """Words and dates do not change it; a curve does."""
    dated = profile(date=struct.pack(">6H", 2012, 3, 4, 5, 6, 7), texts=WORDS | {b"cprt": "Jane Doe's clinic 1"})
    assert icc.transform_digest(profile()) == icc.transform_digest(dated)
    darker = profile(curve=b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0201))
    assert icc.transform_digest(profile()) != icc.transform_digest(darker)


def test_a_profile_is_judged_where_it_stands(workshop):
    """In the clean slide and against the source's transform."""

    def carrying(slide, data):
        return slide.page(0, lambda page: page.with_tag(workshop.tag(34675, 7, data)))

    dated = profile(date=struct.pack(">6H", 2012, 3, 4, 5, 6, 7))
    workshop.source = carrying(workshop.source, dated)
    assert workshop.codes(carrying(workshop.clean, profile())) == set()
    assert workshop.codes(carrying(workshop.clean, dated)) == {("structure", "profile")}
    darker = profile(curve=b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0201))
    assert ("utility", "reads-differently") in workshop.codes(carrying(workshop.clean, darker))
    assert ("utility", "reads-differently") in workshop.codes(replace(workshop.clean))
