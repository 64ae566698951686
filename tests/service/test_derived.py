"""The pool of derived pictures: each made once, some kept, too many refused."""

import asyncio
import threading
import time
from contextlib import suppress

import pytest
from starlette.requests import ClientDisconnect

from coverslip.errors import PyramidInvalid
from service.derived import Workshop
from service.errors import Overloaded
from service.packing import Packing


@pytest.fixture
def workshop():
    """One at a time, one may wait, a hundred bytes."""
    found = Workshop(1, 1, 100)
    yield found
    found.close()


def test_made_once_for_all_who_ask(workshop):
    """Ten who ask at the same time get one picture made once, and so does who comes later."""
    made = []

    async def go():
        asks = [workshop.make("a", lambda: made.append(1) or b"picture") for _ in range(10)]
        first = await asyncio.gather(*asks)
        return first, await workshop.make("a", lambda: b"other")

    first, later = asyncio.run(go())
    assert made == [1]
    assert {(one.body, one.hit) for one in first} == {(b"picture", False)}
    assert (later.body, later.hit) == (b"picture", True)


def test_too_many_are_refused(workshop):
    """One is made, one waits, the third is refused at once; room comes back."""
    held = threading.Event()

    async def go():
        slow = [asyncio.create_task(workshop.make(name, lambda: held.wait(10) and b"x")) for name in "ab"]
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await workshop.make("c", lambda: b"x")
        held.set()
        await asyncio.gather(*slow)
        return await workshop.make("c", lambda: b"x")

    assert asyncio.run(go()).body == b"x"


def test_the_budget_is_kept(workshop):
    """The least used goes first, and what is larger than the budget is not kept at all."""

    async def go():
        for name in "abc":
            await workshop.make(name, lambda: b"x" * 40)
            await workshop.make("a", lambda: b"x" * 40)
        await workshop.make("large", lambda: b"x" * 101)
        return [(await workshop.make(name, lambda: b"y" * 40)).hit for name in ("a", "c", "large")]

    assert asyncio.run(go()) == [True, True, False]


def test_who_leaves_takes_nothing_away(workshop):
    """When one who waits goes away, the others still get their picture; a failure is told and not kept."""
    held = threading.Event()

    def fail():
        raise PyramidInvalid

    async def go():
        gone, stays = (asyncio.create_task(workshop.make("a", lambda: held.wait(10) and b"x")) for _ in range(2))
        await asyncio.sleep(0.01)
        gone.cancel()
        held.set()
        assert (await stays).body == b"x"
        with pytest.raises(PyramidInvalid):
            await workshop.make("b", fail)
        return await workshop.make("b", lambda: b"now")

    assert asyncio.run(go()).body == b"now"


def endless():
    """What a reader leaves in the middle of."""
    while True:
        time.sleep(0.01)
        yield b"piece"


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_who_leaves_in_mid_archive_makes_room(workshop, version, monkeypatch):
    """Whether the server tells of it by a message or by refusing to send."""
    monkeypatch.setattr("service.packing.ARCHIVES", 1)
    packing = Packing(workshop)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": version}}

    async def receive():
        await asyncio.sleep(0.1)
        return {"type": "http.disconnect"}

    async def send(message):
        if version == "2.4" and message["type"] == "http.response.body":
            raise OSError

    async def go():
        response = packing.sent(endless(), {})
        with pytest.raises(Overloaded):
            packing.sent(endless(), {})
        with suppress(ClientDisconnect):
            await response(scope, receive, send)
        assert packing.sent(iter(()), {})

    asyncio.run(go())
