"""What costs is bounded and refused in time, and a stored tile stays quick beside it: over real sockets."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from coverslip.archive.states import State
from coverslip.pyramid import Pyramid
from service.packing import ARCHIVES
from service.thumbnails import WIDTHS

QUICK = 3.0
"""Seconds, on a machine that has other things to do."""


class Gate:
    """Work that stands still until the gate is opened, and how much of it stood there at the same time."""

    def __init__(self):
        self.open, self.most, self._now, self._lock = threading.Event(), 0, 0, threading.Lock()

    def pass_through(self):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.open.wait(60)
        with self._lock:
            self._now -= 1


@pytest.fixture
def gate(monkeypatch):
    """Holds every thumbnail, and every tile an archive reads."""
    found, read = Gate(), Pyramid.tile

    def thumbnail(self, width):
        found.pass_through()
        return b"picture %d" % width

    def tile(self, *place):
        if threading.current_thread().name.startswith("archives"):
            found.pass_through()
        return read(self, *place)

    monkeypatch.setattr(Pyramid, "thumbnail", thumbnail)
    monkeypatch.setattr(Pyramid, "tile", tile)
    monkeypatch.setattr(Pyramid, "tile_at_hand", lambda *_: None)  # a tile has to be fetched by a thread
    yield found
    found.open.set()


@pytest.fixture
def storm(gate):
    """Ask for many addresses at once, each on a connection of its own; their statuses once the gate is open."""
    with ThreadPoolExecutor(64) as pool:
        asked = []

        def begin(house, paths):
            def ask(path):
                with house.client() as client:
                    return client.get(path)

            asked.extend(pool.submit(ask, path) for path in paths)
            time.sleep(1)
            return asked

        yield begin
        gate.open.set()


def wait_for(asked, count):
    """Until so many have their answer: on a busy machine some come late, and would find the gate open."""
    deadline = time.monotonic() + 60
    while sum(one.done() for one in asked) < count and time.monotonic() < deadline:
        time.sleep(0.05)


def seconds_of_a_tile(house, sid):
    """How long a stored tile takes."""
    began = time.monotonic()
    with house.client() as client:
        assert client.get(f"/slides/{sid}_files/9/0_0.jpg").status_code == 200
    return time.monotonic() - began


def test_thumbnails_wait_for_each_other_and_for_nobody_else(house_with, gate, storm):
    """Every width at once: two are made at a time, two wait, the rest is told when to come back; tiles go on."""
    house = house_with(derived_workers=2, derived_waiting=2)
    sid = house.slide(State.RELEASED)
    asked = storm(house, [f"/slides/{sid}/thumbnail?width={width}" for width in WIDTHS] * 4)
    assert seconds_of_a_tile(house, sid) < QUICK
    gate.open.set()
    answers = [one.result() for one in asked]
    assert gate.most == 2
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers if answer.status_code == 503)


@pytest.mark.parametrize("form", ["szi", "zip"])
def test_archives_wait_for_each_other_and_for_nobody_else(house, gate, storm, form):
    """Fifty archives at once: one is worked on, some wait, the rest is told when to come back; tiles go on."""
    sid = house.slide(State.RELEASED)
    asked = storm(house, [f"/slides/{sid}.{form}"] * 50)
    assert seconds_of_a_tile(house, sid) < QUICK
    wait_for(asked, 50 - ARCHIVES)
    gate.open.set()
    answers = [one.result() for one in asked]
    assert gate.most == 1
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 50 - ARCHIVES
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1


def test_an_archive_nobody_wants_any_more_makes_room(house, monkeypatch):
    """Who goes away in the middle gives the place back."""
    sid = house.slide(State.RELEASED)
    monkeypatch.setattr("service.packing.Packing._pieces", endless)
    with house.client() as client:
        with ExitStack() as stack:
            begun = [stack.enter_context(client.stream("GET", f"/slides/{sid}.szi")) for _ in range(ARCHIVES + 1)]
            assert [answer.status_code for answer in begun] == [200] * ARCHIVES + [503]
        deadline = time.monotonic() + 30
        while (status := first_status(client, sid)) == 503 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert status == 200


async def endless(self, chunks):
    """The first bytes, and nothing more for as long as anybody waits."""
    yield b"PK"
    await asyncio.sleep(600)


def first_status(client, sid):
    """What an archive is answered with."""
    with client.stream("GET", f"/slides/{sid}.szi") as answer:
        return answer.status_code
