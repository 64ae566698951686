"""Wall, CPU and peak memory of a child process: what every benchmark compares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command cost."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system, children included."""
    peak: float
    """Largest resident set of the process, MiB."""


_LAUNCHER = """
import os, sys, time
null = os.open(os.devnull, os.O_RDWR)
begin = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)])
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def installed() -> dict[str, str]:
    """The environment of an installed program: compiled modules are kept, as they are everywhere but in some shells."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def cost_of(command: Sequence[str]) -> Cost:
    """Run a command (a full path and its arguments) to its end. Raises CalledProcessError when it fails.

    A bare interpreter starts it: Linux counts the memory of whoever forks as the child's own peak.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(launcher, capture_output=True, check=True, text=True, env=installed())
    wall, cpu, peak = map(float, done.stdout.split())
    return Cost(wall, cpu, peak)


def middle(run: Callable[[], Cost], times: int = 3) -> Cost:
    """Of some runs the one of middle length: a machine's neighbours cost short runs a tenth now and then."""
    return sorted((run() for _ in range(times)), key=lambda cost: cost.wall)[times // 2]


def say(what: str, figure: float, bar: float, *, more: bool = False) -> None:
    """One figure and whether it reaches its bar."""
    reached = figure >= bar if more else figure <= bar
    print(f"{what:52}{figure:9.2f}  {'reaches' if reached else 'MISSES'} {'≥' if more else '≤'} {bar:g}")
