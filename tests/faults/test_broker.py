"""Short forms of what happens to a broker; `python -m tests.faults.broker` makes the long ones."""

import pytest

from tests.faults import broker

ROUNDS = {"kill": 4, "reset": 3, "read-only": 2, "full": 1, "locked": 1, "stall": 1}


@pytest.mark.slow(70)
def test_work_goes_on_by_itself(tmp_path, socket_dir, record_property):
    """Killed, cut off, read-only, full, locked, silent for a minute: 15 s after its return all is done (target 7).

    A busy machine is given what the same work takes there anyway; nobody started anything again meanwhile.
    """
    seen = list(broker.recoveries(tmp_path, socket_dir, ROUNDS))
    print(*seen, sep="\n")
    record_property("figures", str(seen))
    assert {figures.blow: figures.rounds for figures in seen} == ROUNDS
    assert all(figures.is_soon for figures in seen), seen
    assert not any(figures.replaced for figures in seen), seen
