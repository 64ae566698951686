"""How long operations say how far they are, and how they are told to stop."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Stage(StrEnum):
    """The steps of one slide, in order."""

    OPEN = "open"
    PLAN = "plan"
    WRITE = "write"
    VERIFY = "verify"
    PYRAMID = "pyramid"


Progress = Callable[[Stage, float], None]
"""Called now and then with a stage and how much of it is done (0…1); raises `Cancelled` to stop the work."""


def silent(stage: Stage, done: float) -> None:
    """Report to nobody."""
