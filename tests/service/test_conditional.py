"""Who has something already is told so; who decides on something old is stopped; ranges are what RFC 9110 says."""

import base64
import hashlib
import io
import zipfile
from email.utils import formatdate, parsedate_to_datetime

import pytest

from coverslip.archive.states import State
from coverslip.errors import Outdated
from coverslip.pyramid import Pyramid

TILE = "/slides/{}_files/9/0_0.jpg"
DATED = (TILE, "/slides/{}.dzi", "/slides/{}/thumbnail", "/slides/{}/region?x=0&y=0&w=9&h=9", "/slides/{}/histogram")
WHOLE = ("/slides/{}/file", "/slides/{}.szi", "/slides/{}.zip")


@pytest.fixture(scope="module")
def released(house):
    """A slide anybody may see."""
    return house.slide(State.RELEASED)


@pytest.mark.parametrize("path", [*DATED, *WHOLE])
def test_by_tag_and_by_date(house, released, path):
    """The second look costs nothing, by either validator; a tag wins over a date, a broken date is ignored."""
    where = path.format(released)
    with house.client() as client:
        first = client.get(where)
        tag, date = first.headers["ETag"], first.headers["Last-Modified"]
        before = formatdate(parsedate_to_datetime(date).timestamp() - 1, usegmt=True)
        asked = {
            304: [
                {"If-None-Match": tag},
                {"If-Modified-Since": date},
                {"If-None-Match": tag, "If-Modified-Since": before},
            ],
            200: [{"If-None-Match": '"other"', "If-Modified-Since": date}, {"If-Modified-Since": before}],
        }
        asked[200] += [{"If-Modified-Since": "yesterday"}, {"If-Modified-Since": "Mon, 99 Nov 99999 00:00:00 GMT"}]
        for status, headers in ((status, headers) for status, many in asked.items() for headers in many):
            again = client.get(where, headers=headers)
            assert again.status_code == status, headers
            assert again.headers["ETag"] == tag
            assert again.headers["Last-Modified"] == date
            assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
            assert bool(again.content) is (status == 200)


@pytest.mark.parametrize("path", [*DATED, *WHOLE, "/api/v1/slides/{}"])
def test_who_wants_something_else_is_told(house, released, path):
    """If-Match and If-Unmodified-Since on a GET: what is not as it was is 412, and a tag wins over a date."""
    where = path.format(released)
    with house.client() as client:
        first = client.get(where)
        tag = first.headers["ETag"]
        asked = {
            200: [{"If-Match": tag}, {"If-Match": f'"x", {tag}'}, {"If-Match": "*"}],
            412: [{"If-Match": '"other"'}, {"If-Match": f"W/{tag}"}, {"If-Match": '"x"', "If-None-Match": tag}],
        }
        if "Last-Modified" in first.headers:
            date = first.headers["Last-Modified"]
            before = formatdate(parsedate_to_datetime(date).timestamp() - 1, usegmt=True)
            asked[200] += [{"If-Unmodified-Since": date}, {"If-Match": tag, "If-Unmodified-Since": before}]
            asked[200] += [{"If-Unmodified-Since": "yesterday"}]
            asked[412] += [{"If-Unmodified-Since": before}]
        for status, headers in ((status, headers) for status, many in asked.items() for headers in many):
            again = client.get(where, headers=headers)
            assert again.status_code == status, headers
            assert status == 200 or again.json()["code"] == "outdated"
        assert client.get(where, headers={"If-None-Match": tag}).status_code == 304


def test_a_zip_is_the_folder(house, released):
    """Unpacked on any web server it is a DeepZoom image: the descriptor and the tiles as they are served."""
    with house.client() as client:
        answer = client.get(f"/slides/{released}.zip")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{released}.zip"'
        descriptor = client.get(f"/slides/{released}.dzi").text
    with (
        zipfile.ZipFile(io.BytesIO(answer.content)) as found,
        Pyramid.open(house.tiled.clean, house.tiled.index) as tiles,
    ):
        assert found.testzip() is None
        names = set(found.namelist())
        assert found.read(f"{released}.dzi").decode() == descriptor
        for level in range(tiles.dz_levels):
            grid = tiles.grid.grid(tiles.grid.largest - level)
            for column, row in ((c, r) for c in range(grid.width) for r in range(grid.height)):
                name = f"{released}_files/{level}/{column}_{row}.jpg"
                assert found.read(name) == tiles.tile(level, column, row)
                names.remove(name)
    assert names == {f"{released}.dzi"}


def test_a_zip_of_a_slide_in_review_is_not_for_everybody(house):
    """Curators get it, with a header that keeps it out of caches; others learn nothing."""
    sid = house.slide(State.IN_REVIEW)
    assert house.client().get(f"/slides/{sid}.zip").status_code == 404
    answer = house.client("curator").head(f"/slides/{sid}.zip")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "private, no-store")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Range": "bytes=0-9"}, 206, None),
        ({"Range": "bytes=-5"}, 206, None),
        ({"Range": "bytes=999999999-"}, 416, "range-outside"),
        ({"Range": "bytes=9-5"}, 400, "malformed-request"),
        ({"Range": "bytes=0-9", "If-Range": '"other"'}, 200, None),
        ({"Range": "Bytes=0-9"}, 206, None),
        ({"Range": "lines=0-9"}, 200, None),
        ({"Range": "nonsense"}, 200, None),
    ],
)
@pytest.mark.parametrize("path", WHOLE)
def test_ranges_of_a_file(house, released, path, headers, status, code):
    """A part, the whole, or a refusal in our own words that still says how long it is; an unknown unit is ignored."""
    where = path.format(released)
    with house.client() as client:
        whole = client.get(where)
        answer = client.get(where, headers=headers)
        assert client.head(where, headers={"Range": "bytes=0-9"}).status_code == 200  # ranges are for GET
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert answer.status_code == status
    length = len(whole.content)
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{length}"
    if code is not None:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == code
    else:
        assert int(answer.headers["Content-Length"]) == len(answer.content)
        assert status == 200 or answer.content in (whole.content[:10], whole.content[-5:])


@pytest.mark.parametrize("path", WHOLE)
def test_a_broken_download_goes_on(house, released, path):
    """Two halves asked for one after the other are the whole, as long as it is still the same."""
    where = path.format(released)
    with house.client() as client:
        whole = client.get(where)
        half = len(whole.content) // 2
        headers = {"If-Range": whole.headers["ETag"]}
        first = client.get(where, headers={**headers, "Range": f"bytes=0-{half - 1}"})
        rest = client.get(where, headers={**headers, "Range": f"bytes={half}-"})
    assert rest.headers["Content-Range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
    assert first.content + rest.content == whole.content


@pytest.mark.parametrize("path", WHOLE)
def test_a_digest_is_told_once_it_is_known(house, path):
    """Of a file always; of an archive as soon as it was made once (RFC 9530)."""
    where = path.format(house.slide(State.RELEASED))
    with house.client() as client:
        first, again = client.get(where), client.head(where)
    digest = base64.b64encode(hashlib.sha256(first.content).digest()).decode()
    assert again.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert first.headers.get("Repr-Digest") in (None, again.headers["Repr-Digest"])


def test_a_decision_on_something_old_is_refused(house):
    """Two curators look, one rejects: the other's release of what was seen before is 412 and changes nothing."""
    sid = house.slide(State.IN_REVIEW)
    where = f"/api/v1/slides/{sid}"
    with house.client("curator") as client:
        seen = client.get(where).headers["ETag"]
        first = client.post(f"{where}/transitions", json={"to": "rejected"}, headers={"If-Match": f'"x", {seen}'})
        second = client.post(f"{where}/transitions", json={"to": "released"}, headers={"If-Match": seen})
        assert (first.status_code, second.status_code, second.json()["code"]) == (200, 412, "outdated")
        now = client.get(where)
        assert now.json()["state"] == "rejected"
        assert now.headers["ETag"] == first.headers["ETag"] != seen


@pytest.mark.parametrize("tag", ["*", None, "W/{}"])
def test_other_conditions(house, tag):
    """`*` and no condition let a decision through; a weak tag never matches (RFC 9110, 13.1.1)."""
    sid = house.slide(State.IN_REVIEW)
    where = f"/api/v1/slides/{sid}"
    with house.client("curator") as client:
        headers = {"If-Match": tag.format(client.get(where).headers["ETag"])} if tag else {}
        answer = client.post(f"{where}/transitions", json={"to": "released"}, headers=headers)
    assert answer.status_code == (412 if tag and tag.startswith("W") else 200)


def test_the_condition_holds_inside_the_transaction(house):
    """A move that another one overtook between question and transaction is refused as well."""
    sid = house.slide(State.IN_REVIEW)
    seen = house.archive.catalog.slide(sid).version
    house.archive.transition(sid, State.RELEASED, "curator", expected=seen)
    with pytest.raises(Outdated):
        house.archive.transition(sid, State.WITHDRAWN, "curator", expected=seen)
    assert house.archive.catalog.slide(sid).state is State.RELEASED
