"""Everything that works on jobs, each part a process that may be shot, and what must hold whatever was shot."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import psutil
from pydantic import SecretStr

from coverslip.archive import tidying
from coverslip.archive.archive import Archive
from coverslip.archive.records import SlideRecord
from coverslip.archive.states import JobState, State
from coverslip.archive.storage import Zone
from coverslip.errors import NotFound
from coverslip.settings import Settings
from tests.faults.clients import Clients
from tests.faults.forks import ForkedProgram
from tests.faults.front import Front
from tests.faults.kernel import Memory
from tests.faults.proxy import Proxy
from tests.faults.weights import misweighed
from tests.s3_servers import Server, left_behind, settings_of
from workers.programs import Program
from workers.sweeper import tidy
from workers.valkey import Valkey

ORIGINAL = b"an original, " * 1000
CANARIES = "tests.workers.canaries"
RUN = """
from coverslip.settings import Settings
from workers import logs
from workers.run import run
logs.configure("INFO")
run(Settings(), "tests.workers.slow_app")
"""
TERMINAL = frozenset({State.IN_REVIEW, State.QUARANTINED, State.REJECTED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Tally:
    """How a run ended; everything but `jobs` and `attempts` should be zero."""

    jobs: int
    attempts: int
    open: int
    """Jobs that came to no end."""
    not_published: int
    published_twice: int
    damaged: int
    """Rows whose folder is missing or holds other bytes than were uploaded."""
    orphans: int
    """Folders, objects, pieces, things begun and drafts no row accounts for once tidying is done."""
    misweighed: int
    """Owners whose originals weigh something else than their sum says."""

    @property
    def is_clean(self) -> bool:
        """Whether every job took effect exactly once."""
        wrong = (self.open, self.not_published, self.published_twice, self.damaged, self.orphans, self.misweighed)
        return not any(wrong)


class Rig:
    """A broker behind a network, workers, a front end where one is asked for, and init, which starts them again."""

    def __init__(
        self,
        folder: Path,
        sockets: Path,
        database_url: str = "",
        *,
        workers: int = 2,
        work: str = "copy",
        first: str = "",
        served: bool = False,
        memory: Memory | None = None,
        bucket: Server | None = None,
        **changes: object,
    ) -> None:
        """`work` is a canary's name; `first` is code every worker runs before anything else.

        `served`: slides come in over HTTP, through a front end that may be shot. `memory`: the group of processes that
        everything started here belongs to. `bucket`: where slides lie, behind a network of its own.
        """
        self.valkey = Valkey(sockets / "valkey.sock")
        self.proxy = Proxy(self.valkey.socket)
        self.server = bucket
        self.s3 = None if bucket is None else Proxy(bucket.port)
        self._folder = folder
        self.memory = memory
        self._count, self._work = workers, work
        self._first = "; ".join(filter(None, (first, memory.join if memory else "")))
        short = {
            "lease": timedelta(seconds=4),
            "heartbeat": timedelta(seconds=0.5),
            "sweep_every": timedelta(seconds=0.5),
            "retry_delay": timedelta(0),
            "shutdown_grace": timedelta(seconds=1),
            "watchdog_every": timedelta(seconds=5),
            "watchdog_stall": timedelta(seconds=15),
            # Here it is us who kill, and a job must come through however often it is hit.
            "max_attempts": 1000,
            "concurrency": 2,
        }
        lies = {} if self.s3 is None or bucket is None else _lying_in(bucket, self.s3)
        self.settings = Settings(
            data_dir=folder / "data",
            database_url=database_url,
            broker_url=f"redis://127.0.0.1:{self.proxy.port}/0",
            **{**short, **lies, **changes},
        )
        self.archive = Archive.open(self.settings, with_vault=True)
        self.workers: list[Program] = []
        self.front = Front(self.settings.data_dir, {"database_url": database_url, **lies}) if served else None
        self._clients = Clients(self.front, ORIGINAL) if self.front else None
        self._sids: list[str] = []
        self.restarts = 0
        self._stack = ExitStack()
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self._stack.callback(self.archive.close)
        self._stack.enter_context(self.valkey)
        self._stack.enter_context(self.proxy)
        if self.s3 is not None:
            self._stack.enter_context(self.s3)
        if self.front is not None and self._clients is not None:
            self._stack.callback(self.front.close)
            self._launch(self.front)
            self._stack.enter_context(self._clients)
        for _ in range(self._count):
            self.add_worker()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add_worker(self) -> Program:
        """One more."""
        program = self._program(len(self.workers))
        self._stack.callback(program.kill)
        self.workers.append(program)
        program.start()
        return program

    def tend(self) -> None:
        """What systemd or Kubernetes would do: start again what is gone."""
        for program in self.workers:
            if program.pid is None:
                self.restarts += 1
                program.start()
        if self.front is not None and not self.front.runs:
            self.restarts += 1
            self._launch(self.front)

    @property
    def sids(self) -> list[str]:
        """Slides whose arrival was acknowledged."""
        return self._sids if self._clients is None else self._clients.sids

    @property
    def missing(self) -> int:
        """Slides that were asked for and are still on their way in."""
        return 0 if self._clients is None else self._clients.missing

    @property
    def answers(self) -> dict[int, int]:
        """What clients were told instead of yes, by status."""
        return {} if self._clients is None else self._clients.answers

    @property
    def untyped(self) -> list[str]:
        """Of those, what nobody should ever be told."""
        return [] if self._clients is None else self._clients.untyped

    def add(self, count: int) -> None:
        """Upload small slides: here and now, or by the clients of the front end in their own time."""
        if self._clients is not None:
            self._clients.want(len(self.sids) + self.missing + count)
            return
        for _ in range(count):
            self._sids.append(upload(self.archive))

    def family(self) -> list[psutil.Process]:
        """Every process of every worker, each supervisor before those below it."""
        return [process for program in self.workers for process in family_of(program)]

    def log(self, number: int) -> str:
        """What a worker said."""
        return self._log(number).read_text()

    def replaced(self) -> int:
        """How often somebody had to start something again: init a supervisor, a supervisor its worker."""
        said = [self.log(number) for number in range(len(self.workers))]
        return self.restarts + sum(log.count('"worker died"') + log.count('"worker hangs"') for log in said)

    def open_jobs(self) -> int:
        """Slides that came to no end yet, those on their way in among them."""
        return self.missing + sum(
            count for state, count in self.archive.catalog.counts().items() if state not in TERMINAL
        )

    def until(self, holds: Callable[[], bool], seconds: float) -> float:
        """Wait for something while tending; returns how long it took."""
        begin = time.monotonic()
        while not holds():
            if time.monotonic() - begin > seconds:
                raise TimeoutError
            self.tend()
            time.sleep(0.1)
        return time.monotonic() - begin

    def stop(self) -> None:
        """End front end and workers, so that nothing moves while we count."""
        if self.front is not None:
            self.front.kill()
        for program in self.workers:
            program.kill()

    def _launch(self, front: Front) -> None:
        front.launch()
        if self.memory is not None:
            self.memory.add(front.pid)

    def tally(self) -> Tally:
        """Compare rows, trail and disk."""
        catalog = self.archive.catalog
        tidy(self.archive)
        later = datetime.now(UTC) + tidying.ORPHAN_AGE + timedelta(hours=1)
        catalog._now = lambda: later
        tidying.collect(self.archive, later)
        slides = self._slides()
        assert set(self.sids) <= {slide.sid for slide in slides}, "an acknowledged slide is lost"
        jobs = [job for slide in slides for job in catalog.jobs(slide.sid)]
        published = [[event.after for event in catalog.events(slide.sid)].count("in_review") for slide in slides]
        known = {(slide.sid, slide.artefact) for slide in slides}
        found = set(self.archive.clean.artefacts_in(Zone.REVIEW))
        return Tally(
            jobs=len(jobs),
            attempts=sum(job.token for job in jobs),
            open=sum(job.state in (JobState.QUEUED, JobState.RUNNING) for job in jobs),
            not_published=sum(count == 0 for count in published),
            published_twice=sum(count > 1 for count in published),
            damaged=sum(not self._is_whole(slide.sid, slide.artefact) for slide in slides),
            orphans=len(found - known) + len(self.archive.storage.drafts()) + self._strays(),
            misweighed=len(misweighed(catalog)),
        )

    def _strays(self) -> int:
        """What else is left: originals without a row; in a bucket pieces, and everything begun."""
        names = {kept.name for kept in self.archive.originals.store.names()}
        begun = [] if self.server is None else left_behind(self.server.bucket)
        return len(names - self.archive.catalog.original_names()) + len(begun)

    def _slides(self) -> list[SlideRecord]:
        """All there are: also one whose commit was made and whose answer was lost."""
        page = self.archive.catalog.slides(limit=500)
        found = list(page.slides)
        while page.cursor is not None:
            page = self.archive.catalog.slides(cursor=page.cursor, limit=500)
            found += page.slides
        return found

    def _is_whole(self, sid: str, artefact: str | None) -> bool:
        if artefact is None:
            return False
        try:
            clean = self.archive.clean.file(Zone.REVIEW, sid, artefact, "slide.svs")
        except NotFound:
            return False
        return clean.read(len(ORIGINAL) + 1, 0) == ORIGINAL

    def _program(self, number: int) -> Program:
        log = str(self._log(number))
        code = f"import os; os.dup2(os.open({log!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2); {self._first}\n{RUN}"
        variables = {**environment(self.settings), "CANARY_WORK": f"{CANARIES}:{self._work}"}
        return ForkedProgram(code, environment=variables, grace=10)

    def _log(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"


def family_of(program: Program) -> list[psutil.Process]:
    """A supervisor and every process below it; nobody when it is gone."""
    try:
        top = psutil.Process(program.pid) if program.pid is not None else None
        return [] if top is None else [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def environment(settings: Settings) -> dict[str, str]:
    """Settings as a child process reads them."""
    values = settings.model_dump(exclude_defaults=True, exclude={"secret_key"})
    plain = {name: _plain(value) for name, value in values.items()}
    return {f"COVERSLIP_{name.upper()}": str(value) for name, value in plain.items()} | {"PYTHONPATH": os.getcwd()}  # noqa: PTH109


def _lying_in(server: Server, network: Proxy) -> dict[str, str]:
    """Settings of an installation whose slides lie there, and which does not wait long for an answer."""
    there = replace(server.bucket, endpoint=f"http://127.0.0.1:{network.port}")
    return {**settings_of(there), "s3_patience": "2"}


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value.total_seconds() if isinstance(value, timedelta) else value


def upload(archive: Archive, data: bytes = ORIGINAL) -> str:
    """Bring a file in as the front end does; its slide's id."""
    catalog = archive.catalog
    upload = catalog.create_upload("owner", len(data), datetime.now(UTC) + timedelta(days=1), "x.svs", {})
    writer = archive.writer(upload, archive.begin_patch(upload.uid))
    try:
        writer.write(data)
        writer.keep(writer.mark())
    finally:
        writer.close()
    return archive.finish_upload(catalog.upload(upload.uid), "strict", "default", str)
