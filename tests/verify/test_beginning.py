"""A picture's directory shown to tifffile as the first one of its file."""

import io

import numpy as np
import pytest
import tifffile

from coverslip.verify.beginning import Beginning


@pytest.mark.parametrize("big", [False, True], ids=["classic", "BigTIFF"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["Intel", "Motorola"])
def test_any_directory_can_come_first(tmp_path, big, order):
    """tifffile reads the picture of the directory named, and no table of the ones before."""
    path, rng = tmp_path / "three.tiff", np.random.default_rng(1)
    pictures = [rng.integers(0, 255, (40 + number, 30, 3), np.uint8) for number in range(3)]
    with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as writer:
        for picture in pictures:
            writer.write(picture, photometric="rgb")
    with tifffile.TiffFile(path) as whole:
        offsets = [page.offset for page in whole.pages]
    for offset, picture in zip(offsets, pictures, strict=True):
        with path.open("rb") as file, tifffile.TiffFile(io.BufferedReader(Beginning(file, offset))) as tiff:
            assert tiff.pages.first.offset == offset
            assert np.array_equal(tiff.pages.first.asarray(), picture)


def test_a_place_no_header_can_name(tmp_path):
    """A classic header has 32 bits."""
    path = tmp_path / "one.tiff"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    with path.open("rb") as file, pytest.raises(OverflowError):
        Beginning(file, 1 << 32)
