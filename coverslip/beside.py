"""Work that another process may do meanwhile: two threads of Python take turns, two processes do not.

A confined child has a twin (`confined.twin`) that is lent here; everywhere else such work is done on the spot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from coverslip.progress import Progress

T = TypeVar("T")


class Second(Protocol):
    """Another process."""

    def __call__(self, work: Callable[..., Any], *arguments: object, progress: Progress | None) -> Any:  # noqa: ANN401
        """What a public function of a module returns there, one after the other; raises our errors as it does.

        With a `progress` it is handed one that reports to it.
        """
        ...


_lent: list[Second] = []


def lend(second: Second) -> None:
    """From now on work goes there."""
    _lent[:] = [second]


def is_lent() -> bool:
    """Whether there is another process: what nobody waits for yet may be begun then."""
    return bool(_lent)


def elsewhere(work: Callable[..., T], *arguments: object, progress: Progress | None = None) -> T:
    """`work(*arguments)`, in another process where one was lent; what goes to and fro are paths and plain facts."""
    if _lent:
        answer: T = _lent[0](work, *arguments, progress=progress)
        return answer
    return work(*arguments, progress=progress) if progress else work(*arguments)
