"""One command, everything: broker, worker and service start together and leave together."""

import os
import signal
import socket
import sys
import urllib.error
import urllib.request

import psutil
import pytest
import redis

from workers.programs import Program
from workers.valkey import KEPT


@pytest.fixture
def port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    """Whether the service says it is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.slow
def test_all_start_and_leave_together(tmp_path, installation, below, alive, port):
    """A signal to the one process ends every other; nothing listens any more."""
    variables = {"COVERSLIP_DATA_DIR": str(tmp_path / "d"), "COVERSLIP_PORT": str(port), "COVERSLIP_DEMO": "1"}
    with Program([sys.executable, "-m", "workers", "all"], environment=variables, grace=30) as together:
        installation.until(lambda: answers(port) and len(below(together.pid)) >= 5)
        leave_together(installation, together, signal.SIGINT, below, alive)
    assert not answers(port)


def leave_together(installation, together, number, below, alive):
    """Told so by one signal."""
    family = {together.pid, *below(together.pid)}
    os.kill(together.pid, number)
    installation.until(lambda: not any(alive(pid) for pid in family))
    assert together.status == 0


@pytest.mark.slow
def test_a_service_that_refuses_to_start_ends_the_rest(tmp_path, installation, port):
    """Open to the world without a key: the reason is told and the status is not 0."""
    variables = {"COVERSLIP_DATA_DIR": str(tmp_path / "d"), "COVERSLIP_PORT": str(port), "COVERSLIP_HOST": "0.0.0.0"}
    with Program([sys.executable, "-m", "workers", "all"], environment=variables, grace=30) as together:
        installation.until(lambda: together.status is not None)
    assert together.status != 0


@pytest.mark.slow
def test_whatever_of_it_is_killed_is_there_again(tmp_path, installation, below, alive, port):
    """A broker killed, stopped, or with a file nobody can read, a service killed or stopped: nobody has to help.

    And what has come again leaves like what was there at first.
    """
    data = tmp_path / "d"
    variables = {"COVERSLIP_DATA_DIR": str(data), "COVERSLIP_PORT": str(port), "COVERSLIP_DEMO": "1"}
    variables |= {"COVERSLIP_SWEEP_EVERY": "0.2"}
    with Program([sys.executable, "-m", "workers", "all"], environment=variables, grace=30) as together:
        for strike in (broker_killed, broker_stopped, broker_ruined, service_killed, service_stopped):
            installation.until(lambda: answers(port) and pings(data) and len(below(together.pid)) >= 5)
            name, number = strike(data)
            (struck,) = [pid for pid in below(together.pid) if is_called(pid, name)]
            os.kill(struck, number)
            installation.until(lambda pid=struck: not psutil.pid_exists(pid))
        installation.until(lambda: answers(port) and pings(data))
        assert together.status is None
        installation.until(lambda: len(below(together.pid)) >= 5)
        leave_together(installation, together, signal.SIGTERM, below, alive)
    assert not answers(port)


def broker_killed(data):
    return "valkey", signal.SIGKILL


def broker_stopped(data):
    return "valkey", signal.SIGSTOP


def broker_ruined(data):
    """In the middle, where it does not think of a write that was cut short."""
    (log,) = (data / "broker" / KEPT).glob("*.incr.aof")
    log.write_bytes(b"*3\r\n$3\r\nSET\r\nnonsense" + log.read_bytes() * 2)
    return "valkey", signal.SIGKILL


def service_killed(data):
    return "-m service", signal.SIGKILL


def service_stopped(data):
    return "-m service", signal.SIGSTOP


def is_called(pid, name):
    return name in " ".join(psutil.Process(pid).cmdline())


def pings(data):
    """Whether the broker answers."""
    with redis.Redis(unix_socket_path=str(data / "broker" / "valkey.sock"), socket_timeout=1) as client:
        try:
            return client.ping()
        except redis.RedisError:
            return False
