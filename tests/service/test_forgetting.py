"""A front end lets go of slides nobody is shown any more: no deleted file stays open, no copy stays."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from coverslip import logs
from coverslip.archive.catalog import Catalog
from coverslip.archive.records import Standing
from coverslip.archive.states import State
from coverslip.errors import StorageFailed
from service import edge, forgetting
from service.edge import Edge
from service.forgetting import Forgetting

ADDRESSES = (
    "/slides/{sid}_files/10/0_0.jpg",
    "/slides/{sid}/levels/0/tiles/{at}/0",
    "/slides/{sid}/region?x={at}&y=0&w=9&h=9",
)
"""Between them everything that is kept open or fetched: pyramid, stored levels, profile. Slides of the same content
share pictures in memory, so each is asked for another one."""
SOON = 30.0


class Holding:
    """A holder with a list."""

    def __init__(self, *held):
        self.mine, self.forgotten = set(held), set()

    def held(self):
        return self.mine

    def forget(self, gone):
        self.forgotten |= set(gone) & self.mine


class Saying(Catalog):
    """A catalogue that knows only how slides stand."""

    def __init__(self, **standing):
        self.found, self.asked = standing, []

    def standing(self, sids):
        self.asked.append(set(sids))
        return {sid: now for sid, now in self.found.items() if sid in sids}


@pytest.fixture(scope="module")
def hasty():
    """Rounds every quarter of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forgetting, "EVERY", 0.25)
        yield


@pytest.fixture(scope="module")
def folder_house(hasty, house_with):
    """A front end whose slides lie in a folder."""
    return house_with()


@pytest.fixture(scope="module")
def bucket_house(hasty, house_with_bucket):
    """One whose slides lie in a bucket."""
    return house_with_bucket


def open_files(sid):
    """This process's open files of a slide, deleted ones too."""
    found = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(fd.readlink()))
        except FileNotFoundError:
            continue
    return sorted(path for path in found if sid in path)


def soon(holds):
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def asked(house, sid, at):
    """What comes of asking for everything."""
    with house.client() as client:
        return [client.get(path.format(sid=sid, at=at)).status_code for path in ADDRESSES]


def looked_at(house, at):
    """A released slide of which everything was asked."""
    sid = house.slide(State.RELEASED)
    assert asked(house, sid, at) == [200] * 3
    return sid


@pytest.mark.parametrize("slides_lie", ["folder_house", "bucket_house"])
def test_a_withdrawn_slide_is_let_go_of(slides_lie, request):
    """Every file and every copy; those of a slide that is shown stay open."""
    house = request.getfixturevalue(slides_lie)
    withdrawn, shown = looked_at(house, 0), looked_at(house, 1)
    copies = house.archive.storage.root / "copies"

    def held(sid):
        return open_files(sid) + [path.name for path in copies.glob(f"{sid}*")]

    before = held(shown)
    assert before
    assert held(withdrawn)
    house.archive.transition(withdrawn, State.WITHDRAWN, "curator")
    house.archive.purge(withdrawn, "curator", "asked to")
    soon(lambda: not held(withdrawn))
    assert held(shown) == before
    assert asked(house, withdrawn, 0) == [410] * 3
    assert asked(house, shown, 1) == [200] * 3


@pytest.mark.parametrize(
    ("standing", "kept"),
    [
        (Standing(State.RELEASED, "art-1"), True),
        (Standing(State.IN_REVIEW, "art-1"), True),
        (Standing(State.RELEASED, "art-2"), False),
        (Standing(State.REJECTED, "art-1"), False),
        (Standing(State.WITHDRAWN, "art-1"), False),
        (Standing(State.QUARANTINED, "art-1"), False),
        (Standing(State.QUEUED, None), False),
        (None, False),
    ],
)
def test_what_is_shown_is_kept(standing, kept):
    """Its very artefact, in a state in which anybody reads it."""
    holder, catalog = Holding(("sid", "art-1")), Saying(**({} if standing is None else {"sid": standing}))
    assert Forgetting(catalog, lambda: (holder,)).once() == (0 if kept else 1)
    assert holder.forgotten == (set() if kept else {("sid", "art-1")})


def test_the_record_is_asked_once_for_all():
    """Whatever the number of holders."""
    catalog = Saying()
    Forgetting(catalog, lambda: (Holding(("a", "1")), Holding(("a", "1"), ("b", "2")))).once()
    assert catalog.asked == [{"a", "b"}]


def test_a_round_that_fails_is_not_the_last(monkeypatch):
    """A database that gives no answer costs one round."""
    monkeypatch.setattr(forgetting, "EVERY", 0.0)
    holder, rounds = Holding(("sid", "art-1")), []

    class Away(Saying):
        def standing(self, sids):
            rounds.append(datetime.now(UTC))
            if len(rounds) == 1:
                raise StorageFailed("away", where="database")
            return {}

    async def until_forgotten():
        running = asyncio.create_task(Forgetting(Away(), lambda: (holder,)).run())
        async with asyncio.timeout(SOON):
            while not holder.forgotten:
                await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(until_forgotten())
    assert len(rounds) >= 2


def test_what_runs_beside_the_requests_is_begun_again(monkeypatch, caplog):
    """An error nobody thought of must not be why a front end never lets go of anything any more."""
    monkeypatch.setattr(edge, "SETTLED", 0.01)
    begun = []

    async def beside():
        begun.append(None)
        if len(begun) == 1:
            raise RuntimeError("a value of somebody's")
        again.set()
        await asyncio.sleep(SOON)

    async def receive():
        if begun:
            await asyncio.wait_for(again.wait(), SOON)
        return {"type": "lifespan"}

    async def send(message):
        await asyncio.sleep(0)

    app = Edge(lambda: None, SimpleNamespace(opened=None), lambda: None, secure=False, beside=beside)
    again = asyncio.Event()
    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert len(begun) == 2
    [record] = caplog.records
    assert getattr(record, logs.SAID)["error"] == "RuntimeError"
    assert "somebody" not in logging.Formatter().format(record)
