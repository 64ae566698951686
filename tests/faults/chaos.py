"""Chaos: random blows at workers, broker, network and database while jobs run; then the books must balance.

`python -m tests.faults.chaos` makes the long run that docs/reliability.md reports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import redis

from coverslip.errors import StorageFailed
from tests.faults.postgres import Postgres
from tests.faults.rig import Rig, Tally

CALM = 60.0
"""Seconds after the last blow within which everything must have come to an end (operations.md, target 5)."""
PATIENCE = 900.0
"""Seconds after which we stop waiting for it, whatever else the machine does."""
STALLS = (0.2, 1.5, 6.0)
"""Seconds a process is stopped for; the last is longer than the lease, so it wakes up as a zombie."""


@dataclass
class Blows:
    """What may be done to a rig; each blow is undone by `heal` or by those who are meant to recover."""

    rig: Rig
    random: random.Random
    postgres: Postgres | None
    struck: Counter[str] = field(default_factory=Counter)
    _due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def strike(self) -> None:
        """One blow, chosen by chance."""
        blows = (
            [self.kill_some] * 5 + [self.term_some] * 2 + [self.stop_some] * 3 + [self.kill_worker, self.kill_broker]
        )
        blows += [self.flush, self.stall, self.reset, self.refuse] + ([self.crash_database] if self.postgres else [])
        blow = self.random.choice(blows)
        with suppress(psutil.NoSuchProcess):
            blow()
            self.struck[blow.__name__.replace("_", " ")] += 1

    def recover(self) -> None:
        """Undo what is due."""
        now = time.monotonic()
        ready = [act for at, act in self._due if at <= now]
        self._due = [(at, act) for at, act in self._due if at > now]
        for act in ready:
            act()

    def heal(self) -> None:
        """Undo everything; nobody is struck again."""
        for _, act in self._due:
            act()
        self._due.clear()

    def kill_some(self) -> None:
        """SIGKILL a process below a supervisor: Celery, a pool process, a zygote, a parsing child."""
        self._some().kill()

    def term_some(self) -> None:
        """SIGTERM the same."""
        self._some().terminate()

    def stop_some(self) -> None:
        """SIGSTOP, and SIGCONT later."""
        process = self._some()
        process.suspend()
        self._later(self.random.choice(STALLS), lambda: _resume(process))

    def kill_worker(self) -> None:
        """SIGKILL a supervisor, which takes everything below it along."""
        pid = self.random.choice(self.rig.workers).pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def kill_broker(self) -> None:
        """SIGKILL the broker; it is back a moment later."""
        pid = self.rig.valkey.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.rig.valkey.stop()
            self._later(self.random.uniform(0.1, 2), self._start_broker)

    def flush(self) -> None:
        """FLUSHALL: hints, bindings and unacknowledged messages are gone."""
        with suppress(redis.RedisError), redis.Redis(unix_socket_path=str(self.rig.valkey.socket)) as client:
            client.flushall()

    def stall(self) -> None:
        """Connections stay open and nothing moves."""
        self.rig.proxy.stall()
        self._later(self.random.choice(STALLS), self.rig.proxy.heal)

    def reset(self) -> None:
        """RST on every broker connection."""
        self.rig.proxy.reset()

    def refuse(self) -> None:
        """New broker connections are closed, old ones reset."""
        self.rig.proxy.refusing = True
        self.rig.proxy.reset()
        self._later(1.0, self.rig.proxy.heal)

    def crash_database(self) -> None:
        """PostgreSQL `immediate` stop and start."""
        assert self.postgres is not None
        self.postgres.crash()
        self._later(0.5, self.postgres.start)

    def _some(self) -> psutil.Process:
        tops = {program.pid for program in self.rig.workers}
        below = [process for process in self.rig.family() if process.pid not in tops]
        if not below:
            raise psutil.NoSuchProcess(0)
        return self.random.choice(below)

    def _start_broker(self) -> None:
        if self.rig.valkey.pid is None:
            self.rig.valkey.start()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + seconds, act))


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run showed."""

    database: str
    seed: int
    seconds: float
    settled_after: float
    """Seconds from the last blow until every job had come to an end."""
    restarts: int
    struck: dict[str, int]
    tally: Tally


def storm(rig: Rig, postgres: Postgres | None, *, jobs: int, seconds: float, every: float, seed: int) -> Figures:
    """Strike about `every` seconds for `seconds` while `jobs` come in; then wait, stop everything and count."""
    blows = Blows(rig, random.Random(seed), postgres)
    rig.add(jobs // 10)
    begin = time.monotonic()
    next_blow = begin
    while (passed := time.monotonic() - begin) < seconds:
        if time.monotonic() >= next_blow:
            blows.strike()
            next_blow = time.monotonic() + blows.random.uniform(0.5, 1.5) * every
        blows.recover()
        rig.tend()
        with suppress(StorageFailed):  # it is the database that was struck: the client would try again
            rig.add(min(3, jobs - len(rig.sids), max(0, int(jobs * (0.1 + passed / seconds)) - len(rig.sids))))
        time.sleep(0.05)
    blows.heal()
    rig.add(jobs - len(rig.sids))
    settled = rig.until(lambda: rig.open_jobs() == 0, PATIENCE)
    rig.stop()
    return Figures(
        "sqlite" if postgres is None else "postgresql",
        seed,
        seconds,
        settled,
        rig.restarts,
        dict(blows.struck),
        rig.tally(),
    )


def run(database: str, *, jobs: int, seconds: float, every: float, seed: int) -> Figures:
    """One storm on a database of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-chaos-")))
        postgres = stack.enter_context(Postgres()) if database == "postgresql" else None
        rig = stack.enter_context(Rig(folder, _sockets(stack), postgres.url if postgres else ""))
        return storm(rig, postgres, jobs=jobs, seconds=seconds, every=every, seed=seed)


def _sockets(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-")))


def main() -> int:
    """The long runs; 0 when every figure is as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    good = True
    for database in ("sqlite", "postgresql"):
        figures = run(database, jobs=asked.jobs, seconds=asked.seconds, every=asked.every, seed=asked.seed)
        sys.stdout.write(json.dumps(asdict(figures)) + "\n")
        sys.stdout.flush()
        good = good and figures.tally.is_clean and figures.settled_after <= CALM
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
