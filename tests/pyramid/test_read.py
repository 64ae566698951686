"""Serving: addresses, validators, threads, thumbnails, exports."""

import errno
import io
import json
import os
import threading
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coverslip.errors import OutputExists, PyramidInvalid, TileNotFound
from coverslip.geometry import Size
from coverslip.pyramid import DeepZoom, Pyramid, build, export_dzi
from coverslip.pyramid.chain import z_order


@pytest.fixture
def pyramid(generated, built):
    """A pyramid of a small slide."""
    return built(generated("aperio", 1537, 1283, tile=240, quality=70))[0]


@pytest.mark.parametrize(
    ("width", "height", "largest"), [(1, 1, 0), (2, 1, 1), (256, 256, 8), (257, 1, 9), (100_000, 80_000, 17)]
)
def test_the_largest_dz_level_is_the_logarithm_rounded_up(width, height, largest):
    """`ceil(log2(max(width, height)))`, as every DeepZoom client computes it."""
    zoom = DeepZoom(Size(width, height), 256)
    assert zoom.largest == largest
    assert zoom.reduced(largest) == Size(1, 1)


def test_tiles_cover_each_level_exactly():
    """Extents add up to the level's size on odd sizes too."""
    zoom = DeepZoom(Size(1537, 1283), 240)
    for reduction in range(zoom.levels):
        size, grid = zoom.reduced(reduction), zoom.grid(reduction)
        assert sum(zoom.extent(reduction, column, 0).width for column in range(grid.width)) == size.width
        assert sum(zoom.extent(reduction, 0, row).height for row in range(grid.height)) == size.height


@pytest.mark.parametrize("grid", [Size(1, 1), Size(5, 3), Size(1, 9), Size(8, 8)])
def test_z_order_visits_every_cell_once_and_squares_together(grid):
    """All cells, none twice, and the four of an aligned square in a row."""
    cells = list(z_order(grid))
    assert sorted(cells) == [(column, row) for column in range(grid.width) for row in range(grid.height)]
    squares = [(column // 2, row // 2) for column, row in cells]
    changes = sum(1 for one, other in pairwise(squares) if one != other)
    assert changes == len(set(squares)) - 1


@pytest.mark.parametrize(
    "address", [(-1, 0, 0), (12, 0, 0), (11, 7, 0), (11, 0, 6), (11, -1, 0), (11, 0, -1), (0, 1, 0), (10**12, 0, 0)]
)
def test_addresses_outside_the_grid_do_not_exist(pyramid, address):
    """Bounds hold for tiles and for validators alike."""
    with pytest.raises(TileNotFound):
        pyramid.tile(*address)
    with pytest.raises(TileNotFound):
        pyramid.etag(*address)


def test_validators_are_strong_quoted_and_differ_by_tile_and_content(pyramid, generated, built):
    """One per tile, another one when the slide's bytes are other bytes."""
    tags = {pyramid.etag(11, column, row) for column in range(7) for row in range(6)}
    assert len(tags) == 42
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
    other = built(generated("aperio", 1537, 1283, tile=240, quality=70, seed=1))[0]
    assert other.etag(11, 0, 0) not in tags


def test_descriptors_say_what_openseadragon_needs(pyramid):
    """XML and JSON agree on size, tile size, overlap and format."""
    root = ET.fromstring(pyramid.descriptor())
    image = json.loads(pyramid.descriptor_json())["Image"]
    assert root.attrib == {"Format": "jpg", "Overlap": "0", "TileSize": "240"}
    assert root[0].attrib == {"Width": "1537", "Height": "1283"} == image["Size"]
    assert (image["TileSize"], image["Overlap"], image["Format"]) == ("240", "0", "jpg")


def test_a_tile_at_hand_is_the_tile(pyramid):
    """What is in memory is given without waiting, byte for byte; outside the grid nothing is."""
    for level in range(pyramid.dz_levels):
        tile, made = pyramid.tile(level, 0, 0), pyramid.on_request(level, 0, 0)
        assert pyramid.tile_at_hand(level, 0, 0) == (None if made else tile)
    assert pyramid.on_request(pyramid.dz_levels - 2, 0, 0)
    with pytest.raises(TileNotFound):
        pyramid.tile_at_hand(pyramid.dz_levels, 0, 0)


@pytest.mark.parametrize("says", [BlockingIOError(), OSError(errno.EOPNOTSUPP, "")])
def test_a_tile_that_may_need_the_disk_is_not_at_hand(pyramid, monkeypatch, says):
    """The kernel would have to wait, or cannot say: None, and `tile` gives it."""

    def refuse(*_):
        raise says

    monkeypatch.setattr(os, "preadv", refuse)
    assert pyramid.tile_at_hand(pyramid.dz_levels - 1, 0, 0) is None
    assert pyramid.tile(pyramid.dz_levels - 1, 0, 0)


def test_half_a_tile_is_not_at_hand(pyramid, monkeypatch):
    """Some of its bytes in memory and some not: None, never a tile that ends early."""
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset, flags: len(buffers[0]) - 1)
    assert pyramid.tile_at_hand(pyramid.dz_levels - 1, 0, 0) is None


def test_threads_share_a_pyramid(pyramid):
    """Eight threads read all tiles at once and see what one sees."""
    grid = pyramid.grid.grid(0)
    cells = [(11, column, row) for column in range(grid.width) for row in range(grid.height)]
    alone = [pyramid.tile(*cell) for cell in cells]
    seen = []
    threads = [threading.Thread(target=lambda: seen.append([pyramid.tile(*c) for c in cells])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [alone] * 8


def _descriptors():
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_files_are_closed_with_the_last_user(generated, tmp_path):
    """Closing twice does no harm, and forgetting to close leaks no descriptor."""
    slide = generated("aperio", 1537, 1283, tile=240, quality=70)
    build(slide, tmp_path / "a.pyramid")
    before = _descriptors()
    for _ in range(5):
        forgotten = Pyramid.open(slide, tmp_path / "a.pyramid")
        closed = Pyramid.open(slide, tmp_path / "a.pyramid")
        closed.close()
        closed.close()
    del forgotten, closed
    assert _descriptors() == before


def test_a_refused_index_leaks_no_descriptor(generated, tmp_path):
    """Opening fails cleanly."""
    slide = generated("aperio", 1537, 1283, tile=240, quality=70)
    (tmp_path / "bad").write_bytes(b"CVSLPYR\n" * 100)
    before = _descriptors()
    with pytest.raises(PyramidInvalid):
        Pyramid.open(slide, tmp_path / "bad")
    assert _descriptors() == before


@pytest.mark.parametrize(("width", "expected"), [(1, 1), (256, 256), (700, 700), (1537, 1537), (99_999, 1537), (0, 1)])
def test_thumbnails_have_the_width_asked_for_within_bounds(pyramid, width, expected):
    """Never wider than the slide, never without a pixel, always in proportion."""
    image = Image.open(io.BytesIO(pyramid.thumbnail(width)))
    assert image.width == expected
    assert abs(image.height - max(1, expected * 1283 / 1537)) <= 1


def test_a_thumbnail_shows_the_slide(pyramid, generated, openslide_levels, decibels):
    """Near the slide itself, reduced."""
    slide = generated("aperio", 1537, 1283, tile=240, quality=70)
    shown = np.asarray(Image.open(io.BytesIO(pyramid.thumbnail(300))))
    whole = Image.fromarray(openslide_levels(slide)[0])
    wanted = np.asarray(whole.resize((shown.shape[1], shown.shape[0]), Image.Resampling.BOX))
    assert decibels(shown, wanted) > 27


def test_an_exported_folder_holds_the_same_tiles(pyramid, tmp_path):
    """Every tile under DeepZoom's own name, bit for bit; a second export is refused."""
    descriptor = export_dzi(pyramid, tmp_path, "slide")
    assert descriptor.read_text() == pyramid.descriptor()
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jpg"))
    zoom = pyramid.grid
    assert len(files) == sum(zoom.grid(reduction).area for reduction in range(zoom.levels))
    for path in files:
        column, row = map(int, path.stem.split("_"))
        assert (tmp_path / path).read_bytes() == pyramid.tile(int(path.parent.name), column, row)
    with pytest.raises(OutputExists):
        export_dzi(pyramid, tmp_path, "slide")
    assert sorted(path.name for path in tmp_path.iterdir() if "slide" in path.name) == ["slide.dzi", "slide_files"]
