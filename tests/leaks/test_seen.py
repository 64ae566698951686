"""Every planted value is seen by the reader in some element, and found by the verifier wherever it is left verbatim."""

from __future__ import annotations

import re
import struct
import zlib

import pytest

from coverslip.formats import open_slide
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.verify import Secret, alone
from coverslip.verify.forms import Ordinary
from coverslip.verify.leaks import Hunt
from coverslip.verify.ledger import gaps
from coverslip.verify.pages import pictures
from coverslip.verify.reading import Bytes
from coverslip.verify.tiff_walk import walk
from samples import aperio, generic, lookalikes, mirax
from samples.identifiers import Encoding
from samples.lookalikes import LOOKS
from samples.tiffmaker import LONG, Tag
from tests.leaks.conftest import APERIO, GENERIC, KEY

MADE = {
    **{f"aperio {name}": (aperio, options) for name, options in APERIO.items()},
    **{f"generic {name}": (generic, options) for name, options in GENERIC.items()},
}


HELD_BACK = ("motic", "qptiff")
"""Look-alikes that no reader opens with pictures beside their levels."""
EVERY = [*MADE, *LOOKS, "mirax"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A planted slide of each kind, made once, and where a folder gave it its name."""
    done = {}

    def once(name):
        if name not in done:
            folder = tmp_path_factory.mktemp("seen")
            if name == "mirax":
                done[name] = mirax.write(folder, columns=3, rows=2)
            elif name in LOOKS:
                done[name] = lookalikes.write(folder, name, beside=name not in HELD_BACK)
            else:
                maker, options = MADE[name]
                done[name] = maker.write(folder, Size(900, 700), seed=len(name), **options)
        return done[name]

    return once


@pytest.fixture(scope="module")
def elements(planted):
    """The inventory of each of them, read once."""
    done = {}

    def once(name):
        if name not in done:
            slide = open_slide(planted(name).path)
            done[name] = slide.inventory().elements
            slide.close()
        return done[name]

    return once


def needles(slide):
    """Each planted value that stands in bytes: its place, the bytes, and whether it is worth a search."""
    for one in slide.identifiers:
        if one.encoding is not Encoding.PIXELS:
            yield one, one.needle or one.value.encode()


def is_ordinary(one):
    """Too short or too plain to be searched for, by the verifier's own rules: its place being gone is its proof."""
    return not one.searchable or (one.encoding is Encoding.ASCII and Ordinary(())(one.value))


@pytest.mark.parametrize("name", EVERY)
def test_every_planted_value_stands_in_an_element(planted, elements, name):
    """As it stands in the file, or read as text: what no element shows, no search can look for."""
    values = b"\0\0".join(element.untrusted_value for element in elements(name))
    unseen = [
        one.place
        for one, needle in needles(planted(name))
        if not {needle, one.value.encode()} & present(values, one, needle)
    ]
    assert unseen == []


def present(values, one, needle):
    """Which of the two ways of writing a value is among the elements' values."""
    return {form for form in (needle, one.value.encode()) if form in values}


@pytest.mark.parametrize("name", EVERY)
def test_every_planted_value_is_found_when_left_verbatim(planted, elements, name):
    """Alone, torn out of whatever held it, between bytes that mean nothing."""
    hunt = Hunt([Secret(element.path, element.untrusted_value) for element in elements(name)], ())
    assert missed(hunt, planted(name)) == []


def missed(hunt, slide):
    """Places whose value a hunt does not find."""
    places = []
    for one, needle in needles(slide):
        hunt.hits.clear()
        hunt.search(b"\x07\xf1" + needle + b"\xf1\x07", "somewhere")
        if not hunt.hits and not is_ordinary(one):
            places.append(one.place)
    return places


@pytest.mark.parametrize("name", ["aperio jpeg", "aperio j2k-rgb", "generic jpeg", "generic big-endian", "generic ome"])
def test_the_verifier_sees_them_by_itself(planted, name):
    """With the source and no plan, `coverslip verify` looks for the same values, by its own walk."""
    slide = planted(name)
    with Bytes(slide.path) as file:
        tiff = walk(file)
        pages = pictures(file, tiff)
        assert gaps(file, tiff, pages)
        secrets = alone.secrets_of(slide.path, file, tiff, pages)
    assert missed(Hunt(secrets, ()), slide) == []


def test_a_pair_in_utf_8_is_read_as_such(tmp_path):
    """By the reader and by the verifier, each in its own way: a name that was read as Latin-1 is another's."""
    name = "Иванов Иван".encode()
    path = aperio.write(tmp_path, Size(900, 700), seed=1).path
    held = re.search(rb"\|User = ([^|]{20,})", path.read_bytes())
    assert held is not None
    path.write_bytes(path.read_bytes().replace(held[1], name.ljust(len(held[1]))))
    with Bytes(path) as file:
        tiff = walk(file)
        secrets = alone.secrets_of(path, file, tiff, pictures(file, tiff))
    assert name in {secret.untrusted_value for secret in secrets}
    slide = open_slide(path)
    assert name in {element.untrusted_value.removeprefix(b"User = ") for element in slide.inventory()}
    slide.close()


def test_a_few_bytes_are_gone_with_their_place(planted, elements):
    """What is too short for a search is proved by structure, and the certificate says so of each."""
    hunt = Hunt([Secret(element.path, element.untrusted_value) for element in elements("aperio jpeg")], ())
    proofs = {proof.path: proof.proof for proof in hunt.summary().secrets}
    assert proofs["ifd[0]/ICCProfile/creator"] == proofs["ifd[0]/ICCProfile/model"] == "structure"
    assert proofs["ifd[0]/ImageDescription/Slide"] == "structure"
    assert proofs["ifd[0]/IPTC/2:120"] == proofs["ifd[0]/ICCProfile/desc[1]"] == "searched"
    short = [one.place for one, _ in needles(planted("aperio jpeg")) if not one.searchable]
    assert {place.partition("/")[2] for place in short} == {"ICC/creator", "ICC/model", "ImageDescription/Slide"}


@pytest.mark.parametrize("name", ["aperio jpeg", "aperio j2k-ycbcr", "generic jpeg"])
def test_a_clean_slide_can_be_cleaned_again(planted, name, tmp_path):
    """Our own words and digests, in the source now, are no values that have to be gone."""
    first = deidentify(planted(name).path, tmp_path / "once", policy=load("strict"), key=KEY)
    assert isinstance(first, Cleaned)
    again = deidentify(first.clean, tmp_path / "twice", policy=load("strict"), key=KEY, name="again")
    assert isinstance(again, Cleaned), again
    assert again.sha256 == first.sha256


SPELT = b"ZQ-77 DOE^JANE 19"
NUMERIC = {
    "bytes of longs": Tag(65010, LONG, struct.unpack("<5I", SPELT.ljust(20))),
    "bytes of one rational": Tag(65011, 5, struct.unpack("<2I", SPELT[:8])),
    "bytes of doubles": Tag(65012, 12, struct.unpack("<3d", SPELT.ljust(24))),
    "IPTC, turned in fours": Tag(33723, LONG, struct.unpack(">6I", (b"\x1c\x02\x78\0\x11" + SPELT).ljust(24, b"\0"))),
}


@pytest.mark.parametrize("name", NUMERIC)
def test_words_spelt_as_numbers_are_seen(name, tmp_path):
    """A field of numbers is read as the bytes it is as well, and IPTC whichever way its numbers were turned."""
    from samples.tiffmaker import TiffMaker

    path = tmp_path / "slide.tiff"
    with TiffMaker(path) as maker:
        at = maker.write(zlib.compress(bytes(64 * 64 * 3)))
        maker.ifd(
            [
                Tag(254, LONG, (0,)), Tag(256, LONG, (64,)), Tag(257, LONG, (64,)), Tag(258, 3, (8, 8, 8)),
                Tag(259, 3, (8,)), Tag(262, 3, (2,)), Tag(277, 3, (3,)), Tag(322, LONG, (64,)), Tag(323, LONG, (64,)),
                Tag(324, LONG, (at,)), Tag(325, LONG, (maker.position - at,)), NUMERIC[name],
            ]
        )  # fmt: skip
    slide = open_slide(path)
    wanted = SPELT[:8] if "rational" in name else SPELT
    assert any(wanted in element.untrusted_value for element in slide.inventory())
    slide.close()
