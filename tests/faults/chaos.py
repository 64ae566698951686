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
from tests.faults.proxy import Proxy
from tests.faults.rig import Rig, Tally
from tests.s3_servers import Server

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
        if self.rig.s3 is not None:
            blows += [self.stall_bucket, self.reset_bucket, self.refuse_bucket, self.say_slow_down, self.say_error]
            blows += [self.cut_bucket, self.kill_bucket] + [self.kill_front] * 2
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
        self.rig.proxy.refuse()
        self._later(1.0, self.rig.proxy.heal)

    def stall_bucket(self) -> None:
        """The bucket takes connections and says nothing."""
        self._bucket(lambda s3: s3.stall())

    def reset_bucket(self) -> None:
        """RST on every connection to the bucket."""
        self._bucket(lambda s3: s3.reset())

    def refuse_bucket(self) -> None:
        """The bucket takes no connections."""
        self._bucket(lambda s3: s3.refuse())

    def say_slow_down(self) -> None:
        """503 SlowDown for every request."""
        self._bucket(lambda s3: s3.say(503))

    def say_error(self) -> None:
        """500 InternalError for every request."""
        self._bucket(lambda s3: s3.say(500))

    def cut_bucket(self) -> None:
        """Connections are reset in the middle of what is sent next."""
        size = self.random.randrange(1, 40_000)
        self._bucket(lambda s3: s3.cut_after(size))

    def kill_bucket(self) -> None:
        """SIGKILL the bucket's server; it is back a moment later."""
        server = self.rig.server
        assert server is not None
        server.kill()
        self._later(self.random.uniform(0.1, 2), server.start)

    def kill_front(self) -> None:
        """SIGKILL the front end while files come in; it is back a moment later."""
        front = self.rig.front
        assert front is not None
        front.kill()
        front.start()

    def _bucket(self, blow: Callable[[Proxy], None]) -> None:
        s3 = self.rig.s3
        assert s3 is not None
        blow(s3)
        self._later(self.random.choice(STALLS), s3.heal)

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
    bucket: bool
    seed: int
    seconds: float
    settled_after: float
    """Seconds from the last blow until every job had come to an end."""
    restarts: int
    struck: dict[str, int]
    untyped: list[str]
    """Answers to uploads that should not have been."""
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
            rig.add(min(3, jobs - rig.asked, max(0, int(jobs * (0.1 + passed / seconds)) - rig.asked)))
        time.sleep(0.05)
    blows.heal()
    rig.add(jobs - rig.asked)
    settled = rig.until(lambda: rig.open_jobs() == 0, PATIENCE)
    rig.stop()
    return Figures(
        "sqlite" if postgres is None else "postgresql",
        rig.s3 is not None,
        seed,
        seconds,
        settled,
        rig.restarts,
        dict(blows.struck),
        rig.senders.untyped if rig.senders is not None else [],
        rig.tally(),
    )


def broker_kills(rig: Rig, rounds: int) -> list[float]:
    """Kill the broker under work, again and again; seconds from its return until new work is finished."""
    took = []
    for _ in range(rounds):
        rig.add(5)
        time.sleep(0.2)
        assert rig.valkey.pid is not None
        os.kill(rig.valkey.pid, signal.SIGKILL)
        rig.valkey.stop()
        time.sleep(0.3)
        rig.valkey.start()
        rig.add(1)
        took.append(rig.until(lambda: rig.open_jobs() == 0, PATIENCE))
    return took


def run(database: str, *, jobs: int, seconds: float, every: float, seed: int, bucket: bool = False) -> Figures:
    """One storm on a database of its own; with `bucket` slides lie in an S3 server's, which is struck too."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-chaos-")))
        postgres = stack.enter_context(Postgres()) if database == "postgresql" else None
        server = _server(stack, folder) if bucket else None
        rig = stack.enter_context(Rig(folder, _sockets(stack), postgres.url if postgres else "", bucket=server))
        return storm(rig, postgres, jobs=jobs, seconds=seconds, every=every, seed=seed)


def run_broker_kills(rounds: int) -> list[float]:
    """Broker kills on an installation of their own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-chaos-")))
        rig = stack.enter_context(Rig(folder, _sockets(stack)))
        rig.add(1)
        rig.until(lambda: rig.open_jobs() == 0, PATIENCE)
        return broker_kills(rig, rounds)


def _server(stack: ExitStack, folder: Path) -> Server:
    (folder / "bucket").mkdir()
    server = Server("nanio", folder / "bucket")
    stack.callback(server.end)
    return server


def _sockets(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-")))


def main() -> int:
    """The long runs; 0 when every figure is as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=0.8)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--bucket", action="store_true", help="slides lie in a bucket, which is struck too")
    asked = parser.parse_args()
    good = True
    for database in ("sqlite", "postgresql"):
        figures = run(
            database, jobs=asked.jobs, seconds=asked.seconds, every=asked.every, seed=asked.seed, bucket=asked.bucket
        )
        sys.stdout.write(json.dumps(asdict(figures)) + "\n")
        sys.stdout.flush()
        good = good and figures.tally.is_clean and not figures.untyped and figures.settled_after <= CALM
    took = run_broker_kills(asked.kills)
    sys.stdout.write(
        json.dumps({"broker kills": len(took), "median": sorted(took)[len(took) // 2], "worst": max(took)}) + "\n"
    )
    return 0 if good and max(took) <= 15 else 1


if __name__ == "__main__":
    raise SystemExit(main())
