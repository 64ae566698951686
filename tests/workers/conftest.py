"""A small installation to work in: settings, archive, slides, a zygote, a broker, real workers."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coverslip.archive import kept
from coverslip.archive.archive import Archive
from coverslip.archive.records import SlideRecord
from coverslip.archive.states import State
from coverslip.confined.layers import Limits
from coverslip.confined.supervisor import Zygote
from coverslip.settings import Settings
from tests.faults.forks import ForkedProgram
from tests.processes import runs
from workers.programs import Program
from workers.station import Station
from workers.valkey import Valkey

CANARIES = "tests.workers.canaries"
ORIGINAL = b"an original, " * 1000
RUN = "from workers.run import run; from coverslip.settings import Settings; run(Settings(), 'tests.workers.slow_app')"
QUIET = (State.QUEUED, State.PROCESSING)


@dataclass
class Installation:
    """What the tests of this folder work with."""

    settings: Settings
    archive: Archive
    original = ORIGINAL

    def add_slide(
        self,
        filename: str = "x.svs",
        original: bytes = ORIGINAL,
        metadata: Mapping[str, str] | None = None,
        policy: str = "strict",
    ) -> tuple[str, str]:
        """Upload a file; returns the slide's and its job's id."""
        catalog, until = self.archive.catalog, datetime.now(UTC) + timedelta(days=1)
        upload = catalog.create_upload("owner", len(original), until, filename, metadata or {})
        writer = self.archive.writer(upload, self.archive.begin_patch(upload.uid))
        writer.write(original)
        writer.keep(writer.mark())
        writer.close()
        sid = self.archive.finish_upload(catalog.upload(upload.uid), policy, "default", str)
        return sid, catalog.jobs(sid)[-1].id

    def slide(self, sid: str) -> SlideRecord:
        """The slide as it stands."""
        return self.archive.catalog.slide(sid)

    def until(self, holds: Callable[[], bool], seconds: float = 300) -> float:
        """Wait for something; returns how long it took."""
        begin = time.monotonic()
        while not holds():
            if time.monotonic() - begin > seconds:
                raise TimeoutError
            time.sleep(0.05)
        return time.monotonic() - begin

    def files(self) -> set[str]:
        """Every file that is no database, broker file, key, original or verified draft kept for a retry."""
        root = self.settings.data_dir
        zones = ("review", "released", "tmp", "phi/quarantine")
        found = [path for zone in zones for path in (root / zone).rglob("*") if path.is_file()]
        return {str(path.relative_to(root)) for path in found if path.parent.suffix != kept.SUFFIX}


@pytest.fixture
def install(tmp_path, socket_dir) -> Iterator[Callable[..., Installation]]:
    """Makes an installation with short times; settings can be overridden."""
    with installing(tmp_path, socket_dir) as build:
        yield build


@contextmanager
def installing(folder: Path, socket_dir: Path) -> Iterator[Callable[..., Installation]]:
    """Makes installations in a folder."""
    made = []

    def build(**changes) -> Installation:
        short = {
            # Long enough that a healthy worker on a busy machine keeps its claim, short enough to wait for.
            "lease": timedelta(seconds=8),
            "heartbeat": timedelta(seconds=0.3),
            "sweep_every": timedelta(seconds=0.3),
            "retry_delay": timedelta(0),
            "shutdown_grace": timedelta(seconds=1),
            "broker_url": f"redis+socket://{socket_dir}/valkey.sock",
        }
        settings = Settings(data_dir=folder / "data", **{**short, **changes})
        made.append(Installation(settings, Archive.open(settings, with_vault=True)))
        return made[-1]

    yield build
    for installation in made:
        installation.archive.close()


@pytest.fixture
def installation(install) -> Installation:
    """An installation with short times."""
    return install()


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """The process canaries are forked from."""
    with Zygote(CANARIES) as process:
        yield process


@pytest.fixture
def station(installation, zygote) -> Callable[..., Station]:
    """Makes a station whose work is one of the canaries."""

    def make(work: str = "copy", name: str = "worker-a@test") -> Station:
        return Station(name, installation.archive, installation.settings, zygote, f"{CANARIES}:{work}")

    return make


@pytest.fixture
def limits() -> Limits:
    """Generous for an honest child, soon reached by a dishonest one."""
    return Limits(memory=1 << 30, cpu=timedelta(seconds=20), wall=timedelta(seconds=20), output=8 << 20)


@pytest.fixture
def valkey(socket_dir) -> Iterator[Valkey]:
    """The embedded broker."""
    with Valkey(socket_dir / "valkey.sock") as server:
        yield server


def environment(settings: Settings) -> dict[str, str]:
    """Settings as a child process reads them."""
    values = settings.model_dump(exclude_defaults=True, exclude={"secret_key"})
    plain = {name: value.total_seconds() if isinstance(value, timedelta) else value for name, value in values.items()}
    return {f"COVERSLIP_{name.upper()}": str(value) for name, value in plain.items()}


@pytest.fixture
def start(valkey, tmp_path) -> Iterator[Callable[..., Program]]:
    """Starts programs of ours as real processes; their standard error goes to `<tmp_path>/<name>.log`."""
    with starting(tmp_path) as begin:
        yield begin


@contextmanager
def starting(folder: Path) -> Iterator[Callable[..., Program]]:
    """Starts programs that write their standard error into a folder; all of them are dead afterwards."""
    started = []

    def begin(installation: Installation, name: str, code: str, work: str = "slow_copy") -> Program:
        variables = {**environment(installation.settings), "CANARY_WORK": work if ":" in work else f"{CANARIES}:{work}"}
        log = str(folder / f"{name}.log")
        wrapped = f"import os; os.dup2(os.open({log!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2); {code}"
        program = ForkedProgram(wrapped, environment=variables, grace=20)
        program.start()
        started.append(program)
        return program

    yield begin
    for program in started:
        program.kill()


class Relay:
    """One worker after the other in one installation: who takes over in one test serves the next.

    Each start costs seconds of a processor. So a test leaves a worker that is well, or none, and no slide for it.
    """

    def __init__(self, installation: Installation, valkey: Valkey, folder: Path, start: Callable[..., Program]) -> None:
        self.installation, self.valkey = installation, valkey
        self._folder, self._start = folder, start
        self._count = 0
        self._current: Program | None = None

    def next(self, code: str = RUN, work: str = "as_asked") -> Program:
        """Start another, which serves from now on."""
        self._count += 1
        self._current = self._start(self.installation, str(self._count), code, work)
        return self._current

    def now(self, code: str = RUN, work: str = "as_asked") -> Program:
        """The one that serves; another if it is gone."""
        return self._current if self._current is not None and self._current.pid is not None else self.next(code, work)

    def said(self, nth: int = -1) -> str:
        """What the last one has logged, or one before it."""
        return (self._folder / f"{self._count + 1 + nth}.log").read_text()


@pytest.fixture(scope="module")
def relay(tmp_path_factory) -> Iterator[Relay]:
    """Workers of one module's tests, on one broker."""
    folder = tmp_path_factory.mktemp("relay")
    with (
        tempfile.TemporaryDirectory(prefix="cs-") as sockets,
        Valkey(Path(sockets) / "valkey.sock") as server,
        installing(folder, Path(sockets)) as install,
        starting(folder) as start,
    ):
        yield Relay(install(), server, folder, start)


@pytest.fixture
def start_worker(start) -> Callable[..., Program]:
    """Starts a real Celery worker with its sweeper and watchdog; the work is a canary, or named whole."""
    return lambda installation, name="worker", work="slow_copy": start(installation, name, RUN, work)


def children(pid: int) -> set[int]:
    """Every process below `pid`."""
    import psutil

    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


@pytest.fixture
def below() -> Callable[[int], set[int]]:
    """Every process below one."""
    return children


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process runs (a zombie does not)."""
    return runs


@pytest.fixture
def here() -> int:
    """Our own process."""
    return os.getpid()
