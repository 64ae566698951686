"""A worker that could do nothing does not start, and one whose database or broker is away waits and says so."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys

import pytest

from coverslip.errors import SettingsInvalid
from coverslip.interrupts import ASKED_BY
from coverslip.settings import Settings
from workers.programs import Stopping
from workers.starting import broker_answers, check_policy, reached
from workers.valkey import Valkey

WORKER = (sys.executable, "-m", "workers")
SERVICE = (sys.executable, "-m", "service")
CELERY = (sys.executable, "-m", "celery", "-A", "workers.app", "beat")


@pytest.fixture
def start(tmp_path):
    """Starts a program with these settings; it is dead afterwards."""
    started = []

    def starting(program, **settings):
        environment = {**os.environ, "COVERSLIP_DATA_DIR": str(tmp_path / "data"), **settings}
        process = subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        return process

    yield starting
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def nobody():
    """A port nobody listens on, while it is bound."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("program", [WORKER, SERVICE, CELERY], ids=["worker", "service", "celery"])
def test_a_setting_that_cannot_be(program, start):
    """One line that names it, and sysexits' code for a configuration."""
    process = start(program, COVERSLIP_PORT="abc")
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.count("\n")) == (78, 1), said
    assert said.startswith("Coverslip does not start: COVERSLIP_PORT: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [("POLICY", "nosuch"), ("BROKER_URL", "amqp://localhost"), ("BROKER_URL", "garbage"), ("LOG_LEVEL", "LOUD")],
)
def test_a_worker_does_not_start(name, value, start):
    """With a policy there is none of, a broker of another kind, a word that is no level."""
    process = start(WORKER, **{f"COVERSLIP_{name}": value})
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.count("\n")) == (78, 1), said
    assert f"COVERSLIP_{name}" in said


def test_a_policy_is_tried(tmp_path):
    """A file that can be read is well, one that cannot is not."""
    (tmp_path / "mine.toml").write_text('name="mine"\nversion=1\ndescription="x"\nextends="strict"\n')
    check_policy(Settings(policy=str(tmp_path / "mine.toml")))
    (tmp_path / "mine.toml").write_text("[")
    with pytest.raises(SettingsInvalid):
        check_policy(Settings(policy=str(tmp_path / "mine.toml")))


@pytest.mark.parametrize("program", [WORKER, SERVICE], ids=["worker", "service"])
def test_a_database_that_is_away_is_waited_for(program, start, nobody):
    """It says so at each try, and leaves when told to."""
    process = start(program, COVERSLIP_DATABASE_URL=f"postgresql://127.0.0.1:{nobody}/none")
    said = [process.stderr.readline() for _ in range(2)]
    assert all("COVERSLIP_DATABASE_URL" in line for line in said), said
    process.terminate()
    assert process.wait(10) in (0, -signal.SIGTERM)


def test_a_closed_terminal_asks_it_to_leave(start, nobody):
    """As `kill` does: slides are given back, nobody waits for a lease. Started by `nohup`, it stays."""
    away = {"COVERSLIP_DATABASE_URL": f"postgresql://127.0.0.1:{nobody}/none"}
    leaves, stays = start(WORKER, **away), start(("nohup", *WORKER), **away)
    for process in (leaves, stays):
        while "COVERSLIP_DATABASE_URL" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGHUP)
    assert leaves.wait(10) == 0
    with pytest.raises(subprocess.TimeoutExpired):
        stays.wait(1)


@pytest.mark.parametrize("program", [WORKER, SERVICE], ids=["worker", "service"])
def test_a_crash_leaves_no_core(program, start, nobody):
    """A segmentation fault writes nothing of the process down: passwords, keys and people's names are in it."""
    process = start(program, COVERSLIP_DATABASE_URL=f"postgresql://127.0.0.1:{nobody}/none")
    process.stderr.readline()
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    process.send_signal(signal.SIGSEGV)
    _, status = os.waitpid(process.pid, 0)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)


def test_a_broker_that_is_away_is_waited_for(start, nobody):
    """The same, in the log's own form."""
    process = start(WORKER, COVERSLIP_BROKER_URL=f"redis://127.0.0.1:{nobody}/0")
    for _ in range(2):
        line = json.loads(process.stderr.readline())
        assert (line["where"], line["level"]) == ("COVERSLIP_BROKER_URL", "error")
    process.terminate()
    assert process.wait(10) == 0


def test_what_comes_back_is_found(tmp_path, monkeypatch):
    """A broker that answers is known to, and nobody waits."""
    handlers = {number: signal.getsignal(number) for number in ASKED_BY}
    path = tmp_path / "b" / "valkey.sock"
    settings = Settings(data_dir=tmp_path, broker_url=f"redis+socket://{path}")
    assert not broker_answers(settings)
    try:
        with Valkey(path):
            assert broker_answers(settings)
            monkeypatch.setattr(Stopping, "wait", lambda self, seconds: pytest.fail("somebody waits"))
            assert reached(settings, Stopping())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
