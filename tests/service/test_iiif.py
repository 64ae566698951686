"""IIIF: level 2 as its validator and its clients ask, and nothing that crashes the server."""

import io
from urllib.parse import quote

import numpy as np
import openslide
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from coverslip.archive.states import State
from coverslip.pyramid import Pyramid

WIDTH, HEIGHT = 700, 500


@pytest.fixture(scope="module")
def sid(house):
    """A slide anybody may see."""
    return house.slide(State.RELEASED)


@pytest.fixture(scope="module")
def client(house):
    """Somebody without a key."""
    with house.client() as found:
        yield found


@pytest.fixture(scope="module")
def truth(house):
    """What an independent reader shows of the whole slide."""
    with openslide.OpenSlide(house.tiled.clean) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))


@pytest.fixture(scope="module")
def picture(client, sid):
    """The picture a request is answered with: `picture("full/max/0/default.jpg")`."""

    def fetch(request, version=3):
        answer = client.get(f"/iiif/{version}/{sid}/{request}")
        assert answer.status_code == 200, answer.text
        return Image.open(io.BytesIO(answer.content))

    return fetch


def decibels(one, other):
    """Peak signal to noise ratio."""
    error = float(((np.asarray(one).astype(float) - other) ** 2).mean())
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("version", [2, 3])
def test_base_address_leads_to_the_description(client, sid, version):
    """303 to info.json, which names itself by the address it was asked at."""
    answer = client.get(f"/iiif/{version}/{sid}")
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"{client.base_url}/iiif/{version}/{sid}/info.json".replace("//iiif", "/iiif")
    info = client.get(answer.headers["Location"]).json()
    assert info["id" if version == 3 else "@id"] == answer.headers["Location"].removesuffix("/info.json")
    assert (info["width"], info["height"]) == (WIDTH, HEIGHT)
    assert info["protocol"] == "http://iiif.io/api/image"


def test_json_ld_for_who_asks(client, sid):
    """The media type follows Accept, and caches are told so."""
    plain = client.get(f"/iiif/3/{sid}/info.json")
    linked = client.get(f"/iiif/3/{sid}/info.json", headers={"Accept": "application/ld+json"})
    assert plain.headers["Content-Type"] == "application/json"
    assert linked.headers["Content-Type"] == 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'
    assert plain.headers["Vary"] == linked.headers["Vary"] == "Accept"
    assert plain.headers["ETag"] != linked.headers["ETag"]


@pytest.mark.parametrize("version", [2, 3])
def test_every_announced_tile_is_the_stored_one(house, client, sid, version):
    """Each tile of each scale factor has the size IIIF asks for and the bytes of the DeepZoom tile, edges included."""
    info = client.get(f"/iiif/{version}/{sid}/info.json").json()
    pyramid = Pyramid.open(house.tiled.clean, house.tiled.index)
    (tiles,), side = info["tiles"], info["tiles"][0]["width"]
    for halvings, factor in enumerate(tiles["scaleFactors"]):
        for x in range(0, WIDTH, side * factor):
            for y in range(0, HEIGHT, side * factor):
                width, height = min(side * factor, WIDTH - x), min(side * factor, HEIGHT - y)
                across, down = -(-width // factor), -(-height // factor)
                size = f"{across},{down}" if version == 3 else f"{across},"
                answer = client.get(f"/iiif/{version}/{sid}/{x},{y},{width},{height}/{size}/0/default.jpg")
                stored = pyramid.tile(pyramid.dz_levels - 1 - halvings, x // side // factor, y // side // factor)
                assert answer.content == stored
                assert Image.open(io.BytesIO(stored)).size == (across, down)
    pyramid.close()


def test_sizes_fit_the_scale_factors(client, sid, picture):
    """Each announced size is given, and belongs to a scale factor."""
    info = client.get(f"/iiif/3/{sid}/info.json").json()
    factors = info["tiles"][0]["scaleFactors"]
    assert [(s["width"], s["height"]) for s in info["sizes"]] == [
        (-(-WIDTH // factor), -(-HEIGHT // factor)) for factor in reversed(factors)
    ]
    for size in info["sizes"]:
        assert picture(f"full/{size['width']},{size['height']}/0/default.png").size == (size["width"], size["height"])


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ("full", (0, 0, 700, 500)),
        ("square", (100, 0, 600, 500)),
        ("10,20,300,200", (10, 20, 310, 220)),
        ("600,400,300,300", (600, 400, 700, 500)),
        ("pct:10,20,50,40", (70, 100, 420, 300)),
    ],
)
def test_regions(picture, truth, region, box):
    """Every form of region shows what an independent reader shows there."""
    found = picture(f"{region}/max/0/default.png")
    left, top, right, bottom = box
    assert found.size == (right - left, bottom - top)
    assert decibels(found, truth[top:bottom, left:right]) >= 38


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("max", (700, 500)),
        ("350,", (350, 250)),
        (",100", (140, 100)),
        ("200,300", (200, 300)),
        ("!200,300", (200, 143)),
        ("pct:50", (350, 250)),
        ("pct:12.5", (88, 62)),
        ("1,", (1, 1)),
    ],
)
def test_sizes(picture, size, expected):
    """Every form of size."""
    assert picture(f"full/{size}/0/default.jpg").size == expected


@pytest.mark.parametrize("width", [333, 500, 650])
def test_sizes_between_levels_look_like_the_slide(picture, truth, width):
    """Sizes that are no level's are resampled from the level above."""
    found = picture(f"full/{width},/0/default.png")
    wanted = Image.fromarray(truth).resize(found.size, Image.Resampling.BICUBIC)
    assert decibels(found, np.asarray(wanted)) >= 30


@pytest.mark.parametrize(("turn", "quarters"), [(90, 3), (180, 2), (270, 1), (360, 0)])
def test_right_angles_lose_nothing(picture, truth, turn, quarters):
    """Turned clockwise without touching a pixel; mirrored first where asked."""
    plain = np.asarray(picture("10,20,300,200/max/0/default.png"))
    assert np.array_equal(np.asarray(picture(f"10,20,300,200/max/{turn}/default.png")), np.rot90(plain, quarters))
    mirrored = np.asarray(picture(f"10,20,300,200/max/!{turn}/default.png"))
    assert np.array_equal(mirrored, np.rot90(plain[:, ::-1], quarters))


def test_other_angles(picture):
    """The picture grows, its centre stays, and what is not picture is clear where the format knows clear."""
    turned = picture("100,100,300,300/max/45/default.png")
    assert turned.mode == "RGBA"
    assert turned.size[0] in range(423, 428)
    assert turned.getpixel((0, 0))[3] == 0
    assert picture("100,100,300,300/max/45/default.jpg").getpixel((0, 0)) <= (5, 5, 5)
    assert picture("100,100,300,300/max/45/bitonal.jpg").size == turned.size


@pytest.mark.parametrize("fmt", ["jpg", "png", "webp"])
def test_a_ground_for_what_is_left_bare(client, sid, fmt):
    """Corners of a turned picture take `bg`; where nothing is bare it changes neither bytes nor tag."""
    where = f"/iiif/3/{sid}/0,0,200,200/100,/{{}}/default.{fmt}"
    answer = client.get(where.format(45), params={"bg": "00Ff00", "quality": 95})
    found = Image.open(io.BytesIO(answer.content))
    assert found.mode == "RGB"
    assert np.abs(np.asarray(found)[1, 1].astype(int) - (0, 255, 0)).max() < 8
    for turn in (0, 90):
        plain, grounded = (client.get(where.format(turn), params=more) for more in ({}, {"bg": "00ff00"}))
        assert plain.headers["ETag"] == grounded.headers["ETag"]
        assert plain.content == grounded.content
    for wrong in ("red", "00ff0", "00ff000", "#00ff00"):
        assert client.get(where.format(45), params={"bg": wrong}).status_code == 400


def test_quality_of_a_picture(client, sid):
    """Fewer bytes for who asks for less, another tag, and 400 for what is no quality."""
    where = f"/iiif/2/{sid}/0,0,300,300/200,/0/default.jpg"
    low, high = (client.get(where, params={"quality": quality}) for quality in (20, 95))
    assert len(low.content) < len(high.content)
    assert low.headers["ETag"] != high.headers["ETag"]
    assert client.get(where, params={"quality": 0}).status_code == 400


def test_qualities_and_formats(picture):
    """Grey is grey, bitonal has two values, and each format is what it says."""
    grey = np.asarray(picture("0,0,300,300/max/0/gray.png").convert("RGB")).astype(int)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert set(np.unique(np.asarray(picture("0,0,300,300/max/0/bitonal.png").convert("L")))) <= {0, 255}
    for name, format_ in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
        assert picture(f"0,0,300,300/max/0/color.{name}").format == format_


def test_canonical_link(client, sid):
    """Every way to ask for the same picture names the same address, which gives it, and has the same tag."""
    answers = [
        client.get(f"/iiif/3/{sid}/{request}")
        for request in ("pct:0,0,100,100/350,/0/color.png", "0,0,700,500/350,250/360/default.png")
    ]
    (one, other) = (answer.headers["Link"].split('rel="profile", <')[1].split(">")[0] for answer in answers)
    assert one == other
    assert one.endswith(f"/iiif/3/{sid}/full/350,250/0/default.png")
    assert client.get(one).content == answers[0].content == answers[1].content


@pytest.mark.parametrize(
    "request_",
    [
        "0,0,0,10/max/0/default.jpg",
        "700,0,10,10/max/0/default.jpg",
        "-1,0,10,10/max/0/default.jpg",
        "pct:100,0,10,10/max/0/default.jpg",
        "1,2,3/max/0/default.jpg",
        "full/701,/0/default.jpg",
        "full/,501/0/default.jpg",
        "full/0,10/0/default.jpg",
        "full/,/0/default.jpg",
        "full/!10,/0/default.jpg",
        "full/pct:101/0/default.jpg",
        "full/pct:0/0/default.jpg",
        "full/full/0/default.jpg",
        "full/max/361/default.jpg",
        "full/max/x/default.jpg",
        "full/max/0/colour.jpg",
        "full/max/0/default.gif",
        "full/max/0/default",
        "full/٣,/0/default.jpg",
    ],
)
def test_malformed_requests(client, sid, request_):
    """What does not parse or cannot be is 400, with a body of ours."""
    answer = client.get(f"/iiif/3/{sid}/{quote(request_)}")
    assert (answer.status_code, answer.json()["code"]) == (400, "address-invalid")


@pytest.mark.parametrize("size", ["^max", "^800,", "^pct:200", "^!2000,2000", "^,600"])
def test_enlarging_is_not_offered(client, sid, size):
    """501, as IIIF says for a feature that is missing."""
    answer = client.get(f"/iiif/3/{sid}/full/{size}/0/default.jpg")
    assert (answer.status_code, answer.json()["code"]) == (501, "feature-unsupported")


def test_manifest(client, sid):
    """One canvas of the slide's size, painted by an image service that is there."""
    content = client.get(f"/iiif/presentation/3/slides/{sid}/manifest").json()
    (canvas,) = content["items"]
    body = canvas["items"][0]["items"][0]["body"]
    assert (canvas["width"], canvas["height"]) == (WIDTH, HEIGHT)
    assert client.get(f"{body['service'][0]['id']}/info.json").json()["type"] == "ImageService3"
    assert client.get(body["id"]).status_code == client.get(content["thumbnail"][0]["id"]).status_code == 200
    assert {"label": {"en": ["Magnification"]}, "value": {"none": ["20×"]}} in content["metadata"]


WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#%"), min_size=1, max_size=12)
NUMBER = st.one_of(st.integers(0, 1000), st.integers(0, 10**10)).map(str)
REGION = st.one_of(
    WORD,
    st.just("full"),
    st.tuples(NUMBER, NUMBER, NUMBER, NUMBER).map(",".join),
    st.tuples(NUMBER, NUMBER, NUMBER, NUMBER).map(lambda parts: "pct:" + ",".join(parts)),
)
SIZE = st.one_of(
    WORD, st.just("max"), st.tuples(st.sampled_from(["", "!"]), NUMBER, NUMBER).map(lambda p: f"{p[0]}{p[1]},{p[2]}")
)
LAST = st.sampled_from(["default.jpg", "gray.png", "bitonal.webp", "bitonal.jpg", "color.webp", "x.y"])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(REGION, SIZE, st.one_of(WORD, NUMBER), LAST, st.sampled_from([2, 3]))
def test_nothing_asked_breaks_the_server(client, sid, region, size, rotation, last, version):
    """Whatever the parameters: a picture, or a refusal that says why."""
    answer = client.get(f"/iiif/{version}/{sid}/{quote(region)}/{quote(size)}/{quote(rotation)}/{last}")
    assert answer.status_code in {200, 400, 404, 501}, (region, size, rotation, answer.text)
