"""The command makes what it is asked for."""

import openslide
import pytest
from typer.testing import CliRunner

from samples.__main__ import app
from samples.identifiers import load


@pytest.mark.parametrize(
    ("arguments", "vendor"),
    [
        (["aperio", "x.svs", "--size", "600x400", "--no-trap", "slide-3", "--downsamples", "1,2"], "aperio"),
        (["generic", "x.tiff", "--size", "600x400", "--codec", "lzw", "--predictor", "2"], "generic-tiff"),
        (["ome", "x.ome.tiff", "--size", "300x200", "--z", "2", "--channels", "2", "--tile", "64"], "generic-tiff"),
        (["lookalike", "x.svs", "--name", "grundium"], "aperio"),
        (["mirax", "x.mrxs", "--columns", "4", "--rows", "4"], "mirax"),
    ],
)
def test_a_slide_and_its_list_are_written(tmp_path, monkeypatch, arguments, vendor):
    """OpenSlide opens the slide, and the list beside it names identifiers."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    with openslide.OpenSlide(arguments[1]) as slide:
        assert slide.properties["openslide.vendor"] == vendor
    planted = load(tmp_path / arguments[1])
    assert planted.identifiers
    assert "slide-3" not in planted.traps


def test_a_size_that_is_none_is_refused(tmp_path):
    """With a word on what a size looks like."""
    result = CliRunner().invoke(app, ["aperio", str(tmp_path / "x.svs"), "--size", "large"])
    assert result.exit_code == 2
    assert "WIDTHxHEIGHT" in result.output
    assert not list(tmp_path.iterdir())
