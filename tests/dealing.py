"""In which order tests run: the slow ones first, with quick ones beside them.

pytest-xdist gives each worker an equal stretch of the list, and who is done early takes half of what another has left,
from its end. So each stretch but the last begins with slow ones: many of those wait rather than work, and the last
worker keeps the processor busy meanwhile. In the end only quick ones are left, and nobody waits for one that began
last.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice

import pytest

USUAL = 10.0
"""Seconds a test marked `slow` takes on a quiet machine, where the mark does not say."""
TOGETHER = "browser"
"""A folder whose tests share what takes long to start: one worker runs all of them."""


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests in the order in which so many workers should be given them."""
    slow = [item for item in items if seconds(item)]
    quick = iter([item for item in items if not seconds(item)])
    lanes = _lanes(slow, max(1, workers - 1))
    found: list[pytest.Item] = []
    for number in range(workers):
        share = (len(items) - len(found)) // (workers - number)
        lane = lanes[number] if number < len(lanes) else []
        found += [*lane, *islice(quick, max(0, share - len(lane)))]
    return [*found, *quick]


def seconds(item: pytest.Item) -> float:
    """What a slow test takes; 0 for a quick one."""
    mark = item.get_closest_marker("slow")
    if mark is None:
        return 0
    return float(mark.args[0]) if mark.args else USUAL


def _lanes(slow: Sequence[pytest.Item], count: int) -> list[list[pytest.Item]]:
    """Longest module first, each to who has least to do so far: what tests of one share is started once."""
    lanes: list[list[pytest.Item]] = [[] for _ in range(count)]
    modules = [list(module) for _, module in groupby(slow, _module)]
    for module in sorted(modules, key=_weight, reverse=True):
        min(lanes, key=_weight).extend(module)
    return lanes


def _module(item: pytest.Item) -> object:
    folder = item.path.parent
    return folder if folder.name == TOGETHER else item.path


def _weight(items: Sequence[pytest.Item]) -> float:
    return sum(map(seconds, items))
