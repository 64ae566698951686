"""What the confined child says of a clean slide is what the clean slide is, not what its source was."""

from contextlib import closing

import pytest

from coverslip.confined.messages import Made, Task
from coverslip.confined.slides import deidentify
from coverslip.progress import silent
from coverslip.pyramid import Pyramid, build
from coverslip.tiff.structure import open_tiff
from samples import mirax
from workers import work


@pytest.mark.parametrize("told", [deidentify, work.deidentify])
def test_the_tile_size_is_the_clean_slides(tmp_path, told):
    """A converted slide is cut anew: its tiles are as large as its pyramid serves them, whatever the scanner's were."""
    source, out = tmp_path / "in" / "slide.mrxs", tmp_path / "out"
    source.parent.mkdir()
    out.mkdir()
    mirax.write(source, columns=3, rows=2)
    made = told(Task(source, out, "strict", bytes(32)), silent)
    assert isinstance(made, Made)
    assert made.route == "converted"
    clean = out / made.clean_name
    with closing(open_tiff(clean)) as tiff:
        assert made.tile_size == tiff.pages[0].tile_size.width
    build(clean, tmp_path / "slide.pyramid")
    with Pyramid.open(clean, tmp_path / "slide.pyramid") as pyramid:
        assert made.tile_size == pyramid.tile_size


def test_a_strip_of_a_real_slide(tmp_path, real_slide):
    """An NDPI whose levels are one strip each says 256, as its clean copy has it, and not the strip's width."""
    made = deidentify(Task(real_slide("hamamatsu/test3-DAPI.ndpi"), tmp_path, "strict", bytes(32)), silent)
    assert isinstance(made, Made)
    assert made.tile_size == 256
