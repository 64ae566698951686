"""Less of everything until a slide has been opened and planned: what is not a slide after that never will be.

Applied by the work itself, inside the child, as soft limits below the hard ones of `layers`: no file can lift them, and
code that could still has the hard ones in front of it.
"""

from __future__ import annotations

import math
import resource
import time
from datetime import timedelta
from typing import Final

from coverslip.progress import Progress, Stage

MEMORY: Final = 1 << 30
"""Bytes of memory of its own that a child may have (operations.md, Limits for hostile input); files it maps apart."""
CPU: Final = timedelta(seconds=30)
"""Since the child began, or since the last piece of an archive was unpacked: unpacking has limits of its own."""
PROBES: Final = frozenset({Stage.OPEN, Stage.PLAN})


def probing(progress: Progress, memory: int = MEMORY, cpu: timedelta = CPU) -> Progress:
    """Limit this process, and return a progress callback that lifts the limits at the first stage that may take long.

    Beyond `memory` an allocation fails; beyond `cpu`, in whole seconds, the process ends with SIGXCPU.
    """
    before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)}
    seconds, lifted = math.ceil(cpu.total_seconds()), False

    def report(stage: Stage, done: float) -> None:
        nonlocal lifted
        if stage not in PROBES and not lifted:
            lifted = True
            for kind, limits in before.items():
                resource.setrlimit(kind, limits)
        elif stage is Stage.OPEN and done > 0:
            _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + seconds, before[resource.RLIMIT_CPU])
        progress(stage, done)

    _limit(resource.RLIMIT_DATA, memory, before[resource.RLIMIT_DATA])
    _limit(resource.RLIMIT_CPU, seconds, before[resource.RLIMIT_CPU])
    return report


def _limit(kind: int, value: int, before: tuple[int, int]) -> None:
    """Never more than there was."""
    soft, hard = before
    resource.setrlimit(kind, (value if soft == resource.RLIM_INFINITY else min(value, soft), hard))
