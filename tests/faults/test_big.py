"""Large files and slow clients: the front end's memory stays flat, and it answers others meanwhile."""

import pytest

from tests.faults import big

FROZEN = 10.0
"""Seconds: nobody waits that long for `/healthz` on the busiest machine, unless the event loop stands still."""


@pytest.mark.slow(35)
def test_one_large_file(tmp_path):
    """256 MiB in one PATCH: it is not held in memory (target 4; `python -m tests.faults.big` sends 10 GiB)."""
    figures = big.uploads(tmp_path, 256 * big.MIB, 1)
    assert figures.grown_mib <= 64, figures
    assert figures.healthz_p99_ms < FROZEN * 1000, figures


@pytest.mark.slow
def test_clients_that_hardly_send(tmp_path):
    """200 connections that send a byte now and then cost little, and files of others come in meanwhile."""
    figures = big.slow_loris(tmp_path, 200, 3)
    assert figures.grown_mib <= 64, figures
    assert figures.healthz_p99_ms < FROZEN * 1000, figures
    assert figures.mb_per_second > 0, "somebody else's file came in"
