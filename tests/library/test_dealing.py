"""The suite's order: nobody waits in the end for a test that began last."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dealing import dealt, seconds

MARKS = {"slow": pytest.mark.slow.mark, "slowest": pytest.mark.slow(100).mark, "quick": None}


@dataclass(frozen=True)
class Item:
    """As much of a test as its order depends on."""

    path: Path
    number: int
    kind: str = "quick"

    def get_closest_marker(self, name):
        """Its own."""
        return MARKS[self.kind]


def module(name, *kinds):
    """Tests of one file."""
    return [Item(Path(f"tests/{name}.py"), number, kind) for number, kind in enumerate(kinds)]


ITEMS = [
    *module("archive/test_a", *["quick"] * 20),
    *module("browser/test_b", "slow", "slow"),
    *module("browser/test_c", "slow"),
    *module("faults/test_d", "slow", "quick", "slowest"),
    *module("faults/test_e", "slow", "slow"),
    *module("workers/test_f", *["quick"] * 20),
]


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 100])
def test_every_test_runs_once(workers):
    """However many workers there are."""
    assert sorted(dealt(ITEMS, workers), key=ITEMS.index) == ITEMS


def test_slow_ones_begin_each_share_but_the_last():
    """The longest before all; what shares a start stays together, and nobody has much more of them than another."""
    order = dealt(ITEMS, 3)
    first, second, third = order[:16], order[16:32], order[32:]
    assert [item.path.stem for item in first[:2]] == ["test_d", "test_d"]
    assert [item.path.stem for item in second[:5]] == ["test_b", "test_b", "test_c", "test_e", "test_e"]
    assert not any(map(seconds, [*first[2:], *second[5:], *third]))


def test_one_worker_has_them_all_first():
    """As without pytest-xdist."""
    order = dealt(ITEMS, 1)
    assert all(map(seconds, order[:7]))
    assert not any(map(seconds, order[7:]))
