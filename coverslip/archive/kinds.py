"""Kinds of work."""

from __future__ import annotations

from enum import StrEnum


class JobKind(StrEnum):
    """What there is to do; each kind has a queue of its own so that each scales by itself."""

    DEIDENTIFY = "deidentify"
    """De-identify, verify, index and publish: the slide moves with it."""
    PYRAMID = "pyramid"
    """Give a slide in review its complete pyramid: the slide stays where it is."""

    @property
    def task(self) -> str:
        """The task's name, all that service and workers share besides the job id."""
        return f"coverslip.{self}"
