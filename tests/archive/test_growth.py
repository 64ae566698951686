"""What is done at every claim, and every minute, costs no more because thousands wait or lie there."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event

from coverslip.archive import schema, tidying
from coverslip.archive.catalog import Catalog
from coverslip.archive.kinds import JobKind
from coverslip.archive.records import Refused
from coverslip.archive.storage import Zone
from coverslip.archive.vault import Vault
from tests.archive.conftest import Filler, StoppedClock

KINDS = tuple(JobKind)
FEW, MANY = 20, 200
STEPS = 10
"""Instructions of SQLite's machine between two that are counted."""


def bring(filler: Filler, count: int) -> None:
    """Queue so many slides of three owners and twelve submissions."""
    for number in range(count):
        uid, generation = filler.upload(f"owner {number % 3}")
        filler.catalog.finish_upload(uid, generation, "00" * 32, "strict", submission=f"batch {number % 4}")
        filler.clock.wait(seconds=1)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, sqlite_tables: Path) -> dict[int, Path]:
    """One catalogue, as it was when few slides waited and when many did."""
    folder, clock = tmp_path_factory.mktemp("grown"), StoppedClock()
    shutil.copyfile(sqlite_tables, folder / "growing")
    catalog = Catalog(schema.opened(f"sqlite:///{folder / 'growing'}"), vault=Vault(b"k" * 32), clock=clock)
    for count, more in ((FEW, FEW), (MANY, MANY - FEW)):
        bring(Filler(catalog, clock), more)
        catalog._db.forget()
        shutil.copyfile(folder / "growing", folder / str(count))
    catalog.close()
    return {count: folder / str(count) for count in (FEW, MANY)}


@pytest.fixture
def waiting(grown: dict[int, Path], open_catalog, clock: StoppedClock, tmp_path: Path) -> dict[int, Catalog]:
    """A copy of each, a moment after the last slide came."""
    clock.wait(seconds=MANY)
    copies = {count: tmp_path / f"{count}.sqlite" for count in grown}
    for count, copy in copies.items():
        shutil.copyfile(grown[count], copy)
    return {count: open_catalog(f"sqlite:///{copy}") for count, copy in copies.items()}


def steps(catalog, call: Callable[[], object]) -> int:
    """How long SQLite worked, in instructions: the same on every machine."""
    counted = 0

    def tick() -> int:
        nonlocal counted
        counted += 1
        return 0

    def watch(connection, *_):
        connection.set_progress_handler(tick, STEPS)

    event.listen(catalog._db.engine, "checkout", watch)
    try:
        call()
    finally:
        event.remove(catalog._db.engine, "checkout", watch)
    return counted


def statements(catalog, call: Callable[[], object]) -> int:
    """How often the database was asked."""
    asked = []

    def heard(connection, cursor, statement, *_):
        asked.append(statement)

    event.listen(catalog._db.engine, "before_cursor_execute", heard)
    try:
        call()
    finally:
        event.remove(catalog._db.engine, "before_cursor_execute", heard)
    return len(asked)


def test_a_claim_looks_at_the_lines_and_not_at_all_who_stand_in_them(waiting):
    """Ten times as many slides wait, as many owners and submissions as before: SQLite has as much to do."""
    short, long = (steps(catalog, partial(catalog.claim_next, KINDS, "w")) for catalog in waiting.values())
    assert 0 < long < 1.5 * short


def test_an_upload_adds_up_no_originals(waiting, clock):
    """Ten times as many are kept: SQLite has as much to do to say whether there is room for one more."""

    def announce(catalog: Catalog) -> None:
        catalog.create_upload("owner 0", 10, clock.now + timedelta(days=1), "x", {})

    few, many = (steps(catalog, partial(announce, catalog)) for catalog in waiting.values())
    assert 0 < many < 1.5 * few


def test_hints_look_at_no_more_jobs_than_there_are_hints(waiting):
    """A sweeper counts what waits as far as the broker is to be told, and sorts nothing."""
    short = steps(waiting[FEW], lambda: waiting[FEW].hints_due(limit=10))
    found = []
    long = steps(waiting[MANY], lambda: found.append(waiting[MANY].hints_due(held=4, limit=10)))
    assert long < 1.5 * short + 2
    assert len(set(found[0])) == 6


def test_tidying_asks_for_no_slide_by_itself(archive, fill, produced):
    """Ten times as many slides lie in review: the database is asked as often."""

    def review(count: int) -> None:
        for _ in range(count):
            sid, job = fill(archive.catalog).slide()
            claim = archive.catalog.claim(job, "a")
            with archive.storage.scratch(sid, claim.artefact) as draft:
                (draft / "slide.svs").write_bytes(b"clean")
                archive.publish(claim, draft, produced)

    def tidy() -> None:
        assert tidying.reconcile(archive) + tidying.discard_orphans(archive) + tidying.discard_drafts(archive) == 0

    review(3)
    few = statements(archive.catalog, tidy)
    review(27)
    assert 0 < statements(archive.catalog, tidy) == few


def test_tidying_looks_at_no_slide_that_was_refused(archive, fill):
    """Ten times as many slides were: SQLite has as much to do."""

    def refuse(count: int) -> None:
        for _ in range(count):
            _, job = fill(archive.catalog).slide()
            archive.catalog.finish(archive.catalog.claim(job, "a"), Refused("damaged-slide"))

    (archive.storage.zone(Zone.INCOMING) / "somebodys").write_bytes(b"arriving")
    refuse(5)
    few = steps(archive.catalog, lambda: tidying.reconcile(archive))
    refuse(45)
    assert steps(archive.catalog, lambda: tidying.reconcile(archive)) <= few
