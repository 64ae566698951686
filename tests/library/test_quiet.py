"""Libraries must not print what they read."""

import subprocess
import sys

import pytest

from coverslip.geometry import Size
from samples import aperio


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A slide whose fields tifffile cannot parse and would quote."""
    return aperio.write(tmp_path_factory.mktemp("quiet") / "slide.svs", Size(600, 500), seed=11)


def test_no_library_prints_a_value(planted):
    """Reading a planted slide with every library prints nothing, also with logging turned all the way up."""
    program = (
        "import logging, sys; logging.basicConfig(level=0); import coverslip, tifffile\n"
        "from PIL import Image\n"
        "with tifffile.TiffFile(sys.argv[1]) as t: [str(tag) for page in t.pages for tag in page.tags]\n"
        "Image.open(sys.argv[1], formats=['TIFF']).load\n"
    )
    done = subprocess.run([sys.executable, "-c", program, planted.path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
