"""Slides of scanners that write nearly what Aperio writes: each comes out clean or is held back, and none leaks."""

from __future__ import annotations

import pytest
import tifffile
from openslide import OpenSlide

from coverslip.outcomes import Cleaned, Quarantined
from coverslip.pipeline import deidentify
from coverslip.policy import load
from samples.lookalikes import LOOKS, TILED, write
from tests.leaks.conftest import KEY, hits

CLEAN = {"kfbio", "mikroscan", "3dhistech", "grundium", "huron", "argos"}
"""Come out clean with all their pictures; of the others a curator has to judge what a page shows."""
CLEAN_ALONE = {*CLEAN, "qptiff"}
"""The same with levels only. Motic's resolution stands in words of which none is kept."""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One look-alike through the pipeline, with its pictures or without."""
    kept = {}

    def once(name, beside, policy="strict"):
        if (name, beside, policy) not in kept:
            folder = tmp_path_factory.mktemp(name)
            (folder / "in").mkdir()
            planted = write(folder / "in", name, beside=beside, seed=7)
            outcome = deidentify(planted.path, folder / "out", policy=load(policy), key=KEY)
            kept[name, beside, policy] = planted, outcome, folder / "out"
        return kept[name, beside, policy]

    return once


@pytest.mark.parametrize("policy", ["strict", "research"])
@pytest.mark.parametrize("beside", [True, False], ids=["whole", "levels only"])
@pytest.mark.parametrize("name", LOOKS)
def test_nothing_planted_survives(done, name, beside, policy):
    """Whatever becomes of the slide, no file we write says anything that was planted in it."""
    planted, outcome, out = done(name, beside, policy)
    for file in out.iterdir() if out.exists() else ():
        assert hits(planted, file.read_bytes()) == [], file.suffix
        assert hits(planted, file.name.encode()) == []
    assert hits(planted, repr(outcome).encode()) == []


@pytest.mark.parametrize("beside", [True, False], ids=["whole", "levels only"])
@pytest.mark.parametrize("name", LOOKS)
def test_it_ends_as_documented(done, name, beside):
    """Clean where its places are known, held back where they are not: never refused, never an error."""
    _, outcome, _ = done(name, beside)
    assert isinstance(outcome, Cleaned if name in (CLEAN if beside else CLEAN_ALONE) else Quarantined), outcome


@pytest.mark.parametrize("name", sorted(CLEAN))
def test_it_is_a_slide_as_before(done, name):
    """OpenSlide says the same size, levels, resolution and magnification, and no label."""
    planted, outcome, _ = done(name, beside=True)
    with OpenSlide(planted.path) as before, OpenSlide(outcome.clean) as after:
        assert after.level_dimensions == before.level_dimensions
        for fact in ("mpp-x", "mpp-y"):
            known = before.properties.get(f"openslide.{fact}")
            assert known is None or float(after.properties[f"openslide.{fact}"]) == pytest.approx(
                float(known), rel=1e-6
            )
        assert not {"label", "macro"} & set(after.associated_images)


@pytest.mark.parametrize("name", LOOKS)
def test_each_is_full_of_identifiers(tmp_path, name):
    """Every page has its words, Make and Model, and every other tag; the pictures have names drawn into them."""
    planted = write(tmp_path, name)
    places = {one.place for one in planted.identifiers}
    look = LOOKS[name]
    for number, kind in enumerate(look.pages):
        assert {f"ifd[{number}]/{tag}" for tag in ("Make", "Model", "Artist", "65001", "IPTC/Caption")} <= places
        assert kind in TILED or kind == "thumbnail" or f"ifd[{number}]/image" in places
    with tifffile.TiffFile(planted.path) as tiff:
        assert len(tiff.pages) == len(look.pages)
    data = planted.path.read_bytes()
    assert [one.place for one in planted.identifiers if one.needle is not None and one.needle not in data] == []


def test_the_vendors_own_places_are_planted(tmp_path):
    """Written down from the PHI map, not taken from the generator."""
    wanted = {
        "kfbio": {"ifd[0]/Barcode"}, "motic": {"ifd[0]/Barcode"}, "mikroscan": {"ifd[0]/SL5 SERIAL"},
        "3dhistech": {"ifd[0]/Date", "ifd[0]/header"}, "grundium": {"ifd[0]/Serial"},
        "huron": {"ifd[0]/Scan Started", "ifd[0]/DeviceID", "ifd[0]/Barcode"},
        "argos": {"ifd[0]/Barcode", "ifd[0]/Scanner", "ifd[0]/AcquisitionDate", "ifd[0]/AcquisitionTime"},
        "qptiff": {f"ifd[0]/{key}" for key in ("SlideID", "Barcode", "ComputerName", "OperatorName", "ScanProfile")},
    }  # fmt: skip
    assert set(wanted) == set(LOOKS)
    for name, places in wanted.items():
        folder = tmp_path / name
        folder.mkdir()
        assert places <= {one.place for one in write(folder, name).identifiers}
