"""A policy that wants to keep what no clean slide can hears of it, and what it may keep comes out readable."""

import numpy as np
import pytest
from openslide import OpenSlide
from typer.testing import CliRunner

from coverslip import policy
from coverslip.cli import app
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned, Quarantined
from coverslip.pipeline import deidentify
from coverslip.policy.reach import out_of_reach
from samples import aperio


def written(folder, *paths):
    """A policy that keeps these places besides those of strict."""
    file = folder / "ours.toml"
    places = ", ".join(f'"{path}"' for path in paths)
    file.write_text(
        f'name = "ours"\nversion = 1\ndescription = ""\nextends = "strict"\n[[rule]]\nid = "more"\nreason = ""\n'
        f'action = "keep"\npaths = [{places}]\n'
    )
    return file


@pytest.mark.parametrize("name", policy.BUILTIN)
def test_the_built_in_ones_keep_what_can_be_kept(name):
    """Nothing to warn of."""
    assert list(out_of_reach(policy.load(name))) == []


@pytest.mark.parametrize(
    "path",
    [
        "ifd[*]/Artist", "ifd[0]/DateTime", "ifd[*]/image[label]", "ifd[3]/image[overview]", "ifd[*]/65000", "**",
        "ifd[*]/ImageDescription/Filename", "ifd[*]/ImageDescription/*", "file/name", "ifd[*]/tiles/COM",
    ],
)  # fmt: skip
def test_what_cannot_stay_is_named(tmp_path, path):
    """Words, private fields, pictures of the glass, and patterns that reach for them."""
    assert list(out_of_reach(policy.load(str(written(tmp_path, path))))) == [("more", path)]


def test_the_command_line_says_so(tmp_path):
    """`policy check` lists rule and place."""
    result = CliRunner().invoke(app, ["policy", "check", str(written(tmp_path, "ifd[*]/image[label]"))])
    assert result.exit_code == 0
    assert "no clean slide can keep" in result.stdout
    assert "no clean slide can keep" not in CliRunner().invoke(app, ["policy", "check", "strict"]).stdout


def test_a_thumbnail_that_stays_can_be_read(tmp_path):
    """Its strips come with the number of their rows, without which no reader finds the second."""
    source = aperio.write(tmp_path / "slide.svs", Size(900, 700)).path
    rules = policy.load(str(written(tmp_path, "ifd[1]/image[thumbnail]")))
    outcome = deidentify(source, tmp_path / "out", policy=rules, key=b"k" * 32)
    assert isinstance(outcome, Cleaned), outcome
    with OpenSlide(source) as before, OpenSlide(outcome.clean) as after:
        pictures = [np.asarray(slide.associated_images["thumbnail"]) for slide in (before, after)]
    assert np.array_equal(*pictures)


def test_a_label_that_should_stay_is_held_back(tmp_path):
    """The warning tells the truth."""
    source = aperio.write(tmp_path / "slide.svs", Size(900, 700)).path
    rules = policy.load(str(written(tmp_path, "ifd[*]/image[label]")))
    assert isinstance(deidentify(source, tmp_path / "out", policy=rules, key=b"k" * 32), Quarantined)
