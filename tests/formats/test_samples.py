"""Samples beside the colours: a fourth one is a picture that no viewer shows and nobody can judge."""

import numpy as np
import pytest
import tifffile

from coverslip.outcomes import Cleaned, Quarantined
from coverslip.pipeline import deidentify
from coverslip.policy import load

PIXELS = np.kron(np.random.default_rng(1).integers(60, 230, (8, 8, 3), np.uint8), np.ones((32, 32, 1), np.uint8))
HIDDEN = np.random.default_rng(2).integers(0, 255, (256, 256, 1), np.uint8)
FOUR = np.concatenate([PIXELS, HIDDEN], axis=2)
LAYOUTS = {
    "alpha": (FOUR, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "opaque alpha": (
        np.dstack([PIXELS, np.full_like(HIDDEN, 255)]),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "one of no kind": (FOUR, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
    "two": (np.concatenate([FOUR, HIDDEN], axis=2), {"photometric": "rgb", "extrasamples": ["unspecified"] * 2}),
    "beside grey": (FOUR[..., 2:], {"photometric": "minisblack", "extrasamples": ["unspecified"]}),
    "four planes": (np.moveaxis(FOUR, 2, 0), {"photometric": "rgb", "extrasamples": [0], "planarconfig": "separate"}),
}
COLOURS = {
    "rgb": (PIXELS, {"photometric": "rgb"}),
    "grey": (PIXELS[..., 0], {"photometric": "minisblack"}),
    "white is zero": (PIXELS[..., 0], {"photometric": "miniswhite"}),
}


def cleaned(tmp_path, pixels, options, name="slide.tif"):
    """What becomes of such a slide."""
    tifffile.imwrite(tmp_path / name, pixels, tile=(64, 64), compression="zlib", **options)
    return deidentify(tmp_path / name, tmp_path / "out", policy=load("strict"), key=b"k" * 32)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_sample_that_nobody_sees_is_not_copied(tmp_path, name):
    """Whatever it holds: an alpha that is opaque everywhere cannot be told from a label without decoding it."""
    outcome = cleaned(tmp_path, *LAYOUTS[name])
    assert isinstance(outcome, Quarantined)
    assert outcome.code == "unknown-structure"
    assert not list((tmp_path / "out").glob("*.tif*"))


def test_nor_is_one_of_an_ome_tiff(tmp_path):
    """Declared as a channel of four samples."""
    options = {**LAYOUTS["alpha"][1], "metadata": {"axes": "YXS"}}
    outcome = cleaned(tmp_path, FOUR, options, "slide.ome.tif")
    assert isinstance(outcome, Quarantined)
    assert outcome.code == "unknown-structure"


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are(tmp_path, name):
    """One sample or three, as the page calls them."""
    assert isinstance(cleaned(tmp_path, *COLOURS[name]), Cleaned)
