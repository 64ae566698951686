"""One command, everything: broker, worker and service start together and leave together."""

import os
import signal
import socket
import sys
import urllib.error
import urllib.request

import pytest

from workers.programs import Program


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
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_start_and_leave_together(tmp_path, installation, below, alive, port, number):
    """A signal to the one process ends every other; nothing listens any more."""
    variables = {"COVERSLIP_DATA_DIR": str(tmp_path / "d"), "COVERSLIP_PORT": str(port), "COVERSLIP_DEMO": "1"}
    with Program([sys.executable, "-m", "workers", "all"], environment=variables, grace=30) as together:
        installation.until(lambda: answers(port) and len(below(together.pid)) >= 5)
        family = {together.pid, *below(together.pid)}
        os.kill(together.pid, number)
        installation.until(lambda: not any(alive(pid) for pid in family))
        assert together.status == 0
    assert not answers(port)


@pytest.mark.slow
def test_a_service_that_refuses_to_start_ends_the_rest(tmp_path, installation, port):
    """Open to the world without a key: the reason is told and the status is not 0."""
    variables = {"COVERSLIP_DATA_DIR": str(tmp_path / "d"), "COVERSLIP_PORT": str(port), "COVERSLIP_HOST": "0.0.0.0"}
    with Program([sys.executable, "-m", "workers", "all"], environment=variables, grace=30) as together:
        installation.until(lambda: together.status is not None)
    assert together.status != 0
