"""The OME-TIFF reader among the others: what it takes, what it leaves, and what it says of a slide."""

import pytest

from coverslip.elements import ImageRole
from coverslip.errors import UnsupportedSlide
from coverslip.formats import choose, open_slide
from coverslip.geometry import Mpp, Size
from coverslip.pipeline import Rejected, deidentify
from coverslip.policy import load
from coverslip.slide import Planes
from samples import aperio, generic, ome

SMALL = {"tile": 64, "downsamples": (1, 2), "identifiers": False}


@pytest.mark.parametrize(
    ("make", "reader"),
    [
        (lambda path: ome.write(path, Size(200, 150), z=2, **SMALL), "ome-tiff"),
        (lambda path: ome.write(path, Size(200, 150), rgb=True, codec="jpeg", **SMALL), "ome-tiff"),
        (lambda path: generic.write(path, Size(200, 150), ome=True, **SMALL), "ome-tiff"),
        (lambda path: generic.write(path, Size(200, 150), **SMALL), "generic-tiff"),
        (lambda path: aperio.write(path, Size(200, 150), **SMALL), "aperio"),
    ],
)
def test_who_takes_what(tmp_path, make, reader):
    """Content decides: the file's ending is the same for all."""
    path = tmp_path / "x.tiff"
    make(path)
    assert choose(path)[0].name == reader


def test_it_says_why_it_declines(tmp_path):
    """`inspect --why` has a sentence for every reader that was asked before."""
    path = tmp_path / "x.tiff"
    generic.write(path, Size(200, 150), **SMALL)
    assert choose(path)[1]["ome-tiff"] == "its first description is no OME-XML"


def test_facts_of_the_real_slide(real_slide):
    """Resolution out of the block, where the resolution fields say it less exactly."""
    slide = open_slide(real_slide("ome-tiff/OS-1-detail.ome.tif"))
    assert slide.facts.mpp == Mpp(0.2270972430394695, 0.22710240047237298)
    assert (slide.facts.vendor, slide.facts.planes) == ("ome-tiff", Planes(1, 1, 1))
    slide.close()


def test_pages_of_a_stack(tmp_path):
    """Planes in the file's order, each with its levels behind it; facts are those of one plane."""
    path = ome.write(tmp_path / "x", Size(200, 150), z=2, channels=2, **SMALL).path
    slide = open_slide(path)
    assert [page.directory.path for page in slide.pages][:4] == ["ifd[0]", "ifd[0.0]", "ifd[1]", "ifd[1.0]"]
    assert [page.role for page in slide.pages] == [ImageRole.BASE, ImageRole.LEVEL] * 4
    assert [level.size for level in slide.facts.levels] == [Size(200, 150), Size(100, 75)]
    assert slide.facts.planes == Planes(2, 2, 1, 1.5)
    slide.close()


def test_strips_stay_refused(tmp_path):
    """A z-stack in strips: no reader of ours takes it, OpenSlide shows none of it, so nothing is converted either."""
    import numpy as np
    import tifffile

    path = tmp_path / "x.ome.tiff"
    tifffile.imwrite(path, np.zeros((3, 90, 120), np.uint16), metadata={"axes": "ZYX"})
    with pytest.raises(UnsupportedSlide):
        open_slide(path)
    outcome = deidentify(path, tmp_path / "out", policy=load("strict"), key=b"k" * 32)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "unsupported-slide"
