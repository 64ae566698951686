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


def test_every_test_runs_once():
    """Whatever its mark."""
    assert sorted(dealt(ITEMS), key=ITEMS.index) == ITEMS


def test_the_longest_module_comes_first():
    """What shares a start stays together; then the quick ones, as they were."""
    order = dealt(ITEMS)
    slow = [item.path.stem for item in order[:7]]
    assert slow == ["test_d", "test_d", "test_b", "test_b", "test_c", "test_e", "test_e"]
    assert order[7:] == [item for item in ITEMS if not seconds(item)]
