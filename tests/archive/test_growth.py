"""What is done at every claim, and every minute, costs no more because thousands wait or lie there."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event

from coverslip.archive import tidying
from coverslip.archive.kinds import JobKind
from coverslip.archive.records import Refused
from coverslip.archive.storage import Zone

KINDS = tuple(JobKind)
FEW, MANY = 20, 200
STEPS = 10
"""Instructions of SQLite's machine between two that are counted."""


@pytest.fixture
def bring(fill, archive, clock):
    """Queues so many slides of three owners and twelve submissions."""

    def some(count: int) -> None:
        for number in range(count):
            uid, generation = fill(archive.catalog).upload(f"owner {number % 3}")
            submission = f"batch {number % 4}"
            archive.catalog.finish_upload(uid, generation, "00" * 32, "strict", submission=submission)
            clock.wait(seconds=1)

    return some


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


def test_a_claim_looks_at_the_lines_and_not_at_all_who_stand_in_them(archive, bring):
    """Ten times as many slides wait, as many owners and submissions as before: SQLite has as much to do."""
    bring(FEW)
    short = steps(archive.catalog, lambda: archive.catalog.claim_next(KINDS, "w"))
    bring(MANY - FEW)
    long = steps(archive.catalog, lambda: archive.catalog.claim_next(KINDS, "w"))
    assert 0 < long < 1.5 * short


def test_an_upload_adds_up_no_originals(archive, bring, clock):
    """Ten times as many are kept: SQLite has as much to do to say whether there is room for one more."""

    def announce() -> None:
        archive.catalog.create_upload("owner 0", 10, clock.now + timedelta(days=1), "x", {})

    bring(FEW)
    few = steps(archive.catalog, announce)
    bring(MANY - FEW)
    assert 0 < steps(archive.catalog, announce) < 1.5 * few


def test_hints_look_at_no_more_jobs_than_there_are_hints(archive, bring):
    """A sweeper counts what waits as far as the broker is to be told, and sorts nothing."""
    bring(FEW)
    short = steps(archive.catalog, lambda: archive.catalog.hints_due(limit=10))
    bring(MANY - FEW)
    found = []
    long = steps(archive.catalog, lambda: found.append(archive.catalog.hints_due(held=4, limit=10)))
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
