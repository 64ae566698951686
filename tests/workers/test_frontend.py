"""When a front end counts as hanging: it lets whoever asks wait, again and again."""

import socket
import threading
from contextlib import contextmanager

import psutil
import pytest

from coverslip.settings import Settings
from workers import frontend
from workers.frontend import STRIKES, FrontEnd


@pytest.fixture
def front_end(monkeypatch):
    """Makes one that is asked at a port and address of ours, and that nobody waits long for."""
    monkeypatch.setattr(frontend, "ANSWER", 0.2)
    return lambda port, host="127.0.0.1": FrontEnd(Settings(host=host, port=port))


@contextmanager
def listening(answer=None):
    """Something that listens: it takes connections and gives the answer, or none at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    guest, _ = server.accept()
                except OSError:
                    return
                guest.recv(1000)
                guest.sendall(answer)
                guest.close()

        if answer is not None:
            threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def verdicts(front_end, times):
    return [front_end.hangs() for _ in range(times)]


def test_it_hangs_when_it_was_silent_several_times_in_a_row(front_end):
    """It takes the connection (a stopped process does: the kernel takes it) and says nothing."""
    with listening() as port:
        assert verdicts(front_end(port), STRIKES) == [False] * (STRIKES - 1) + [True]


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_one_that_listens_everywhere_is_asked_here(front_end, host):
    """No request leaves the machine."""
    with listening() as port:
        assert verdicts(front_end(port, host), STRIKES)[-1]


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"nonsense", b""]
)
def test_whatever_answers_is_alive(front_end, answer):
    """Also one that has too many guests and sends the next ones away."""
    with listening(answer) as port:
        assert not any(verdicts(front_end(port), STRIKES * 2))


def test_one_that_does_not_listen_yet_is_not_silent(front_end):
    """It waits for its database, for as long as that takes."""
    with listening() as port:
        pass
    assert not any(verdicts(front_end(port), STRIKES * 2))


def test_an_answer_between_starts_the_count_anew(front_end, monkeypatch):
    """Silences that are no hanging: a busy machine."""
    said = iter([True] * (STRIKES - 1) + [False] + [True] * STRIKES)
    with listening() as port:
        asked = front_end(port)
        monkeypatch.setattr(asked, "_is_silent", lambda: next(said))
        assert verdicts(asked, STRIKES * 2) == [False] * (STRIKES * 2 - 1) + [True]


def test_one_that_was_started_again_is_given_time_again(front_end, monkeypatch):
    """Whoever was silent was another."""
    with listening() as port:
        asked = front_end(port)
        monkeypatch.setattr(asked, "start", lambda: None)
        verdicts(asked, STRIKES - 1)
        asked.replace()
        assert not asked.hangs()


@pytest.mark.parametrize(("answer", "refused"), [(b"HTTP/1.1 200 OK\r\n\r\n", False), (None, True)])
def test_one_that_leaves_before_it_ever_answered_has_refused(front_end, monkeypatch, answer, refused):
    """Starting it again helps nobody; one that was well once is started again."""
    with listening(answer) as port:
        asked = front_end(port)
        monkeypatch.setattr(type(asked), "status", 78)
        asked.hangs()
        assert asked.has_refused is refused


def test_one_that_is_stopped_before_it_listens_hangs(front_end, installation, tmp_path, monkeypatch):
    """It would never be silent, for nobody gets as far as asking it."""
    monkeypatch.setenv("COVERSLIP_DATA_DIR", str(tmp_path))
    with listening() as port:
        pass
    asked = front_end(port)
    asked.start()
    try:
        process = psutil.Process(asked.pid)
        process.suspend()
        installation.until(lambda: process.status() == psutil.STATUS_STOPPED)
        assert verdicts(asked, STRIKES)[-1]
        process.resume()
        installation.until(lambda: process.status() != psutil.STATUS_STOPPED)
        assert not asked.hangs()
    finally:
        asked.kill()
    assert not asked.hangs()
