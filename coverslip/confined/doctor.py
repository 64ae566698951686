"""Which walls hold a child that parses on this machine: asked of a real child, not of version numbers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from coverslip.confined.layers import REQUIRED, STEPS, Limits, lacking
from coverslip.confined.messages import Declined, Outcome, Task
from coverslip.confined.supervisor import Zygote
from coverslip.progress import Progress, silent

_LIMITS: Final = Limits(memory=1 << 30, cpu=timedelta(seconds=60), wall=timedelta(seconds=60), output=1 << 20)


@dataclass(frozen=True, slots=True)
class Wall:
    """One layer of the confinement."""

    name: str
    keeps: str
    """What it keeps the child from."""
    needs: str
    """What it takes to hold."""
    holds: bool
    required: bool
    """Whether strict confinement refuses to work without it, or without one of `instead`."""
    instead: tuple[str, ...] = ()
    """Other layers that serve as well, when strict."""


KEEPS: Final = {
    "rlimits": "memory, CPU time, files and open handles without bound; core dumps",
    "no_network": "every network, by a namespace of its own",
    "few_threads": "threads without bound, by the kernel; the supervisor counts them in any case",
    "own_root": "every other file's name, size and times, by a root folder of its own",
    "no_capabilities": "whatever root may do beyond a plain user",
    "no_new_privs": "rights gained by starting another program",
    "landlock": "every file but the slide, its own output and the program itself",
    "seccomp": "every system call a parser does not need: sockets, programs, signals, other processes, files' modes",
}
_NAMESPACES: Final = (
    "user namespaces (in a container: a seccomp profile that allows unshare), or root with CAP_SYS_ADMIN"
)
NEEDS: Final = {
    "rlimits": "any Linux",
    "no_network": _NAMESPACES,
    "few_threads": "user namespaces, Linux 5.14, and a user who is not root",
    "own_root": f"{_NAMESPACES}; Linux 5.12",
    "no_capabilities": "any Linux",
    "no_new_privs": "any Linux",
    "landlock": "Linux 5.13 with Landlock among its security modules",
    "seccomp": "libseccomp, on x86-64 or aarch64",
}


def nothing(task: Task, progress: Progress) -> Outcome:
    """The work of a child that only shows how it is held."""
    return Declined(code="unsupported-slide")


def examine() -> tuple[Wall, ...]:
    """Every layer and whether it holds a child here. Raises ConfinementFailed when no child could be started."""
    with tempfile.TemporaryDirectory() as folder, Zygote(__name__) as zygote:
        task = Task(Path(folder) / "nothing", Path(folder), "", b"")
        task.source.touch()
        zygote.run(f"{__name__}:nothing", task, _LIMITS, progress=silent)
        holding = zygote.layers
    return tuple(_wall(name, holds=name in holding) for name in STEPS)


def _wall(name: str, *, holds: bool) -> Wall:
    wanted = next((wanted for wanted in REQUIRED if name in wanted), None)
    instead = tuple(sorted(wanted - {name})) if wanted else ()
    return Wall(name, KEEPS[name], NEEDS[name], holds, wanted is not None, instead)


def enough(walls: tuple[Wall, ...]) -> bool:
    """Whether strict confinement would work here."""
    return not lacking(wall.name for wall in walls if wall.holds)
