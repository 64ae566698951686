"""What a caller without a credential may cost: head, time and connections are bounded, over real sockets."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from coverslip.archive.states import State
from service import edge, guard
from service.express import Express
from service.guard import HEAD_BYTES

LINE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


def connect(url):
    """A bare connection."""
    where = urlsplit(url)
    return socket.create_connection((where.hostname, where.port), timeout=20)


def everything(sock):
    """(status line, body) of all that comes until the other side leaves."""
    found = b""
    while piece := sock.recv(1 << 16):
        found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], body


def refused(url, pieces):
    """Send until nobody listens any more; what was answered and how many bytes were taken."""
    sent = 0
    with connect(url) as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            line, body = everything(sock)
        except ConnectionResetError:
            return b"", {}, sent
        return line, json.loads(body) if body else {}, sent


HEADS = {
    "one header": [LINE + b"X: " + b"x" * HEAD_BYTES + b"\r\n\r\n"],
    "one header without an end": [LINE + b"X: "] + [b"x" * 4096] * 40,
    "many small headers": [LINE + b"a:b\r\n" * 20_000 + b"\r\n"],
    "many small headers, slowly": [LINE] + [b"a:b\r\n" * 100] * 400,
    "an address": [b"GET /" + b"a" * (HEAD_BYTES + 1) + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
    "an address without an end": [b"GET /"] + [b"a" * 4096] * 40,
    "after a request": [LINE + b"\r\n" + LINE + b"X: " + b"x" * (3 * HEAD_BYTES)],
}


@pytest.mark.parametrize("case", HEADS)
def test_a_head_is_at_most_64_kib(house, case):
    """Beyond it the answer is 431 and the connection ends, whichever part of the head is long."""
    line, problem, _ = refused(house.url, HEADS[case])
    if case == "after a request":
        assert line == b"HTTP/1.1 200 OK"
    else:
        assert line.split()[1] == b"431"
        assert problem["code"] == "head-too-large"


def test_a_head_of_60_kib_is_taken(house):
    """What fits is answered."""
    line, _, _ = refused(house.url, [LINE + b"X: " + b"x" * (60 << 10) + b"\r\nConnection: close\r\n\r\n"])
    assert line == b"HTTP/1.1 200 OK"


def test_trailers_are_bounded_too(house):
    """A chunked body's trailers grow in the parser as headers do; a megabyte of them is not taken."""
    key = house.keys["curator"].encode()
    head = b"POST /api/v1/pauses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key
    head += b"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: "
    _, _, sent = refused(house.url, [head] + [b"x" * 4096] * 10_000)
    assert sent < 10_000 * 4096


def test_a_body_is_no_head(house):
    """Long bodies of uploads pass: a megabyte whose pieces come as they like, refused for its credential only."""
    body = b"x" * (1 << 20)
    with house.client() as client:
        answer = client.post("/uploads", content=body)
    assert answer.status_code == 401
    tile = f"/slides/{house.slide(State.RELEASED)}_files/9/0_0.jpg"
    with house.client() as client:
        assert [client.request("GET", tile, content=body).status_code for _ in range(2)] == [200, 200]


def test_memory_stays_flat(process):
    """Three hundred mebibytes of one header cost the process less than ten."""
    before = resident(process.running.pid)
    line, _, sent = refused(process.url, [LINE + b"X: "] + [b"x" * (1 << 20)] * 300)
    assert line.split()[1:2] in ([b"431"], [])
    assert sent < 300 << 20
    assert resident(process.running.pid) - before < 10 << 20


def resident(pid):
    """Bytes of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("sent", [b"", b"GET /heal", LINE, b"\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(house, monkeypatch, sent):
    """A silent connection is closed, half a head is answered 408, both in time; others are served meanwhile."""
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.5)
    began = time.monotonic()
    with connect(house.url) as sock:
        sock.sendall(sent)
        line, body = everything(sock)
    assert time.monotonic() - began < 10
    if sent.strip():
        assert (line.split()[1], json.loads(body)["code"]) == (b"408", "head-late")
    else:
        assert line == b""


def test_a_trickle_gains_no_time(house, monkeypatch):
    """A byte now and then does not set the clock back."""
    monkeypatch.setattr(guard, "HEAD_SECONDS", 1.0)
    began = time.monotonic()
    with connect(house.url) as sock:
        assert trickled(sock, LINE * 1000) < len(LINE * 1000)
    assert time.monotonic() - began < 15


def trickled(sock, data):
    """How many bytes somebody takes, one at a time."""
    for count, byte in enumerate(data):
        try:
            sock.sendall(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            return count
        time.sleep(0.1)
    return len(data)


def test_a_long_answer_is_not_cut_by_the_clock(house, monkeypatch):
    """The clock is for heads: an answer that takes longer than it comes whole."""
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.3)
    with house.client() as client, client.stream("GET", "/live") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        time.sleep(1)
        assert next(lines) == "event: hello"


def test_a_kept_connection_lives_on_between_requests(house, monkeypatch):
    """Between two requests the keep-alive time counts, not the head's."""
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.3)
    tile = f"/slides/{house.slide(State.RELEASED)}_files/9/0_0.jpg"
    with connect(house.url) as sock:
        for path in ("/healthz", tile, "/healthz"):
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(12) == b"HTTP/1.1 200"
            time.sleep(1)
            sock.recv(1 << 20)


def test_small_bodies_have_a_time(house, monkeypatch):
    """A form that never comes to its end holds nobody for long."""
    monkeypatch.setattr(edge, "BODY_SECONDS", 0.5)
    head = b"POST /signin HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    began = time.monotonic()
    with connect(house.url) as sock:
        sock.sendall(head + b"Content-Length: 1000\r\nConnection: close\r\n\r\nkey=")
        line, _ = everything(sock)
    assert time.monotonic() - began < 10
    assert line.split()[1:2] in ([b"400"], [])


def test_connections_are_counted(house, monkeypatch):
    """One more than allowed is refused with 503 and Retry-After; a place that is free again is taken."""
    for kind in Express.__subclasses__():
        monkeypatch.setattr(kind, "most_connections", 20)
    with ExitStack() as stack:
        held = [stack.enter_context(connect(house.url)) for _ in range(40)]
        readable, deadline = [], time.monotonic() + 20
        while len(readable) < 20 and time.monotonic() < deadline:
            readable = select.select(held, [], [], 0.1)[0]
        time.sleep(0.5)  # a place that were refused too much
        refused_ones = [said for said in map(first_bytes, held) if said]
        assert 20 <= len(refused_ones) < 40
        assert all(said.startswith(b"HTTP/1.1 503") and b"retry-after: 2" in said.lower() for said in refused_ones)
    for _ in range(100):
        try:
            if httpx.get(f"{house.url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("no place became free")


def first_bytes(sock):
    """What has come without a question."""
    sock.setblocking(False)
    try:
        return sock.recv(1 << 16)
    except BlockingIOError:
        return b""


def test_who_takes_nothing_is_left(house, monkeypatch):
    """Answers nobody reads are given up after a while, and their connection with them."""
    monkeypatch.setattr(guard, "UNREAD_SECONDS", 0.5)
    path = f"/slides/{house.slide(State.RELEASED)}_files/9/0_0.jpg"
    with house.client() as client:
        size = len(client.get(path).content)
    with connect(house.url) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 3000)
        time.sleep(3)
        assert drained(sock) < 3000 * size


def drained(sock):
    """Bytes until the end, whichever way it comes."""
    count = 0
    try:
        while piece := sock.recv(1 << 20):
            count += len(piece)
    except ConnectionResetError:
        pass
    return count


def test_nonsense_is_400(house):
    """What is no HTTP is told so in our form."""
    line, problem, _ = refused(house.url, [b"\x16\x03\x01 nonsense\r\n\r\n"])
    assert (line.split()[1], problem["code"]) == (b"400", "malformed-request")


def test_files_are_counted_before_connections_are_promised():
    """Where few files may be open, few connections are allowed: pyramids and uploads need some too."""
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 600));"
        "from service.guard import connections_to_allow as allow;"
        "print(allow(1000), allow(50), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "50", "600"]
