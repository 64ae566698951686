"""Files as large as they come: memory, liveness and speed of a front end that takes them.

`python -m tests.faults.big --gib 10` streams one file in one PATCH, then sixteen at once, then holds 200 connections
that hardly move, and prints a line of figures for each. What it writes is deleted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.faults.front import Front
from tests.s3_servers import SERVERS, serving, settings_of

MIB = 1 << 20
EVERY = 0.05
"""Seconds from one look at memory and `/healthz` to the next."""
ZEROS = bytes(16 * MIB)


@dataclass
class Watch:
    """What a server was seen to need while something went on."""

    memory: list[int] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    @property
    def grown(self) -> float:
        """MiB of memory gained over the first look, at most."""
        return (max(self.memory) - self.memory[0]) / MIB

    @property
    def p99(self) -> float:
        """Milliseconds within which 99 of 100 `/healthz` were answered."""
        return sorted(self.answers)[int(len(self.answers) * 0.99)] * 1000


@contextmanager
def watched(front: Front) -> Iterator[Watch]:
    """Look at the server all the time; one question before, so that everything is loaded."""
    seen, stopping = Watch(), threading.Event()
    server = psutil.Process(front.pid)

    def look() -> None:
        with httpx.Client(base_url=front.url, timeout=120) as client:
            while True:
                begin = time.perf_counter()
                assert client.get("/healthz").status_code == 200
                seen.answers.append(time.perf_counter() - begin)
                seen.memory.append(server.memory_info().rss)
                if stopping.wait(EVERY):
                    return

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield seen
        finally:
            stopping.set()
            looking.result()


def digest_of_zeros(size: int) -> str:
    """SHA-256 of a file of zeros."""
    found = hashlib.sha256()
    for at in range(0, size, len(ZEROS)):
        found.update(ZEROS[: size - at])
    return found.hexdigest()


def send(front: Front, sparse: Path, sha256: str) -> float:
    """Stream a file in one PATCH, to the answer that names its slide; seconds until its last bytes had been taken."""
    size = sparse.stat().st_size
    where = front.announce(size, sha256)
    begin = time.perf_counter()
    with front.half(where, size, 0, b"") as connection, sparse.open("rb") as file:
        connection.settimeout(3600)
        connection.sendfile(file)
        took = time.perf_counter() - begin
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 204"), answer[:20]
    assert b"coverslip-slide" in answer.lower()
    uid = where.rsplit("/", 1)[1]
    assert front.archive.original(uid).length == size
    front.archive.originals.store.remove(front.archive.catalog.sealed(uid).name)
    return took


def dd(folder: Path, size: int) -> float:
    """MB/s of `dd conv=fsync` for as many bytes on the same disk."""
    target = folder / "dd"
    begin = time.perf_counter()
    command = ["dd", "if=/dev/zero", f"of={target}", "bs=1M", f"count={size // MIB}", "conv=fsync", "status=none"]
    subprocess.run(command, check=True)
    took = time.perf_counter() - begin
    target.unlink()
    return size / took / 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """What one load showed."""

    load: str
    received_mb_per_second: float
    """Every fsync and commit included, but for the last few MiB."""
    mb_per_second: float
    """To the answer that names the slide: SHA-256, encryption, every fsync and every commit included."""
    dd_mb_per_second: float
    grown_mib: float
    healthz_p99_ms: float
    looks: int


def uploads(folder: Path, size: int, count: int, bucket: str = "") -> Figures:
    """`count` files of `size` bytes at once; `bucket` names the S3 server they go to, if they do."""
    with ExitStack() as stack:
        front = started(stack, folder, bucket)
        sparse = folder / "sparse"
        with sparse.open("wb") as file:
            file.truncate(size)
        sha256, disk = digest_of_zeros(size), dd(folder, size)
        send(front, small(folder), digest_of_zeros(MIB))
        pool = stack.enter_context(ThreadPoolExecutor(count))
        begin = time.perf_counter()
        with watched(front) as seen:
            took = max(pool.map(lambda _: send(front, sparse, sha256), range(count)))
        amount, whole = count * size / 1e6, time.perf_counter() - begin
        name = f"{count} x {size // MIB} MiB{bucket and f' to {bucket}'}"
        return Figures(name, amount / took, amount / whole, disk, seen.grown, seen.p99, len(seen.answers))


def slow_loris(folder: Path, count: int, seconds: float) -> Figures:
    """`count` uploads that send one byte a second, while one sends a small file as fast as it can."""
    with ExitStack() as stack:
        front = started(stack, folder)
        sparse, sha256 = small(folder), digest_of_zeros(MIB)
        send(front, sparse, sha256)
        with watched(front) as seen:
            wheres = [front.announce(MIB, sha256) for _ in range(count)]
            held = [stack.enter_context(front.half(where, MIB, 0, b"")) for where in wheres]
            begin, sent = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds:
                drip(held)
                send(front, sparse, sha256)
                sent += MIB
            speed = sent / (time.perf_counter() - begin) / 1e6
        return Figures(f"{count} slow clients", speed, speed, 0.0, seen.grown, seen.p99, len(seen.answers))


def drip(connections: list[socket.socket]) -> None:
    """One byte each; the server may have given up on one that was silent for half a minute."""
    for connection in connections:
        with suppress(OSError):
            connection.sendall(b"\0")
    time.sleep(1)


def small(folder: Path) -> Path:
    """A file of one MiB."""
    found = folder / "small"
    found.write_bytes(bytes(MIB))
    return found


def started(stack: ExitStack, folder: Path, bucket: str = "") -> Front:
    """A server of its own: a program started anew, for what a forked one shares would not show."""
    own = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
    changes = {}
    if bucket:
        (own / "bucket").mkdir()
        changes = settings_of(stack.enter_context(serving(bucket, own / "bucket")))
    front = Front(own / "data", changes, PYTHONUNBUFFERED="1")
    stack.callback(front.close)
    front.start()
    return front


def main() -> int:
    """The long runs; 0 when memory and liveness are as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=10, help="size of the one large file")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the disk is")
    parser.add_argument("--only", choices=["one", "many", "slow"], action="append")
    parser.add_argument("--bucket", choices=list(SERVERS), default="", help="an S3 server the files go to")
    asked = parser.parse_args()
    rigs: dict[str, tuple[Callable[[Path], Figures], float]] = {
        "one": (lambda folder: uploads(folder, int(asked.gib * 1024) * MIB, 1, asked.bucket), 64),
        "many": (lambda folder: uploads(folder, int(asked.gib * 1024 / 10) * MIB, 16, asked.bucket), 300),
        "slow": (lambda folder: slow_loris(folder, 200, 20), 64),
    }
    good = True
    for name in asked.only or rigs:
        run, grows = rigs[name]
        with tempfile.TemporaryDirectory(dir=asked.folder, prefix="cs-big-") as folder:
            figures = run(Path(folder))
        sys.stdout.write(json.dumps(asdict(figures)) + "\n")
        sys.stdout.flush()
        good = good and figures.grown_mib <= grows and figures.healthz_p99_ms <= 100
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
