"""Who may do what: every route is in the table, and every role gets exactly what the table says."""

import httpx
import pytest
from starlette.routing import Mount

from coverslip.archive.states import State
from service.routes.images import ROUTES
from service.website import ROUTERS

ROLES = (None, "submitter", "other", "curator", "viewer", "ops", "admin")
EVERYBODY = frozenset(ROLES)
SIGNED_IN = EVERYBODY - {None}
CURATORS = frozenset({"curator", "admin"})
INSIDERS = CURATORS | {"submitter", "ops"}
"""Curators, ops, and the one who sent the slide in: facts and events, not pixels."""
OPS = frozenset({"ops", "admin"})
STAFF = CURATORS | OPS
ADMINS = frozenset({"admin"})
SUBMITTERS = frozenset({"submitter", "other", "admin"})

TABLE = {
    ("OPTIONS", "/uploads"): EVERYBODY,
    ("OPTIONS", "/uploads/{uid}"): EVERYBODY,
    ("POST", "/uploads"): SUBMITTERS,
    ("HEAD", "/uploads/{uid}"): frozenset({"submitter", "admin"}),
    ("PATCH", "/uploads/{uid}"): frozenset({"submitter", "admin"}),
    ("DELETE", "/uploads/{uid}"): frozenset({"submitter", "admin"}),
    ("GET", "/api/v1/slides"): EVERYBODY,
    ("GET", "/api/v1/slides/{sid}"): INSIDERS,
    ("GET", "/api/v1/slides/{sid}/events"): INSIDERS,
    ("GET", "/api/v1/slides/{sid}/report"): INSIDERS,
    ("POST", "/api/v1/slides/{sid}/transitions"): CURATORS,
    ("POST", "/api/v1/slides/{sid}/purge"): CURATORS,
    ("POST", "/slides/{sid}/purge"): CURATORS,
    ("GET", "/api/v1/queues"): OPS,
    ("GET", "/api/v1/openapi.json"): EVERYBODY,
    ("GET", "/api/v1/jobs/{job}"): STAFF | {"submitter"},
    ("POST", "/api/v1/jobs/{job}/cancel"): STAFF,
    ("POST", "/api/v1/jobs/{job}/priority"): STAFF,
    ("GET", "/api/v1/dead-letters"): STAFF,
    ("POST", "/api/v1/dead-letters/replay"): STAFF,
    ("POST", "/api/v1/dead-letters/{job}/replay"): STAFF,
    ("GET", "/api/v1/pauses"): OPS,
    ("POST", "/api/v1/pauses"): OPS,
    ("POST", "/api/v1/pauses/resume"): OPS,
    ("POST", "/ops/pauses"): OPS,
    ("POST", "/ops/replay"): OPS,
    ("POST", "/slides/{sid}/cancel"): STAFF,
    ("GET", "/keys"): ADMINS,
    ("GET", "/keys.json"): ADMINS,
    ("POST", "/keys"): ADMINS,
    ("POST", "/keys/{key}/revoke"): ADMINS,
    ("GET", "/"): EVERYBODY,
    ("GET", "/slides"): EVERYBODY,
    ("GET", "/slides.json"): EVERYBODY,
    ("GET", "/slides/{sid}"): INSIDERS,
    ("GET", "/slides/{sid}.json"): INSIDERS,
    ("POST", "/slides/{sid}/transitions"): CURATORS,
    ("GET", "/slides/{sid}/file"): CURATORS,
    ("GET", "/slides/{sid}.szi"): CURATORS,
    ("GET", "/slides/{sid}.zip"): CURATORS,
    ("GET", "/slides/{sid}/viewer"): CURATORS,
    ("POST", "/slides/decisions"): CURATORS,
    ("GET", "/embed/{sid}"): frozenset(),  # a frame knows nobody: released slides, or a link's token
    ("POST", "/slides/{sid}/links"): CURATORS,
    ("POST", "/api/v1/slides/{sid}/links"): CURATORS,
    ("GET", "/slides/{sid}/certificate"): INSIDERS,
    ("GET", "/slides/{sid}/certificate.json"): INSIDERS,
    ("GET", "/upload"): SUBMITTERS,
    ("GET", "/upload.json"): SUBMITTERS,
    ("GET", "/ops"): OPS,
    ("GET", "/ops.json"): OPS,
    ("GET", "/signin"): EVERYBODY,
    ("GET", "/signin.json"): EVERYBODY,
    ("POST", "/signin"): EVERYBODY,
    ("POST", "/signout"): EVERYBODY,
    ("GET", "/healthz"): EVERYBODY,
    ("GET", "/readyz"): EVERYBODY,
    ("GET", "/metrics"): OPS,
    # bare ASGI, beside the routers
    ("GET", "/slides/{sid}.dzi"): CURATORS,
    ("GET", "/slides/{sid}_files/9/0_0.jpg"): CURATORS,
    ("GET", "/slides/{sid}/thumbnail"): CURATORS,
    ("GET", "/slides/{sid}_files/9/0_0.png"): CURATORS,
    ("GET", "/slides/{sid}/levels"): CURATORS,
    ("GET", "/slides/{sid}/levels/0/tiles/0/0"): CURATORS,
    ("GET", "/slides/{sid}/tilejson.json"): CURATORS,
    ("GET", "/slides/{sid}/zxy/0/0/0.jpg"): CURATORS,
    ("GET", "/slides/{sid}/zoomify/ImageProperties.xml"): CURATORS,
    ("GET", "/slides/{sid}/zoomify/TileGroup0/0-0-0.jpg"): CURATORS,
    ("GET", "/slides/{sid}/region?x=0&y=0&w=9&h=9"): CURATORS,
    ("GET", "/slides/{sid}/pixel?x=0&y=0"): CURATORS,
    ("GET", "/slides/{sid}/histogram"): CURATORS,
    ("GET", "/slides/{sid}/tissue"): CURATORS,
    ("GET", "/slides/{sid}/icc"): CURATORS,
    ("GET", "/slides/{sid}/associated"): CURATORS,
    ("GET", "/slides/{sid}/associated/thumbnail"): CURATORS,
    ("GET", "/iiif/3/{sid}"): CURATORS,
    ("GET", "/iiif/3/{sid}/info.json"): CURATORS,
    ("GET", "/iiif/2/{sid}/info.json"): CURATORS,
    ("GET", "/iiif/3/{sid}/full/max/0/default.jpg"): CURATORS,
    ("GET", "/iiif/presentation/3/slides/{sid}/manifest"): CURATORS,
}
"""Route → who gets in, for a slide in review that `submitter` sent in."""

ENDLESS = {("GET", "/live")}
"""A stream that says nothing but "something changed", for everybody; tests/service/test_pages.py reads it."""


def test_every_route_is_in_the_table():
    """A route nobody decided about fails here."""
    found = set()
    for router in ROUTERS:
        for route in router.routes:
            assert not isinstance(route, Mount)
            found |= {
                (method, route.path) for method in route.methods or () if method != "HEAD" or "HEAD" in route.name
            }
    found |= {("HEAD", "/uploads/{uid}")}
    assert found - set(TABLE) - ENDLESS == set()


def test_every_picture_address_is_in_the_table():
    """The same for addresses beside the routers."""
    paths = {path.partition("?")[0].format(sid="x", uid="x", job="x", key="x") for _, path in TABLE}
    assert [route.pattern.pattern for route in ROUTES if not any(map(route.pattern.fullmatch, paths))] == []


@pytest.fixture(scope="module")
def things(house):
    """A slide in review and an open upload, both sent in by `submitter`."""
    return {"sid": house.slide(State.IN_REVIEW), "uid": announce(house)}


def announce(house):
    """A new upload of `submitter`."""
    with house.client("submitter", **{"Tus-Resumable": "1.0.0"}) as client:
        return client.post("/uploads", headers={"Upload-Length": "1000"}).headers["Location"].rsplit("/", 1)[1]


def used_up(house, method, path):
    """What a request may use up is made anew for it."""
    if "/dead-letters/{job}" in path:
        return {"job": house.dead_letter()}
    if path.endswith("/purge"):
        return {"sid": house.slide(State.IN_REVIEW)}
    if "/cancel" in path or "{job}" in path:
        sid = house.slide(State.QUEUED)
        return {"sid": sid, "job": house.archive.catalog.jobs(sid)[-1].id}
    if "{key}" in path:
        return {"key": house.archive.catalog.create_key("used up", {"viewer"}, "nobody")[0]}
    return {}


def ask(house, role, method, path):
    """One request as a role, shaped so that only permission can stand in the way."""
    headers = {"Tus-Resumable": "1.0.0", "Origin": house.url}
    more = {}
    if method == "PATCH":
        headers |= {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    if path == "/uploads":
        headers["Upload-Length"] = "10"
    if path.startswith("/api") and path.endswith("transitions"):
        more["json"] = {"to": "withdrawn"}
    elif path.endswith("transitions"):
        more["data"] = {"to": "withdrawn"}
    if path.startswith("/api") and "/pauses" in path:
        more["json"] = {"scope": "owner", "name": "nobody"}
    elif path.endswith("/purge"):
        more = {"json": {"reason": "x"}} if path.startswith("/api") else {"data": {"reason": "x", "sure": "yes"}}
    elif path.endswith("/priority"):
        more["json"] = {"priority": "later"}
    elif path == "/api/v1/dead-letters/replay":
        more["json"] = {"code": "child-crashed"}
    elif path == "/ops/pauses":
        more["data"] = {"act": "pause", "scope": "owner", "name": "nobody"}
    elif (method, path) == ("POST", "/keys"):
        more["data"] = {"owner": "somebody", "roles": ["viewer"]}
    elif path.endswith("decisions"):
        more["data"] = {"to": "released"}
    if path == "/signin":
        more = {"data": {"key": "csk_wrong"}} if method == "POST" else {}
    with house.client(role, **headers) as client:
        return client.request(method, path, **more)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path"), sorted(TABLE), ids=lambda value: str(value))
def test_roles(house, things, method, path, role):
    """Inside: no refusal. Outside: 401 for nobody (a page sends to the sign-in page), 403 or 404 for somebody."""
    if method == "DELETE" and role in TABLE[method, path]:
        things = things | {"uid": announce(house)}
    things = things | used_up(house, method, path)
    answer = ask(house, role, method, path.format(**things))
    if role in TABLE[method, path]:
        if method == "POST" and path.endswith("transitions"):
            # a slide in review cannot be withdrawn: permission is there, the table of moves says no
            assert answer.status_code == 409
        elif (method, path) == ("POST", "/signin"):
            assert answer.status_code == 401
        else:
            assert answer.status_code < 400, answer.text
    else:
        assert answer.status_code in ({401, 404, 303} if role is None else {403, 404}), answer.text


@pytest.mark.parametrize(
    "credential", ["Bearer csk_0000000000000000_" + "A" * 43, "Bearer x", "Basic YTpi", "Bearer " + "x" * 5000]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/uploads"), ("PATCH", "/uploads/{uid}"), ("DELETE", "/uploads/{uid}")]
)
def test_bad_credentials_change_nothing(house, things, method, path, credential):
    """A key that is none gets 401, and neither a row nor a byte exists afterwards."""
    before = [upload.offset for upload in house.archive.catalog.open_uploads("submitter")]
    headers = {"Authorization": credential, "Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Offset": "0"}
    headers["Content-Type"] = "application/offset+octet-stream"
    answer = httpx.request(method, house.url + path.format(**things), headers=headers, content=b"hello")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert [upload.offset for upload in house.archive.catalog.open_uploads("submitter")] == before


def test_revoked_key_is_out_at_once(house):
    """Revocation holds on the next request."""
    key_id, secret = house.archive.catalog.create_key("gone soon", {"ops"}, "ops2")
    headers = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{house.url}/ops.json", headers=headers).status_code == 200
    house.archive.catalog.revoke_key(key_id)
    assert httpx.get(f"{house.url}/ops.json", headers=headers).status_code == 401


def test_moves_follow_roles_and_states(house):
    """A curator releases and withdraws; the table of moves refuses the rest with 409."""
    sid = house.slide(State.IN_REVIEW)
    with house.client("curator") as client:
        where = f"/api/v1/slides/{sid}/transitions"
        assert client.post(where, json={"to": "withdrawn"}).status_code == 409
        assert client.post(where, json={"to": "released", "reason": "seen"}).json()["state"] == "released"
        assert client.post(where, json={"to": "released"}).status_code == 409
        assert client.post(where, json={"to": "withdrawn", "reason": "asked"}).json()["state"] == "withdrawn"
    assert [event.after for event in house.archive.catalog.events(sid)][-2:] == ["released", "withdrawn"]


def test_ops_queue_again(house):
    """Ops may send a slide back to the queue, and see no pixel of it."""
    sid = house.slide(State.QUARANTINED)
    assert house.client("ops").post(f"/api/v1/slides/{sid}/transitions", json={"to": "rejected"}).status_code == 403
    answer = house.client("ops").post(f"/api/v1/slides/{sid}/transitions", json={"to": "queued"})
    assert answer.json()["state"] == "queued"
