"""A front end that is told to stop: what is under way when its grace is over ends with a word, not with a crash."""

import os
import signal
import socket

import pytest

from tests.faults.front import Front

DATA = bytes(1 << 20)


@pytest.fixture
def front(tmp_path):
    """A front end that may be told to stop."""
    found = Front(tmp_path / "data")
    found.start()
    yield found
    found.close()


def said(connection: socket.socket) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers and body of all that comes until the connection ends."""
    came = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, body = came.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.lower().split(": ", 1) for line in lines), body


def test_who_is_not_answered_yet_is_told_to_come_back(front):
    """Somebody who is still sending hears 503 and when to go on, as a typed refusal; the next front end goes on."""
    where = front.begin(DATA)
    with front.half(where, len(DATA), 0, DATA[:1000]) as connection:
        front.client.head("/healthz")  # by now the half has begun, too
        os.kill(front.pid, signal.SIGTERM)
        status, headers, body = said(connection)
    assert status.startswith("HTTP/1.1 503"), status
    assert headers["content-type"] == "application/problem+json"
    assert headers["retry-after"] == "2"
    assert headers["tus-resumable"] == "1.0.0"
    assert b'"overloaded"' in body
    front.kill()
    front.start()
    at = int(front.client.head(where).headers["Upload-Offset"])
    answer = front.patch(where, DATA[at:], at)
    assert answer.status_code == 204
    assert answer.headers["Coverslip-Slide"]
