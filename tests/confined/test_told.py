"""What the confined child says of a clean slide is what the clean slide is, not what its source was."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from coverslip.confined.layers import Limits
from coverslip.confined.messages import Made, Task
from coverslip.confined.supervisor import Zygote
from coverslip.progress import silent
from coverslip.pyramid import Pyramid, build
from coverslip.tiff.structure import open_tiff
from samples import mirax

AMPLE = Limits(memory=4 << 30, cpu=timedelta(minutes=2), wall=timedelta(minutes=5), output=1 << 30)


def told(module, source, out):
    """What a child says that this module's work was done in: it limits its own process, so it may not be ours."""
    with Zygote(module) as zygote:
        task = Task(source, out, "strict", bytes(32), also=tuple(filter(Path.exists, (source.with_suffix(""),))))
        return zygote.run(f"{module}:deidentify", task, AMPLE, progress=silent)


@pytest.mark.parametrize("module", ["coverslip.confined.slides", "workers.work"])
def test_the_tile_size_is_the_clean_slides(tmp_path, module):
    """A converted slide is cut anew: its tiles are as large as its pyramid serves them, whatever the scanner's were."""
    source, out = tmp_path / "in" / "slide.mrxs", tmp_path / "out"
    source.parent.mkdir()
    out.mkdir()
    mirax.write(source, columns=3, rows=2)
    made = told(module, source, out)
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
    made = told("coverslip.confined.slides", real_slide("hamamatsu/test3-DAPI.ndpi"), tmp_path)
    assert isinstance(made, Made)
    assert made.tile_size == 256
