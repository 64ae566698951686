"""Samples shown and stretched on request; planes that are not there are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from coverslip.archive.states import State

TILES = (
    "/slides/{}_files/9/0_0.png",
    "/slides/{}/zxy/2/0/0.png",
    "/slides/{}/region?x=0&y=0&w=256&h=256&level=0&fmt=png",
    "/iiif/3/{}/0,0,256,256/max/0/default.png",
)


@pytest.fixture(scope="module")
def released(house):
    """A slide anybody may see."""
    return house.slide(State.RELEASED)


@pytest.fixture(scope="module")
def seen(house, released):
    """The pixels an address gives, as numbers."""
    client = house.client()

    def see(path, query=""):
        joined = "&" if "?" in path else "?"
        answer = client.get(path.format(released) + (joined + query if query else ""))
        assert answer.status_code == 200
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)

    yield see
    client.close()


@pytest.mark.parametrize("path", TILES)
def test_samples_and_windows(seen, path):
    """What is not shown is black, what is shown is stretched between its own two values."""
    plain = seen(path)
    assert plain.std() > 0
    red = seen(path, "channels=0")
    assert (red[..., 0] == plain[..., 0]).all()
    assert not red[..., 1:].any()
    stretched = seen(path, "window=50,200")
    assert np.abs(stretched - np.clip((plain - 50) * 255 / 150, 0, 255)).max() <= 0.51
    both = seen(path, "channels=2,0&window=0,100,0,255")
    assert np.abs(both[..., 2] - np.clip(plain[..., 2] * 2.55, 0, 255)).max() <= 0.51
    assert (both[..., 0] == plain[..., 0]).all()
    assert (seen(path, "z=0&t=0") == plain).all()


def test_a_tile_that_asks_for_its_only_plane_is_the_stored_one(house, released):
    """`z=0` is no reason to encode again."""
    with house.client() as client:
        stored = client.get(f"/slides/{released}_files/9/0_0.jpg").content
        assert client.get(f"/slides/{released}_files/9/0_0.jpg?z=0").content == stored
        assert client.get(f"/slides/{released}_files/9/0_0.jpg?window=0,9").content != stored


WRONG = (
    *("z=1", "t=1", "z=-1", "z=", "channels=3", "channels=0,0", "channels=", "channels=r", "channels=0,1,2,0"),
    *("window=5", "window=9,9", "window=9,5", "window=0,256", "window=0,9,0", "channels=0&window=0,9,0,9"),
)


@pytest.mark.parametrize("query", WRONG)
@pytest.mark.parametrize("path", TILES)
def test_what_is_not_there_is_refused(house, released, path, query):
    """A plane, channel or window that does not exist is a typed 400, not ignored and not a crash."""
    with house.client() as client:
        answer = client.get(path.format(released) + ("&" if "?" in path else "?") + query)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")
