"""The broken slides are what they say: many, named apart, small, and made from slides that are sound."""

import itertools

import openslide
import pytest

from coverslip import errors
from samples import broken

CASES = list(broken.cases())
BASES = ["svs", "big", "tiff", "deflate", "j2k", "raw", "one-svs", "one-tiff", "ome", "ome-each", "ome-rgb"]


def test_there_are_many_and_none_shares_its_name():
    """More broken slides than sound ones, over every base."""
    assert len(CASES) > 300
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.base for case in CASES} == set(BASES)


def test_every_code_is_one_of_ours():
    """Codes are those of the error tree, or ok."""
    known = {"ok", errors.VerificationFailed.code, *(error.code for error in errors.tree(errors.InputError))}
    assert set(itertools.chain.from_iterable(case.codes for case in CASES)) <= known


def test_every_code_is_expected_somewhere_alone():
    """Each kind of refusal has cases where only it is right, save for those the order of checks decides."""
    alone = {case.codes[0] for case in CASES if len(case.codes) == 1}
    assert {"damaged-slide", "limit-exceeded", "unknown-structure", "ok"} <= alone


@pytest.mark.parametrize("base", BASES)
def test_what_they_are_made_of_is_sound(base, tmp_path):
    """OpenSlide reads every pixel of the slide before it is broken."""
    path = tmp_path / "sound.svs"
    path.write_bytes(broken.sound(base))
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == ((600, 400) if base.startswith("one") else (150, 100))
        slide.read_region((0, 0), 0, slide.dimensions)


def test_each_differs_from_what_it_is_made_of(tmp_path):
    """Every case can be built, changes something, and stays below twenty megabytes."""
    for case in CASES:
        content = case.build(tmp_path).read_bytes()
        assert content != broken.sound(case.base), case.name
        assert len(content) < 20_000_000, case.name
