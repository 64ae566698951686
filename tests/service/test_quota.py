"""What uploads may hold: room is promised once, and an owner's bytes are bounded, at the beginning and at the end."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from coverslip.archive.models import UploadRow
from coverslip.archive.states import State
from coverslip.archive.storage import ROOM_FACTOR
from tests.service.test_tus import begin, send

QUOTA = 10_000


@pytest.fixture
def small(house_with):
    """A front end whose owners may have ten thousand bytes."""
    return house_with(owner_bytes=QUOTA)


def client(house, role="submitter"):
    """Somebody who speaks tus."""
    return house.client(role, **{"Tus-Resumable": "1.0.0"})


def announce(found, length):
    """The answer to an announcement."""
    return found.post("/uploads", headers={"Upload-Length": str(length)})


def test_an_owner_has_so_many_bytes(small):
    """What is announced counts at once; what is removed makes room; another owner has bytes of its own."""
    with client(small) as found, client(small, "other") as other:
        assert announce(found, QUOTA + 1).json()["code"] == "quota-exceeded"
        first = announce(found, 6000)
        assert (first.status_code, announce(found, 6000).status_code) == (201, 507)
        assert announce(other, 6000).status_code == 201
        assert found.delete(first.headers["Location"]).status_code == 204
        assert announce(found, 6000).status_code == 201


def test_originals_count_until_they_are_purged(small):
    """A finished upload still holds its bytes; destroying the original's key frees them."""
    data = os.urandom(8000)
    with client(small) as found:
        where = begin(found, data, sha256=hashlib.sha256(data).hexdigest())
        sid = send(found, where, data).headers["Coverslip-Slide"]
        assert announce(found, 4000).status_code == 507
        catalog = small.archive.catalog
        catalog.cancel(catalog.jobs(sid)[-1].id)
        small.archive.transition(sid, State.REJECTED, "curator")
        small.archive.purge(sid, "curator")
        assert announce(found, 4000).status_code == 201


def test_the_quota_is_looked_at_again_at_the_end(small):
    """Bytes that came another way meanwhile: the upload is not queued (507), is kept, and goes on when it fits."""
    data = os.urandom(6000)
    with client(small) as found:
        where = begin(found, data, sha256=hashlib.sha256(data).hexdigest())
        until = datetime.now(UTC) + timedelta(days=1)
        beside = small.archive.catalog.create_upload("submitter", 6000, until, "x")
        refused = send(found, where, data)
        assert (refused.status_code, refused.json()["code"]) == (507, "quota-exceeded")
        assert found.head(where).headers["Upload-Offset"] == "6000"
        small.archive.terminate_upload(beside.uid, "submitter")
        assert send(found, where, b"", 6000).headers["Coverslip-Slide"]


def test_many_at_once_share_one_quota(small):
    """Twenty announcements at the same moment: together they get no more than there is."""

    def ask(_):
        with client(small) as found:
            return announce(found, 3000).status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(ask, range(20))) == [201] * 3 + [507] * 17


def test_room_is_promised_once(house_with, monkeypatch):
    """What others were promised is not there for the next: whoever they are, and with what will be made of it."""
    house = house_with()
    storage = type(house.archive.storage)
    monkeypatch.setattr(storage, "total_bytes", lambda self: 0)
    monkeypatch.setattr(storage, "free_bytes", lambda self: int(2.5 * (ROOM_FACTOR + 1) * 1000))
    with client(house) as found, client(house, "other") as other:
        assert [announce(one, 1000).status_code for one in (found, other, found)] == [201, 201, 507]


def test_what_expired_holds_nothing(small):
    """An upload nobody goes on with keeps nobody else out."""
    with client(small) as found:
        assert announce(found, QUOTA).status_code == 201
        assert announce(found, QUOTA).status_code == 507
        with small.archive.catalog._db.write() as session:
            session.execute(update(UploadRow).values(expires=datetime.now(UTC)))
        assert announce(found, QUOTA).status_code == 201
