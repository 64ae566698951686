"""A broker that dies, stands still, is cut off, full, locked or not to be written to, under work; then work goes on.

`python -m tests.faults.broker` makes the long run that docs/reliability.md reports.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import redis

from tests.faults.rig import Rig

SOON = 15.0
"""Seconds from the broker's return until work is finished again (operations.md, target 7)."""
PATIENCE = 300.0
"""Seconds after which we stop waiting."""
DEFAULTS = {"watchdog_every": timedelta(seconds=15), "watchdog_stall": timedelta(seconds=60)}
"""The watchdog as it is delivered: it must neither be needed nor be in the way."""


@contextmanager
def killed(rig: Rig) -> Iterator[None]:
    """SIGKILL, and a new one later."""
    assert rig.valkey.pid is not None
    os.kill(rig.valkey.pid, signal.SIGKILL)
    rig.valkey.stop()
    yield
    rig.valkey.start()


@contextmanager
def stalled(rig: Rig) -> Iterator[None]:
    """Connections stay open and nothing moves."""
    rig.proxy.stall()
    yield
    rig.proxy.heal()


@contextmanager
def reset(rig: Rig) -> Iterator[None]:
    """RST on every connection."""
    rig.proxy.reset()
    yield


@contextmanager
def read_only(rig: Rig) -> Iterator[None]:
    """It became a replica of somebody who is not there: every write is answered with READONLY."""
    with redis.Redis(unix_socket_path=str(rig.valkey.socket)) as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def full(rig: Rig) -> Iterator[None]:
    """It has no memory left: what would take some is answered with OOM, what gives some back is not."""
    with redis.Redis(unix_socket_path=str(rig.valkey.socket)) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", before)


@contextmanager
def locked(rig: Rig) -> Iterator[None]:
    """It wants a password nobody was told, as while one is changed: whoever connects anew is answered with NOAUTH."""
    with redis.Redis(unix_socket_path=str(rig.valkey.socket)) as client:
        client.config_set("requirepass", "nobody was told")
        rig.proxy.reset()
        yield
        client.config_set("requirepass", "")


@dataclass(frozen=True, slots=True)
class Blow:
    """What is done to a broker, and how long it lasts."""

    strike: Callable[[Rig], AbstractContextManager[None]]
    seconds: float


BLOWS = {
    "kill": Blow(killed, 0.3),
    "reset": Blow(reset, 0.0),
    "read-only": Blow(read_only, 3.0),
    "full": Blow(full, 3.0),
    "locked": Blow(locked, 3.0),
    "stall": Blow(stalled, 60.0),
    "away": Blow(killed, 45.0),
}
"""By name; `away` is long enough for whoever tries again ever more rarely to have become rare."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How soon work went on after blows of one kind."""

    blow: str
    rounds: int
    median: float
    worst: float
    """Seconds from the broker's return until everything there was to do was done."""
    idle: float
    """Seconds the same work takes with nobody struck, at worst: what the machine can do."""
    replaced: int
    """Workers somebody started again."""

    @property
    def is_soon(self) -> bool:
        """Within the target, and what the machine needs for as much work anyway."""
        return self.worst <= SOON + 3 * self.idle


def recoveries(folder: Path, sockets: Path, rounds: Mapping[str, int]) -> Iterator[Figures]:
    """Strike a broker of our own under work, again and again: so often with each blow."""
    with Rig(folder, sockets, **DEFAULTS) as rig:
        rig.add(1)
        finished(rig)
        for name, count in rounds.items():
            before, idle = rig.replaced(), max(unstruck(rig) for _ in range(2))
            took = [struck(rig, BLOWS[name]) for _ in range(count)]
            idle = max(idle, unstruck(rig))
            yield Figures(name, count, statistics.median(took), max(took), idle, rig.replaced() - before)


def struck(rig: Rig, blow: Blow) -> float:
    """One blow under work; seconds from the broker's return until all is finished, whenever it came."""
    rig.add(5)
    time.sleep(0.2)
    with blow.strike(rig):
        rig.add(3)
        time.sleep(blow.seconds)
    rig.add(1)
    return finished(rig)


def unstruck(rig: Rig) -> float:
    """The same with no blow."""
    rig.add(9)
    return finished(rig)


def finished(rig: Rig) -> float:
    """Seconds until there is nothing to do."""
    return rig.until(lambda: rig.open_jobs() == 0, PATIENCE)


def main() -> int:
    """The long runs; 0 when every figure is as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs of the broker")
    parser.add_argument("--rounds", type=int, default=10, help="of resets, and of READONLY, OOM and NOAUTH replies")
    parser.add_argument("--stalls", type=int, default=3, help="of a minute each, and as many absences of 45 s")
    asked = parser.parse_args()
    counts = {"kill": asked.kills} | dict.fromkeys(("reset", "read-only", "full", "locked"), asked.rounds)
    counts |= {"stall": asked.stalls, "away": asked.stalls}
    good = True
    with ExitStack() as stack:
        folder, sockets = (Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-"))) for _ in range(2))
        for figures in recoveries(folder, sockets, {name: count for name, count in counts.items() if count}):
            sys.stdout.write(json.dumps(asdict(figures)) + "\n")
            sys.stdout.flush()
            good = good and figures.worst <= SOON and not figures.replaced
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
