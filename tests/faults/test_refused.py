"""Whoever may not, stores nothing: every route that changes something, with every credential that is no good."""

import asyncio
import hashlib
import re
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import itsdangerous.timed
import pytest

from coverslip.archive.archive import Archive
from coverslip.settings import Settings
from service.main import create_app
from service.safety import principal_of_key, session_key
from service.sessions import LIFETIME, Sessions
from service.website import ROUTERS
from tests.faults.rig import upload

SAFE = {"GET", "HEAD", "OPTIONS"}
MUTATING = sorted(
    (method, route.path) for router in ROUTERS for route in router.routes for method in set(route.methods) - SAFE
)
BODY = 1 << 20
PIECE = 16 << 10
WISH = {"to": "rejected", "reason": "x"}
"""What a curator would send; routes that want other words refuse it, with or without a good key."""
REFUSED = {303, *range(400, 500)}
"""303: a page leads to the sign-in page."""
OPEN_TO_ALL = {("POST", "/signin"), ("POST", "/signout")}
"""They answer anybody, and store nothing for anybody."""


class House:
    """A front end in this process, an upload and a slide somebody else owns, and credentials of no use."""

    def __init__(self, folder):
        self.settings = Settings(data_dir=folder)
        self.app = create_app(self.settings)
        self.archive = Archive.open(self.settings, with_vault=True)
        sid = upload(self.archive)
        until = datetime.now(UTC) + timedelta(days=1)
        self.uid = self.archive.catalog.create_upload("owner", BODY, until, "x", {}).uid
        self.things = {"sid": sid, "uid": self.uid}
        lookup = partial(principal_of_key, self.archive.catalog)
        self._sessions = Sessions(session_key(self.settings, self.archive), lookup, secure=False)

    def key(self, role, *, revoked=False):
        """A key as headers: its secret, and a cookie made with it."""
        key_id, secret = self.archive.catalog.create_key("x", {role}, "another")
        cookie = self._sessions.issue(self._sessions.current(key_id))
        if revoked:
            self.archive.catalog.revoke_key(key_id)
        return {"Authorization": f"Bearer {secret}"}, {"Cookie": f"{self._sessions.cookie}={cookie}"}

    def useless(self, monkeypatch):
        """Credentials nobody gets in with, by name."""
        made = {"none": {}, "bad": {"Authorization": "Bearer csk_0000000000000000_" + "A" * 43}}
        made |= {"no scheme": {"Authorization": "x"}, "bad cookie": {"Cookie": f"{self._sessions.cookie}=x"}}
        made["revoked"], made["revoked cookie"] = self.key("admin", revoked=True)
        now = time.time()
        monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: now - LIFETIME - 1)
        made["expired cookie"] = self.key("admin")[1]
        monkeypatch.undo()
        return made

    def stored(self):
        """Every row and every file."""
        root = self.settings.data_dir
        files = {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in root.rglob("*")
            if path.is_file() and not path.name.startswith("catalogue.sqlite")
        }
        with sqlite3.connect(root / "catalogue.sqlite") as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            rows = {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in names}
        return files, rows

    async def ask(self, method, path, credential):
        """One request with a body; its status and how much of an upload's body was asked for."""
        taken = 0

        async def body():
            nonlocal taken
            for _ in range(BODY // PIECE):
                taken += PIECE
                yield b"x" * PIECE

        headers = {"Tus-Resumable": "1.0.0", "Origin": "http://x", "Upload-Length": str(BODY), "Upload-Offset": "0"}
        sent = {"json": WISH} if path.startswith("/api") else {"data": WISH}
        if path.startswith("/uploads"):
            headers["Content-Type"], sent = "application/offset+octet-stream", {"content": body()}
        where = re.sub(r"{(\w+)[^}]*}", lambda found: self.things.get(found[1], "x"), path)
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers | credential) as client:
            answer = await client.request(method, where, **sent)
        return answer.status_code, taken


@pytest.fixture
def house(quick_folder):
    found = House(quick_folder)
    yield found
    found.archive.close()


def test_refused_means_nothing_stored(house, monkeypatch):
    """No, bad, revoked and expired credentials on every route that changes something: no row and no byte differs."""
    useless = house.useless(monkeypatch)
    before = house.stored()
    for method, path in MUTATING:
        for name, credential in useless.items():
            status, taken = asyncio.run(house.ask(method, path, credential))
            assert status in REFUSED or (method, path) in OPEN_TO_ALL, (method, path, name, status)
            assert taken == 0, "nobody reads what nobody may send"
            assert house.stored() == before, (method, path, name)


@pytest.mark.parametrize("role", ["submitter", "viewer"])
def test_what_belongs_to_another_stays_as_it_is(house, role):
    """A good key of somebody else's on every route that names an upload or a slide: refused, and nothing differs."""
    credentials = house.key(role)
    before = house.stored()
    for method, path in MUTATING:
        if "{" in path:
            for credential in credentials:
                status, taken = asyncio.run(house.ask(method, path, credential))
                assert status in REFUSED, (method, path, status)
                assert taken == 0, "nobody reads what nobody may send"
                assert house.stored() == before, (method, path)


def test_the_owner_gets_in(house):
    """The same request with the right key stores what it sends: it was the credential that stood in the way."""
    key = house.archive.catalog.create_key("x", {"submitter"}, "owner")[1]
    status, taken = asyncio.run(house.ask("PATCH", "/uploads/{uid}", {"Authorization": f"Bearer {key}"}))
    assert (status, taken) == (204, BODY)
    assert house.archive.catalog.upload(house.uid).offset == BODY
