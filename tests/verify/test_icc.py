"""Colour profiles: what may stand in a clean one, and that the digest is of the transform and of nothing else."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from PIL import ImageCms

from coverslip.verify import icc

WORDS = {b"desc": "scanner colour profile", b"cprt": "no copyright stated"}


IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 16)
LUT = b"mft2" + bytes(4) + bytes((3, 3, 2, 0)) + IDENTITY + struct.pack(">HH", 2, 2) + bytes(range(72))
"""A table of two points a side between three channels."""
LINE = b"curv" + bytes(8)
GRID = bytes((2, 2, 2)) + bytes(13) + b"\1" + bytes(3) + bytes(range(24))


def staged(b=LINE, matrix=bytes(48), grid=GRID):
    """A lutAToB with all of its stages."""
    stages = [b * 3, matrix, LINE * 3, grid, LINE * 3]
    places = [32 + sum(map(len, stages[:number])) for number in range(5)]
    return b"mAB " + bytes(4) + bytes((3, 3, 0, 0)) + struct.pack(">5I", *places) + b"".join(stages)


STAGES = staged()


def profile(
    extra=(), texts=WORDS, date=bytes(12), connection=b"XYZ ", curve=b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0200)
):
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
    head = struct.pack(
        ">I4s4s4s4s4s12s4s", size, bytes(4), b"\x02\x40\0\0", b"scnr", b"RGB ", connection, date, b"acsp"
    )
    return (head + bytes(28) + ILLUMINANT).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


COLOURS = {b"wtpt": (63190, 65536, 54061), b"rXYZ": (1, 2, 3), b"gXYZ": (4, 5, 6), b"bXYZ": (7, 8, 9)}
ILLUMINANT = struct.pack(">3i", 63190, 65536, 54061)


def test_a_profile_of_numbers_and_fixed_words_is_fine():
    """Nothing to object to."""
    assert list(icc.objections(profile())) == []


@pytest.mark.parametrize(
    "tag",
    [(b"A2B0", LUT), (b"A2B0", STAGES), (b"B2A0", LUT), (b"bkpt", b"XYZ " + bytes(16)), (b"chad", b"sf32" + bytes(40))],
    ids=["table", "stages", "way back", "black", "adaptation"],
)
def test_numbers_of_a_transform_are_fine(tag):
    """Each kind of transform that a scanner's profile has, exactly as long as its numbers."""
    assert list(icc.objections(profile(extra=[tag]))) == []


def test_each_number_of_a_transform_counts():
    """Whichever byte of a table's or a stage's numbers changes, the digest does."""
    for data in (LUT, STAGES):
        before = icc.transform_digest(profile(extra=[(b"A2B0", data)]))
        for at in (53, len(data) - 1) if data is LUT else (STAGES.index(GRID) + 20, STAGES.index(GRID) + 43, 32 + 36):
            changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
            assert icc.transform_digest(profile(extra=[(b"A2B0", changed)])) != before


def test_where_the_stages_stand_is_no_colour():
    """Stages in another order are the same transform, and not what a clean slide holds."""
    parts = [LINE * 3, bytes(48), LINE * 3, GRID, LINE * 3]
    head = b"mAB " + bytes(4) + bytes((3, 3, 0, 0))
    places = [32 + sum(map(len, parts[number + 1 :])) for number in range(5)]
    turned = head + struct.pack(">5I", *places) + b"".join(reversed(parts))
    one, other = profile(extra=[(b"A2B0", STAGES)]), profile(extra=[(b"A2B0", turned)])
    assert icc.transform_digest(one) == icc.transform_digest(other)
    assert list(icc.objections(other))


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
        profile()[:44] + b"\0Doe" + profile()[48:],
        profile()[:56] + b"JANE DOE" + profile()[64:],
        profile()[:64] + b"Jane" + profile()[68:],
        profile()[:68] + b"JaneDoe, MRN" + profile()[80:],
        profile()[:8] + b"\x02\x40JD" + profile()[12:],
        profile(extra=[(b"A2B3", LUT)]),
        profile(extra=[(b"lumi", b"XYZ " + bytes(4) + b"Jane Doe, MR")]),
        profile(extra=[(b"gamt", LUT)]),
        profile(extra=[(b"kTRC", b"curv" + bytes(8))]),
        profile(extra=[(b"bkpt", b"XYZ " + bytes(16) + b"JaneDoe, MRN")]),
        profile(extra=[(b"bkpt", b"XYZ " + b"Jane" + bytes(12))]),
        profile(extra=[(b"bkpt", b"XYZ " + bytes(4) + b"Jane Doe, MR")]),
        profile(extra=[(b"bkpt", b"XYZ " + bytes(12))] * 2),
        profile(curve=b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0200) + b"Jane"),
        profile(curve=b"para" + struct.pack(">IHHi", 0, 0, 0x4A44, 1 << 16)),
        profile(curve=b"para" + struct.pack(">IHH4s", 0, 0, 0, b"Jane")),
        profile(extra=[(b"A2B0", LUT + b"Jane")]),
        profile(extra=[(b"A2B0", LUT[:11] + b"J" + LUT[12:])]),
        profile(extra=[(b"A2B0", LUT[:12] + b"Jane Doe, MRN" + LUT[25:])], connection=b"Lab "),
        profile(extra=[(b"A2B0", STAGES[:10] + b"JD" + STAGES[12:])]),
        profile(extra=[(b"A2B0", STAGES[:32] + b"Jane" + STAGES[32:])]),
        profile(extra=[(b"A2B0", STAGES.replace(GRID[:3] + bytes(13), GRID[:3] + b"Jane Doe, MRN"))]),
        profile(extra=[(b"A2B0", b"mBA " + STAGES[4:])]),
        b"not a profile",
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=[
        "date",
        "desc",
        "cprt",
        "dmnd",
        "private",
        "tail",
        "creator",
        "id",
        "reserved",
        "flags",
        "attributes",
        "intent",
        "illuminant",
        "version",
        "unknown transform",
        "luminance",
        "of a printer",
        "of grey",
        "behind a colour",
        "before a colour",
        "letters for a colour",
        "twice",
        "behind a curve",
        "in a curve",
        "letters for a gamma",
        "behind a table",
        "in a table",
        "matrix without use",
        "in the stages",
        "between stages",
        "sides that are not there",
        "the other direction",
        "nothing",
        "as made",
    ],
)
def test_words_dates_and_slack_are_objected_to(bad):
    """Each place of a profile where somebody could write."""
    assert list(icc.objections(bad))


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_the_header_is_free(bit):
    """Whichever is turned, there is an objection or the transform is another's; version 2.0 is as good as 2.4."""
    whole = profile()
    for at in range(128):
        turned = whole[:at] + bytes((whole[at] ^ 1 << bit,)) + whole[at + 1 :]
        free = not list(icc.objections(turned)) and icc.transform_digest(turned) == icc.transform_digest(whole)
        assert free == ((at, bit) == (9, 6)), at


def entry(start, size):
    """A profile whose first tag lies elsewhere."""
    return profile()[:136] + struct.pack(">2I", start, size) + profile()[144:]


@pytest.mark.parametrize(
    "bad",
    [
        profile()[:131],
        profile()[:36] + b"acs_" + profile()[40:],
        profile()[:128] + struct.pack(">I", 101) + bytes(12 * 101),
        profile()[: 132 + 12 * 9 - 1],
        entry(131, 8),
        entry(len(profile()) - 8, 9),
    ],
    ids=["short", "no profile", "too many tags", "ends in its table", "a tag in the header", "a tag past the end"],
)
def test_all_of_what_cannot_be_read_is_looked_for(bad):
    """It is no profile of a clean slide, no transform, and may be anything in the source."""
    assert list(icc.objections(bad)) == ["is not a readable ICC profile"]
    assert list(icc.removable(bad)) == [("profile", bad)]
    assert icc.transform_digest(bad) == ""


def test_what_a_profile_says_of_people_is_looked_for():
    """Times, makers and every text but our own; of a clean profile nothing, and no number of a transform."""
    date = struct.pack(">6H", 2012, 3, 4, 5, 6, 7)
    maker = (b"dmnd", b"text" + bytes(4) + b"ACME 4711\0")
    said = profile(date=date, texts=WORDS | {b"cprt": "Jane Doe's clinic"}, extra=[maker, (b"lumi", bytes(20))])
    said = said[:48] + b"ACMESCAN" + said[56:80] + b"JDOE" + b"sixteen letters." + b"rest" + said[104:]
    found = {value.strip(b"\0") for _, value in icc.removable(said)} - {b""}
    letters = {b"ACMESCAN", b"JDOE", b"sixteen letters.", b"rest", b"Jane Doe's clinic", b"ACME 4711"}
    assert found == {date.strip(b"\0"), *letters}
    assert not any(value.strip(b"\0") for _, value in icc.removable(profile()))


def test_the_digest_is_of_the_transform_alone():
    """Words and dates do not change it; a curve does."""
    dated = profile(date=struct.pack(">6H", 2012, 3, 4, 5, 6, 7), texts=WORDS | {b"cprt": "Jane Doe's clinic 1"})
    assert icc.transform_digest(profile()) == icc.transform_digest(dated)
    darker = profile(curve=b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0201))
    assert icc.transform_digest(profile()) != icc.transform_digest(darker)


def test_a_transform_of_spaces_nobody_knows_is_digested_as_it_stands():
    """It has no sides, so none is too short: that ended the verifier, after eight minutes of a fuzzer's."""
    staged_of_none = b"mAB " + bytes(4) + bytes((0, 3, 0, 0)) + struct.pack(">5I", 32, 0, 0, 68, 100) + LINE * 3
    odd = [profile(extra=[(b"A2B0", staged_of_none + bytes(16) + b"\1" + letter * 20)]) for letter in (b"a", b"b")]
    digests = {icc.transform_digest(each[:16] + b"JANE" + each[20:]) for each in odd}
    assert len(digests) == 2
    assert list(icc.objections(odd[0][:16] + b"JANE" + odd[0][20:]))


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
