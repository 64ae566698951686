"""Work that another process may do meanwhile: two threads of Python take turns, two processes do not.

A confined child has a twin (`confined.twin`) that is lent here; everywhere else such work is done on the spot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Second = Callable[..., Any]
"""Calls a public function of a module in another process. Raises what it raises, if that is one of our errors."""

_lent: list[Second] = []


def lend(second: Second) -> None:
    """From now on work goes there."""
    _lent[:] = [second]


def elsewhere(work: Callable[..., T], *arguments: object) -> T:
    """`work(*arguments)`, in another process where one was lent; what goes to and fro are paths and plain facts."""
    answer: T = _lent[0](work, *arguments) if _lent else work(*arguments)
    return answer
