"""A slide in full: levels, codec and profile as the files have them, licence and citation as the settings say."""

import openslide
import pytest

from coverslip.archive.states import State
from coverslip.pyramid import Pyramid
from coverslip.tiff.structure import open_tiff


@pytest.fixture(scope="module")
def detail(house):
    """What is told of a released slide."""
    with house.client() as client:
        return client.get(f"/api/v1/slides/{house.slide(State.RELEASED)}").json()


def test_native_levels_are_those_another_reader_sees(house, detail):
    """Sizes, downsamples, tiles and bytes of what the slide holds, with the numbers `/levels` has."""
    native = [level for level in detail["levels"] if level["native"]]
    with openslide.OpenSlide(house.tiled.clean) as slide:
        sizes = [(level["width"], level["height"]) for level in native]
        assert sizes == list(slide.level_dimensions)
        assert [level["downsample"] for level in native] == pytest.approx(slide.level_downsamples, rel=0.01)
        told = (native[0]["tile_w"], native[0]["tile_h"])
        assert told == (int(slide.properties["openslide.level[0].tile-width"]),) * 2
    counts = open_tiff(house.tiled.clean).pages[0].byte_counts
    assert native[0]["bytes"] == int(counts.sum())
    with house.client() as client:
        listed = client.get(f"/slides/{detail['sid']}/levels").json()["levels"]
    assert [level["index"] for level in native] == [level["index"] for level in listed]


def test_served_levels_are_listed_too(house, detail):
    """Each halving down to one pixel is there once, the largest first; what is made has no number and no bytes.

    The slide's own level may miss one by a pixel, and stands for it then.
    """
    sizes = [(level["width"], level["height"]) for level in detail["levels"]]
    with Pyramid.open(house.tiled.clean, house.tiled.index) as pyramid:
        for served in map(pyramid.grid.reduced, range(pyramid.dz_levels)):
            near = [1 for w, h in sizes if abs(w - served.width) <= 1 and abs(h - served.height) <= 1]
            assert near or (served.width, served.height) in sizes
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == len(set(sizes))
    assert {(level["index"], level["bytes"]) for level in detail["levels"] if not level["native"]} == {(None, None)}


def test_codec_and_profile(detail):
    """What a reader has to know before it asks for a tile."""
    assert (detail["codec"], detail["icc"]) == ("jpeg", True)


def test_licence_and_citation(house_with):
    """As released slides are to be used and cited; nothing where nobody said."""
    house = house_with(license_url="https://licence.example/by", cite_as="https://doi.example/10.1/x")
    with house.client() as client:
        told = client.get(f"/api/v1/slides/{house.slide(State.RELEASED)}").json()
    assert (told["licence"], told["doi"]) == ("https://licence.example/by", "https://doi.example/10.1/x")


def test_the_viewers_json_says_the_served_tile_size(house, detail):
    """OpenSeadragon divides by it: it is the pyramid's, whatever a record from before says."""
    with Pyramid.open(house.tiled.clean, house.tiled.index) as pyramid, house.client() as client:
        image = client.get(f"/slides/{detail['sid']}.json").json()["Image"]
        assert detail["tile_size"] == image["TileSize"] == pyramid.tile_size


@pytest.mark.parametrize("state", [State.QUEUED, State.QUARANTINED, State.WITHDRAWN])
def test_without_files_the_rest_is_told(house, state):
    """What has no files has no levels, and everything else."""
    with house.client("curator") as client:
        answer = client.get(f"/api/v1/slides/{house.slide(state)}")
    assert answer.status_code == 200
    assert (answer.json()["levels"], answer.json()["codec"]) == (None, None)


def test_a_bucket_is_not_emptied_for_it(house_with_bucket):
    """A slide that lies in a bucket is not fetched to be described: its pyramid says what it can."""
    house = house_with_bucket
    with house.client() as client:
        told = client.get(f"/api/v1/slides/{house.slide(State.RELEASED)}").json()
    assert (told["levels"][0]["width"], told["levels"][0]["native"], told["codec"]) == (700, True, None)
    assert not list(house.archive.storage.root.glob("copies/*"))
