"""No planted identifier survives anywhere in what we write, and the science reads as before."""

import pytest
from openslide import OpenSlide

from coverslip.outcomes import Cleaned
from tests.leaks.conftest import FAMILIES, hits

VARIANTS = [(family, variant) for family, (_, variants) in FAMILIES.items() for variant in variants]
FACTS = ("openslide.vendor", "openslide.mpp-x", "openslide.mpp-y", "openslide.objective-power")


@pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=lambda value: value)
def test_nothing_planted_survives(run, family, variant):
    """Every output file is searched for every planted value in plain, UTF-16, base64 and hex form."""
    done = run(family, variant)
    assert isinstance(done.outcome, Cleaned), done.outcome
    for file in done.out.iterdir():
        assert hits(done.planted, file.read_bytes()) == [], file.suffix
        assert hits(done.planted, file.name.encode()) == []


@pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=lambda value: value)
def test_science_reads_as_before(run, family, variant):
    """OpenSlide says the same vendor, resolution, magnification, levels and tile sizes of source and clean slide."""
    done = run(family, variant)
    if not done.planted.facts.openslide_opens:
        assert done.planted.facts.levels == tuple((le.size.width, le.size.height) for le in done.outcome.facts.levels)
        return
    with OpenSlide(done.planted.path) as before, OpenSlide(done.outcome.clean) as after:
        levels = [key for key in before.properties if key.startswith("openslide.level")]
        names = [key for key in (*FACTS, *levels) if key in before.properties]
        assert {key: after.properties.get(key) for key in names} == {key: before.properties[key] for key in names}
        assert after.level_dimensions == before.level_dimensions
        assert "label" not in after.associated_images
        assert "macro" not in after.associated_images


def test_the_search_finds_what_is_there(run):
    """The search used here sees planted values in the source, so that silence about the output means something."""
    done = run("aperio", "jpeg")
    found = hits(done.planted, done.planted.path.read_bytes())
    assert len(found) > 300


def test_twice_gives_the_same_bytes(run, tmp_path):
    """Same input, policy and key: identical slide, certificate and hashes."""
    from coverslip.pipeline import deidentify
    from coverslip.policy import load
    from tests.leaks.conftest import KEY

    done = run("aperio", "jpeg")
    deidentify(done.planted.path, tmp_path, policy=load("strict"), key=KEY)
    first = {file.name: file.read_bytes() for file in done.out.iterdir()}
    second = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert first == second
