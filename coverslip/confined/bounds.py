"""What the child that parses may have: the part of all settings that a command needs.

Where the environment says nothing of ours they are known without loading all settings and pydantic, which reads them
and costs a command a tenth of a second.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
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


def bounds() -> Bounds:
    """What the environment says. Raises SettingsInvalid for any of our settings that is wrong, needed here or not."""
    if not any(name.upper().startswith("COVERSLIP_") for name in os.environ):
        return USUAL
    from coverslip.settings import Settings

    settings = Settings()
    return Bounds(**{field.name: getattr(settings, field.name) for field in fields(Bounds)})
