"""Says what this machine offers: which walls hold a parsing child, whether database and broker answer."""

from __future__ import annotations

import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from coverslip.errors import CoverslipError
from coverslip.progress import Progress
from coverslip.settings import GIB, MIB, Settings
from workers.confine import Zygote
from workers.layers import REQUIRED, STEPS, Limits
from workers.messages import Declined, Outcome, Task


def nothing(task: Task, progress: Progress) -> Outcome:
    """The work of a child that only shows how it is held."""
    return Declined(code="unsupported-slide")


def layers() -> tuple[str, ...]:
    """The layers that hold a confined child on this machine; raises `ConfinementFailed`."""
    limits = Limits(memory=GIB, cpu=timedelta(seconds=10), wall=timedelta(seconds=10), output=MIB)
    with tempfile.TemporaryDirectory() as folder, Zygote("workers.doctor") as zygote:
        task = Task(Path(folder) / "nothing", Path(folder), "", b"")
        task.source.touch()
        zygote.run("workers.doctor:nothing", task, limits, progress=lambda stage, done: None)
        return zygote.layers


def report(settings: Settings) -> int:
    """Print one line per layer; 1 when a required one does not hold."""
    try:
        holding = layers()
    except CoverslipError as error:
        sys.stdout.write(f"confinement: {error.code}\n")
        return 1
    for name in STEPS:
        state = "holds" if name in holding else "missing, required when strict" if name in REQUIRED else "missing"
        sys.stdout.write(f"{name}: {state}\n")
    return 0 if set(holding) >= REQUIRED else 1
