"""What the child that parses may have: the part of all settings that a command needs, known without loading them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Bounds:
    """Settings by their names, with the values they have where the environment does not say otherwise."""

    strict_confinement: bool = False
    child_memory: int = 4 << 30
    """Bytes of address space."""
    child_cpu: timedelta = timedelta(hours=2)
    child_wall: timedelta = timedelta(hours=2)
    child_output_ratio: float = 10.0
    """Output of a slide as a multiple of its size."""


USUAL = Bounds()
