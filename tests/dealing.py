"""In which order tests run: the slow ones first, with quick ones beside them.

pytest-xdist gives each worker an equal stretch of the list, and who is done early takes half of what another has left,
from its end. So the first worker begins with the slow ones, the longest before all: many of those wait rather than
work, and the others keep the processor busy meanwhile. What is left of them in the end are short ones, and nobody waits
for a long one that began last.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, groupby

import pytest

USUAL = 10.0
"""Seconds a test marked `slow` takes on a quiet machine, where the mark does not say."""
TOGETHER = "browser"
"""A folder whose tests share what takes long to start."""


def dealt(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The same tests in the order in which they should begin; modules stay together, for they share what is started."""
    modules = [list(module) for _, module in groupby((item for item in items if seconds(item)), _module)]
    slow = sorted(modules, key=_weight, reverse=True)
    return [*chain(*slow), *(item for item in items if not seconds(item))]


def seconds(item: pytest.Item) -> float:
    """What a slow test takes; 0 for a quick one."""
    mark = item.get_closest_marker("slow")
    if mark is None:
        return 0
    return float(mark.args[0]) if mark.args else USUAL


def _module(item: pytest.Item) -> object:
    folder = item.path.parent
    return folder if folder.name == TOGETHER else item.path


def _weight(items: Sequence[pytest.Item]) -> float:
    return sum(map(seconds, items))
