"""Hostile bytes: whatever a mutation makes of a slide, the verifier answers with a report or a typed error."""

from __future__ import annotations

import random
import zlib

import imagecodecs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coverslip import preflight
from coverslip.errors import InputError, LimitExceeded
from coverslip.verify import alone, parts, verify_alone
from coverslip.verify.unpack import MAX_FED, START, STEP, Unpacked, _unlzw

RELAXED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CHANGES = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=6)


def judged(path, source):
    """As the command does it: files beyond the limits are opened by no library."""
    try:
        preflight.check(path)
        preflight.check(source)
        return verify_alone(path, source).passed
    except InputError as error:
        return error.code


@RELAXED
@given(changes=CHANGES, directories=st.booleans())
def test_changed_bytes_never_end_in_an_untyped_error(workshop, changes, directories):
    """Bytes changed anywhere, or in the directories only, where a byte means most."""
    data = bytearray(workshop.clean.write(workshop.folder / "clean.svs").read_bytes())
    source = workshop.source.write(workshop.folder / "source.svs")
    first = int.from_bytes(data[4:8], "little") if directories else 0
    for place, value in changes:
        data[first + place % (len(data) - first)] = value
    changed = workshop.folder / "changed.svs"
    changed.write_bytes(data)
    assert judged(changed, source) is not None


@RELAXED
@given(share=st.floats(0, 1))
def test_a_cut_slide_never_ends_in_an_untyped_error(workshop, share):
    """Truncated anywhere."""
    data = workshop.clean.write(workshop.folder / "clean.svs").read_bytes()
    cut = workshop.folder / "cut.svs"
    cut.write_bytes(data[: int(share * (len(data) - 1))])
    assert judged(cut, workshop.source.write(workshop.folder / "source.svs")) is not True


def test_properties_with_broken_names_are_left_out(workshop):
    """OpenSlide lists a key that is no UTF-8 under a name it then does not know."""
    tag = workshop.tag(270, 2, workshop.description + b"|Us\xffer = Jane\0")
    source = workshop.source.page(0, lambda page: page.with_tag(tag)).write(workshop.folder / "source.svs")
    assert alone.properties_of(source)


@RELAXED
@given(changes=CHANGES)
@example(changes=[(267, 128), (412, 1)])
def test_a_hostile_source_never_ends_in_an_untyped_error(workshop, changes):
    """The source is as untrusted as the clean slide."""
    clean = workshop.clean.write(workshop.folder / "clean.svs")
    data = bytearray(workshop.source.write(workshop.folder / "source.svs").read_bytes())
    first = int.from_bytes(data[4:8], "little")
    for place, value in changes:
        data[first + place % (len(data) - first)] = value
    changed = workshop.folder / "changed.svs"
    changed.write_bytes(data)
    assert judged(clean, changed) is not None


@pytest.mark.parametrize("page", [0, 2])
@pytest.mark.parametrize("tag", [322, 323])
@pytest.mark.parametrize("side", ["clean", "source"])
def test_tiles_nobody_has_memory_for_are_refused(workshop, page, tag, side):
    """OpenSlide ends its process when it cannot have what a tile claims to need: it is not asked."""

    def grown(slide, name):
        wide = slide.page(page, lambda old: old.with_tag(workshop.tag(tag, 4, (1 << 30,))))
        return (wide if name == side else slide).write(workshop.folder / f"{name}.svs")

    clean, source = grown(workshop.clean, "clean"), grown(workshop.source, "source")
    assert judged(clean, source) == "limit-exceeded"
    with pytest.raises(LimitExceeded):
        verify_alone(clean, source)


@pytest.mark.parametrize("text", [b"&#" + b"7" * 5000 + b";", b"&&#" + b"1" * 20 + b"#" + b"7" * 5000 + b";"])
def test_a_number_without_end_is_no_character(text):
    """Python refuses to read numbers of thousands of digits; what stands beside it is unpacked all the same."""
    found = list(Unpacked().layers(text + b" &#75;owalski"))
    assert any(b"Kowalski" in each for each in found)


def test_what_looks_like_the_beginning_of_a_stream_at_every_third_byte_is_not_followed_for_ever():
    """Each has a name that goes on to the end of the value: ten thousand of them were read ten thousand times."""
    unpacked = Unpacked()
    assert list(unpacked.layers(b"\x1f\x8b\x08" * 700_000)) == []
    assert unpacked.exhausted, "somebody has to be told"
    assert unpacked.fed <= MAX_FED + START + STEP


def test_marks_one_behind_the_other_are_not_followed_for_ever(monkeypatch):
    """Each of eight thousand tables said it had 512 records, all the same one."""
    inside, looked = parts._inside, []
    monkeypatch.setattr(parts, "_inside", lambda value: (looked.append(1) or part for part in inside(value)))
    parts.parts(b"mluc\0\0\0\0" * 8192)
    assert len(looked) <= parts.MAX_LOOKS + parts.MAX_PARTS


def test_a_stream_behind_many_that_are_none_is_found():
    """However many there are before it, as long as they cost little."""
    unpacked = Unpacked()
    found = b"".join(unpacked.layers(b"\x78\x01" * 9_000 + zlib.compress(b"Kowalski")))
    assert b"Kowalski" in found
    assert not unpacked.exhausted


@pytest.mark.parametrize("length", [1, 300, 5_000, 120_000])
def test_lzw_is_unpacked_as_its_encoder_packed_it(length):
    """Words and noise, past every width of its codes and a full table."""
    noise = random.Random(length).randbytes(length // 2)
    plain = noise + b"Kowalski " * (length // 9)
    assert _unlzw(bytes(imagecodecs.lzw_encode(plain))) == plain


def test_lzw_that_is_none_ends_quietly():
    """Ten bytes on which a native decoder was seen to end its process."""
    assert len(_unlzw(b'\x80o%41"\0\0\0`')) < 100
