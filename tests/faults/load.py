"""People looking at slides while files come in and others are de-identified: how soon tiles come, and what it costs.

`python -m tests.faults.load` makes the run docs/reliability.md reports: 64 viewers that zoom and pan, four uploads and
two slides at work at any time, for ten minutes; `--seconds 3600` for an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import psutil

from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.geometry import Size
from coverslip.pyramid import Pyramid
from coverslip.settings import Settings
from samples import aperio
from tests.faults.front import CHUNK
from tests.faults.rig import environment, upload
from workers.programs import Program

VIEW = Size(5, 3)
"""Tiles a viewer's window shows."""
LOOKS = 0.5, 2.0
"""Seconds a person looks at one view."""
PIECE = bytes(1 << 20)
UPLOAD = 32
"""Pieces of one upload."""
KEPT = 4
"""Slides that stay when they are done; older ones make room."""
SLOW = 300.0


@dataclass
class Seen:
    """What happened, as it happens."""

    cold: list[float] = field(default_factory=list)
    """Seconds until a tile came that nobody had asked for before."""
    warm: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    uploaded: int = 0
    memory: list[tuple[float, int]] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run showed."""

    viewers: int
    seconds: float
    tiles: int
    warm_p95_ms: float
    cold_p95_ms: float
    errors: dict[str, int]
    uploaded_mib: int
    deidentified: int
    descriptors: tuple[int, int]
    """Open files and connections of the service: the most in the first and in the last third of the run."""
    memory_mib: float
    memory_slope: float
    """Percent in ten minutes, over the last two thirds of the run."""


class Station:
    """The whole program with a slide to look at: service, worker and broker, started as `python -m workers all`."""

    def __init__(self, folder: Path, size: Size) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.address = ("127.0.0.1", port)
        self.settings = Settings(
            data_dir=folder / "data", port=port, concurrency=2, shutdown_grace=timedelta(seconds=1), log_level="ERROR"
        )
        self.archive = Archive.open(self.settings, with_vault=True)
        self.key = self.archive.catalog.create_key("submitter", {"submitter"}, "submitter")[1]
        aperio.write(folder / "slide.svs", size)
        self.slide = (folder / "slide.svs").read_bytes()
        command = [sys.executable, "-m", "workers", "all"]
        self.program = Program(command, environment=environment(self.settings), grace=30)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Everything runs, and a slide of that id is released."""
        try:
            with self.program:
                sid = upload(self.archive, self.slide)
                until(lambda: self.archive.catalog.slide(sid).state is State.IN_REVIEW)
                self.archive.transition(sid, State.RELEASED, "curator")
                until(lambda: healthy(self.address))
                yield sid
        finally:
            self.archive.close()

    def service(self) -> psutil.Process:
        """The process that answers."""
        below = psutil.Process(self.program.pid).children(recursive=True)
        return next(found for found in below if found.cmdline()[1:3] == ["-m", "service"])

    def pyramid(self, sid: str) -> Pyramid:
        """What there is to look at."""
        folder = self.archive.where_is(self.archive.catalog.slide(sid))
        assert folder is not None
        return Pyramid.open(folder / "slide.svs", folder / "slide.pyramid")


def healthy(address: tuple[str, int]) -> bool:
    """Whether the service answers."""
    try:
        return httpx.get(f"http://{address[0]}:{address[1]}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def until(holds: Callable[[], bool]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + SLOW
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.2)


def trail(pyramid: Pyramid, chance: random.Random) -> Iterator[list[str]]:
    """Views of somebody who zooms in, pans about and zooms out again, without end: level/column_row of each tile."""
    while True:
        x, y = chance.random(), chance.random()
        levels = range(max(0, pyramid.dz_levels - 6), pyramid.dz_levels)
        for level in (*levels, levels[-1], levels[-1], levels[-1], levels[-1], levels[-2]):
            grid = pyramid.grid.grid(pyramid.grid.largest - level)
            x, y = (min(max(at + chance.uniform(-0.05, 0.05), 0), 0.999) for at in (x, y))
            left, top = int(x * grid.width), int(y * grid.height)
            yield [
                f"{level}/{column}_{row}"
                for column in range(left, min(left + VIEW.width, grid.width))
                for row in range(top, min(top + VIEW.height, grid.height))
            ]


async def view(station: Station, sid: str, views: Iterator[list[str]], seen: Seen, known: set[str]) -> None:
    """One person: asks for the tiles of a view over a few connections, looks, moves on."""
    chance = random.Random()
    lanes = [Lane(station.address) for _ in range(2)]
    while True:
        tiles = next(views)
        await asyncio.gather(*(fetch(lane, sid, tiles[at::2], seen, known) for at, lane in enumerate(lanes)))
        await asyncio.sleep(chance.uniform(*LOOKS))


async def fetch(lane: Lane, sid: str, tiles: list[str], seen: Seen, known: set[str]) -> None:
    """Tiles one after the other, each timed."""
    for tile in tiles:
        times = seen.warm if tile in known else seen.cold
        known.add(tile)
        begin = time.perf_counter()
        status = await lane.get(f"/slides/{sid}_files/{tile}.jpg")
        times.append(time.perf_counter() - begin)
        if status != 200:
            seen.errors.append(f"tile {status}")


class Lane:
    """One kept connection that asks for one thing at a time; costs the machine less than a real HTTP client."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> int:
        """The status; the body is read and dropped."""
        reader, writer = self._streams = self._streams or await asyncio.open_connection(*self._address)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        if b"connection: close" in head:
            writer.close()
            self._streams = None
        return int(head.split()[1])


async def send(station: Station, seen: Seen) -> None:
    """One upload after the other, ended before it becomes work."""
    headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {station.key}"}
    url = f"http://{station.address[0]}:{station.address[1]}"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=SLOW) as client:
        while True:
            begun = await client.post("/uploads", headers={"Upload-Length": str(UPLOAD * len(PIECE) + 1)})
            where = begun.headers["Location"]
            for at in range(UPLOAD):
                more = {**CHUNK, "Upload-Offset": str(at * len(PIECE))}
                status = (await client.patch(where, content=PIECE, headers=more)).status_code
                seen.errors += [] if status == 204 else [f"upload {status}"]
                seen.uploaded += status == 204
            await client.delete(where)


async def feed(station: Station) -> None:
    """There are always two slides to de-identify, and one that waits."""
    while True:
        counts = station.archive.catalog.counts()
        for _ in range(counts[State.QUEUED] + counts[State.PROCESSING], 3):
            await asyncio.to_thread(upload, station.archive, station.slide)
        await asyncio.sleep(0.5)


async def clear(station: Station) -> None:
    """What is done is refused and purged: it would fill a disk within the hour."""
    archive = station.archive

    def throw(sid: str) -> None:
        archive.transition(sid, State.REJECTED, "curator")
        archive.purge(sid, "curator")

    while True:
        for slide in archive.catalog.slides((State.IN_REVIEW,)).slides[KEPT:]:
            await asyncio.to_thread(throw, slide.sid)
        await asyncio.sleep(1)


async def watch(station: Station, seen: Seen) -> None:
    """Memory and descriptors of the service, every second."""
    service = station.service()
    while True:
        seen.memory.append((time.monotonic(), service.memory_info().rss))
        seen.descriptors.append(service.num_fds())
        await asyncio.sleep(1)


@asynccontextmanager
async def busy(*works: Awaitable[None]) -> AsyncIterator[None]:
    """All of them at once while the block runs; one that fails fails the block."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def load(station: Station, sid: str, viewers: int, uploads: int, seconds: float) -> Seen:
    """Everybody at once for so long."""
    seen, known = Seen(), set[str]()
    with station.pyramid(sid) as pyramid:
        trails = [trail(pyramid, random.Random(number)) for number in range(viewers)]
        people = [view(station, sid, views, seen, known) for views in trails]
        senders = [send(station, seen) for _ in range(uploads)]
        async with busy(*people, *senders, feed(station), clear(station), watch(station, seen)):
            await asyncio.sleep(seconds)
    return seen


def run(folder: Path, *, viewers: int, uploads: int, seconds: float, size: Size) -> Figures:
    """One run on an installation of its own."""
    station = Station(folder, size)
    with station.running() as sid:
        seen = asyncio.run(load(station, sid, viewers, uploads, seconds))
        until(lambda: station.archive.catalog.counts()[State.IN_REVIEW] > 0)
        counts = station.archive.catalog.counts()
        done = counts[State.IN_REVIEW] + counts[State.REJECTED]
    third = len(seen.descriptors) // 3
    return Figures(
        viewers=viewers,
        seconds=seconds,
        tiles=len(seen.warm) + len(seen.cold),
        warm_p95_ms=p95(seen.warm),
        cold_p95_ms=p95(seen.cold),
        errors=dict(Counter(seen.errors)),
        uploaded_mib=seen.uploaded,
        deidentified=done,
        descriptors=(max(seen.descriptors[: third + 1]), max(seen.descriptors[-third - 1 :])),
        memory_mib=max(size for _, size in seen.memory) / (1 << 20),
        memory_slope=slope(seen.memory[third:]),
    )


def p95(times: list[float]) -> float:
    """Milliseconds within which 95 of 100 came; 0 when none did."""
    return sorted(times)[int(len(times) * 0.95)] * 1000 if times else 0.0


def slope(memory: list[tuple[float, int]]) -> float:
    """Percent in ten minutes; 0 when there are too few looks."""
    if len(memory) < 3:
        return 0.0
    line = statistics.linear_regression([at for at, _ in memory], [size for _, size in memory])
    return line.slope * 600 / memory[0][1] * 100


def main() -> int:
    """The long run; 0 when it is as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=64)
    parser.add_argument("--uploads", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--side", type=int, default=12000, help="pixels of the slide's longer side")
    asked = parser.parse_args()
    size = Size(asked.side, asked.side * 3 // 4)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cs-load-")))
        figures = run(folder, viewers=asked.viewers, uploads=asked.uploads, seconds=asked.seconds, size=size)
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")
    good = not figures.errors and figures.warm_p95_ms <= 100 and figures.cold_p95_ms <= 250
    first, last = figures.descriptors
    return 0 if good and figures.memory_slope <= 1 and last <= 1.1 * first else 1


if __name__ == "__main__":
    raise SystemExit(main())
