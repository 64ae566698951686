"""Chaos: random blows at front end, workers, broker, network, memory, database, bucket and disk while slides come in
over HTTP and jobs run; then the books must balance.

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

from coverslip.settings import Settings
from tests.faults.kernel import Disk, memory_group_if_any, small_disk
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
ROOM = 8 << 30
"""Bytes all processes may have together; a storm leaves them less now and then."""
SQUEEZED = 1.5
"""Seconds without room."""
DISK = "256m"
"""A small disk, as tmpfs is asked for it: a thousand slides take a third of it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What storm there is to be."""

    database: str
    """`sqlite` or `postgresql`."""
    jobs: int = 1000
    seconds: float = 60
    every: float = 0.8
    """Seconds from blow to blow, about."""
    seed: int = 7
    bucket: bool = False
    """Whether slides lie in an S3 server's, which is struck too."""
    disk: bool = False
    """Whether everything, logs and a SQLite catalogue included, lies on a small disk, which is struck too."""
    outages: bool = False
    """Whether only what others run is struck: broker, database, bucket, disk and the ways to them. Then a slide has the
    usual three attempts, and not one may be quarantined."""


@dataclass
class Blows:
    """What may be done to a rig; each blow is undone by `heal` or by those who are meant to recover."""

    rig: Rig
    random: random.Random
    postgres: Postgres | None
    disk: Disk | None
    outages: bool
    struck: Counter[str] = field(default_factory=Counter)
    _due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _deck: list[Callable[[], None]] = field(default_factory=list)

    def strike(self) -> None:
        """One blow: the next of a deck that is shuffled anew when it is empty, so that each kind comes."""
        if not self._deck:
            self._deck = self._all()
            self.random.shuffle(self._deck)
        blow = self._deck.pop()
        with suppress(psutil.NoSuchProcess):
            blow()
            self.struck[blow.__name__.replace("_", " ")] += 1

    def _all(self) -> list[Callable[[], None]]:
        workers = [self.kill_some] * 4 + [self.term_some] * 2 + [self.stop_some] * 2 + [self.kill_worker]
        api = [self.kill_api] * 2 + [self.term_api, self.stop_api] if self.rig.front else []
        broker = [self.kill_broker, self.flush, self.stall, self.reset, self.refuse]
        memory = [self.squeeze if self.rig.memory else self.starve]
        bucket = [self.stall_bucket, self.reset_bucket, self.refuse_bucket, self.say_slow_down, self.say_error]
        bucket = [*bucket, self.cut_bucket, self.kill_bucket] if self.rig.s3 else []
        database = [self.crash_database, self.stall_database] if self.postgres else []
        disk = [self.fill_disk, self.lock_disk] if self.disk else []
        ours = [] if self.outages else workers + api
        return ours + broker + ([] if self.outages else memory) + bucket + database + disk

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

    def kill_api(self) -> None:
        """SIGKILL the front end, whatever it is being sent."""
        self._api().kill()

    def term_api(self) -> None:
        """SIGTERM the same."""
        self._api().terminate()

    def stop_api(self) -> None:
        """SIGSTOP the same, and SIGCONT later."""
        process = self._api()
        process.suspend()
        self._later(self.random.choice(STALLS), lambda: _resume(process))

    def squeeze(self) -> None:
        """No more memory for anybody than there is in use: the kernel kills who wants more."""
        assert self.rig.memory is not None
        self.rig.memory.squeeze()
        self._later(SQUEEZED, lambda: _give_room(self.rig))

    def starve(self) -> None:
        """The same for one process, which is told so instead of being killed: where there are no groups."""
        process = self._some()
        before = process.rlimit(psutil.RLIMIT_AS)
        process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms, before[1]))
        self._later(SQUEEZED, lambda: _unlimit(process, before))

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
        self._bucket(Proxy.stall)

    def reset_bucket(self) -> None:
        """RST on every connection to the bucket."""
        self._bucket(Proxy.reset)

    def refuse_bucket(self) -> None:
        """The bucket takes no connections."""
        self._bucket(Proxy.refuse)

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
        assert self.rig.server is not None
        self.rig.server.kill()
        self._later(self.random.uniform(0.1, 2), self.rig.server.start)

    def crash_database(self) -> None:
        """PostgreSQL `immediate` stop and start."""
        assert self.postgres is not None
        self.postgres.crash()
        self._later(0.5, self.postgres.start)

    def stall_database(self) -> None:
        """SIGSTOP of PostgreSQL and its sessions, and SIGCONT later."""
        assert self.postgres is not None
        self.postgres.stall()
        self._later(self.random.choice(STALLS), self.postgres.go_on)

    def fill_disk(self) -> None:
        """No room for anybody."""
        assert self.disk is not None
        self._later(self.random.choice(STALLS), self.disk.fill())

    def lock_disk(self) -> None:
        """Read-only for whoever opens a file meanwhile."""
        assert self.disk is not None
        self._later(self.random.choice(STALLS), self.disk.lock())

    def _bucket(self, blow: Callable[[Proxy], None]) -> None:
        assert self.rig.s3 is not None
        blow(self.rig.s3)
        self._later(self.random.choice(STALLS), self.rig.s3.heal)

    def _some(self) -> psutil.Process:
        tops = {program.pid for program in self.rig.workers}
        below = [process for process in self.rig.family() if process.pid not in tops]
        if not below:
            raise psutil.NoSuchProcess(0)
        return self.random.choice(below)

    def _api(self) -> psutil.Process:
        front = self.rig.front
        if front is None or not front.runs:
            raise psutil.NoSuchProcess(0)
        return psutil.Process(front.pid)

    def _start_broker(self) -> None:
        if self.rig.valkey.pid is None:
            self.rig.valkey.start()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + seconds, act))


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


def _unlimit(process: psutil.Process, limits: tuple[int, int]) -> None:
    with suppress(psutil.NoSuchProcess):
        process.rlimit(psutil.RLIMIT_AS, limits)


def _give_room(rig: Rig) -> None:
    if rig.memory is not None:
        rig.memory.bound(ROOM)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run showed."""

    order: Order
    blows: int
    arrived: int
    """Slides acknowledged while blows fell."""
    open_at_end: int
    """Jobs that had not come to an end when the last blow was undone."""
    settled_after: float
    """Seconds from then until every job had."""
    idle: float
    """Seconds a job takes on this machine with nobody struck, all of them at once."""
    starting: float
    """Seconds from the start of everything to the first slide's end: the same once more after a blow."""
    restarts: int
    oom_kills: int
    struck: dict[str, int]
    answers: dict[int, int]
    """What clients were told instead of yes, by status; 0 is an answer that did not come."""
    untyped: list[str]
    tally: Tally

    @property
    def is_calm(self) -> bool:
        """At an end within the target, and what the machine needs for as much work and one more start anyway."""
        return self.settled_after <= CALM + 2 * (self.open_at_end * self.idle + self.starting)

    @property
    def is_dense(self) -> bool:
        """Whether at least half of the blows fell that should have."""
        return self.blows >= self.order.seconds / self.order.every / 2

    @property
    def is_clean(self) -> bool:
        """Nothing lost, doubled, damaged or left over, and nobody was told what nobody should be told."""
        return self.tally.is_clean and not self.untyped


def storm(rig: Rig, blows: Blows, order: Order) -> Figures:
    """Strike while slides come in; then wait, stop everything and count."""
    jobs, seconds = order.jobs, order.seconds
    starting, idle = _unstruck(rig, max(10, jobs // 20))
    begun, begin = len(rig.sids), time.monotonic()
    next_blow = begin
    while (passed := time.monotonic() - begin) < seconds:
        if time.monotonic() >= next_blow:
            blows.strike()
            next_blow += blows.random.uniform(0.5, 1.5) * order.every
        blows.recover()
        rig.tend()
        asked = len(rig.sids) + rig.missing
        rig.add(max(0, begun + int((jobs - begun) * passed / seconds) - asked))
        time.sleep(0.05)
    arrived = len(rig.sids) - begun
    blows.heal()
    rig.add(max(0, jobs - len(rig.sids) - rig.missing))
    open_at_end = rig.open_jobs()
    settled = rig.until(lambda: rig.open_jobs() == 0, PATIENCE)
    rig.stop()
    return Figures(
        order=order,
        blows=sum(blows.struck.values()),
        arrived=arrived,
        open_at_end=open_at_end,
        settled_after=settled,
        idle=idle,
        starting=starting,
        restarts=rig.restarts,
        oom_kills=rig.memory.kills if rig.memory else 0,
        struck=dict(blows.struck),
        answers=rig.answers,
        untyped=rig.untyped,
        tally=rig.tally(),
    )


def _unstruck(rig: Rig, jobs: int) -> tuple[float, float]:
    """(seconds to the first slide's end, seconds a slide takes after it) before anybody is struck."""
    rig.add(1)
    starting = rig.until(lambda: rig.open_jobs() == 0, PATIENCE)
    rig.add(jobs)
    return starting, rig.until(lambda: rig.open_jobs() == 0, PATIENCE) / jobs


def run(order: Order) -> Figures:
    """One storm on a database of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-chaos-")))
        disk = stack.enter_context(small_disk(folder, DISK)) if order.disk else None
        postgres = stack.enter_context(Postgres()) if order.database == "postgresql" else None
        server = _server(stack, folder / "bucket") if order.bucket else None
        memory = stack.enter_context(memory_group_if_any(ROOM))
        url = postgres.url if postgres else ""
        usual = {"max_attempts": Settings.model_fields["max_attempts"].default} if order.outages else {}
        at, sockets = disk.path if disk else folder, _sockets(stack)
        rig = Rig(at, sockets, url, work="brief_copy", served=True, memory=memory, bucket=server, **usual)
        blows = Blows(stack.enter_context(rig), random.Random(order.seed), postgres, disk, order.outages)
        stack.callback(blows.heal)
        return storm(rig, blows, order)


def _server(stack: ExitStack, folder: Path) -> Server:
    folder.mkdir()
    server = Server("nanio", folder)
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
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--bucket", action="store_true", help="slides lie in a bucket, which is struck too")
    parser.add_argument("--disk", action="store_true", help="all lies on a small disk, which is struck too")
    parser.add_argument("--outages", action="store_true", help="strike what others run only; three attempts a slide")
    asked = vars(parser.parse_args())
    databases = asked.pop("database") or ("sqlite", "postgresql")
    good = True
    for database in databases:
        figures = run(Order(database, **asked))
        sys.stdout.write(json.dumps(asdict(figures)) + "\n")
        sys.stdout.flush()
        good = good and figures.is_clean and figures.is_dense and figures.settled_after <= CALM
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
