"""Handing out tiles over HTTP, beside OpenSlide's DeepZoom and nginx, in one run.

    python -m benchmarks.serve                       less than two minutes
    python -m benchmarks.serve --seconds 8           longer, steadier
    python -m benchmarks.serve --ours --seconds 30   only ours, to look at it with a profiler
    python -m benchmarks.serve --slide 16.svs        a slide of your own, such as `benchmarks.growth --folder` keeps

One generated slide goes through the worker's own steps into a real archive, and is released a thousand times under
different ids. The service runs as `python -m service` does; every server is asked for the same tiles in the same order.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode

from benchmarks import stage
from benchmarks.load import CONNECTIONS, Ask, Rate, generator, load
from benchmarks.measure import say
from benchmarks.peers import iipsrv, nginx
from benchmarks.peers.decoding import QUALITY
from benchmarks.servers import NoAnswer, Server, ask, free_port, running, started
from benchmarks.stage import Stage
from coverslip.pyramid import Pyramid
from coverslip.pyramid.export import export_dzi

OURS, HIDDEN, UNCHANGED, DERIVED, MADE = (
    "coverslip, released", "coverslip, curator's cookie", "coverslip, 304", "coverslip, derived tiles",
    "coverslip, made each time",
)  # fmt: skip
KEY, LENT, LINKED = "coverslip, curator's key", "coverslip, lent address", "coverslip, link's parameter"
OPEN, LISTED = "coverslip, read by all sites", "coverslip, read by listed sites"
BESIDE = "coverslip, beside thumbnails"
CODED = "coverslip, stored tiles as WebP"
SITE = "https://viewer.example"
BARRED = (OURS, HIDDEN, KEY, LENT, LINKED, OPEN, LISTED)
"""What has to reach the bar for stored tiles."""
OPENSLIDE, NGINX = "OpenSlide DeepZoomGenerator", "nginx, DZI folder"
LARGE_IMAGE, IIPSRV = "large-image, TIFF reader", "iipsrv, two processes"
Rates = dict[str, Rate]
Targets = dict[str, tuple[int, Sequence[Ask]]]
"""A port and what to ask there."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What it takes to hold many slides."""

    slides: int
    median: float
    """Milliseconds to the first tile of a slide nobody had asked for."""
    worst: float
    resident: float
    """MiB of the service's process afterwards."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and say which bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2, help="how long each server is asked in a round")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the median counts")
    parser.add_argument("--slides", type=int, default=1000, help="how many slides are released")
    parser.add_argument("--slide", type=Path, help="an Aperio slide instead of a generated one")
    parser.add_argument("--ours", action="store_true", help="leave the peers out")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder, begin = Path(name), time.perf_counter()
        made = stage.build(folder, options.slides, options.slide)
        print(f"{options.slides} slides released in {time.perf_counter() - begin:.0f} s")
        print(f"{CONNECTIONS} connections, median of {options.rounds} rounds of {options.seconds} s, {generator()}")
        server, targets = ours(made, folder, stack)
        if not options.ours:
            targets |= peers(made, folder, stack)
        rates = measured(targets, options.rounds, options.seconds)
        rates[BESIDE] = beside(*targets[OURS], made.released[0], options.seconds)
        table(rates)
        verdicts(rates, server, touch(server, made))


def measured(targets: Targets, rounds: int, seconds: int) -> Rates:
    """The median round of each server. In turn, so that a busy moment of the machine strikes all alike."""
    for port, asks in targets.values():
        load(port, asks, 1)
    found = [{name: load(*target, seconds) for name, target in targets.items()} for _ in range(rounds)]
    return {name: sorted((one[name] for one in found), key=_speed)[rounds // 2] for name in targets}


def _speed(rate: Rate) -> float:
    return rate.per_second


def ours(made: Stage, folder: Path, stack: ExitStack) -> tuple[Server, Targets]:
    """The service, and everything it is asked."""
    sid = made.released[0]
    stored = [Ask(f"/slides/{sid}_files/{place}") for place in made.stored]
    with service(made, folder, stored[0].path):
        pass  # now the programs are compiled, as an installation leaves them
    server = stack.enter_context(service(made, folder, stored[0].path))
    cookie = sign_in(server.port, made.key)
    hidden = [Ask(f"/slides/{made.reviewed}_files/{place}", {"Cookie": cookie}) for place in made.stored]
    require_right(server.port, made, stored[0], hidden[0])
    link = lent(server.port, made)
    behind = [f"/slides/{made.reviewed}_files/{place}" for place in made.stored]
    asked = {
        OURS: stored,
        HIDDEN: hidden,
        KEY: [Ask(path, {"Authorization": f"Bearer {made.key}"}) for path in behind],
        LENT: [Ask(f"/t/{link}{path}") for path in behind],
        LINKED: [Ask(f"{path}?token={link}") for path in behind],
        UNCHANGED: list(tagged(server.port, stored)),
        DERIVED: [Ask(f"/slides/{sid}_files/{place}") for place in made.derived],
    }
    forgetful = stack.enter_context(service(made, folder, stored[0].path, DERIVED_CACHE_BYTES="0"))
    on_request = [Ask(f"/slides/{sid}_files/{place}") for place in made.on_request]
    targets: Targets = {name: (server.port, asks) for name, asks in asked.items()}
    for name, origins in ((OPEN, "*"), (LISTED, f"https://other.example,{SITE}")):
        one = stack.enter_context(service(made, folder, stored[0].path, CORS_ORIGINS=origins))
        targets[name] = (one.port, [Ask(ask.path, {"Origin": SITE}) for ask in stored])
    coded = [Ask(one.path.replace(".jpg", ".webp")) for one in stored]
    return server, targets | {MADE: (forgetful.port, on_request), CODED: (forgetful.port, coded)}


@contextmanager
def service(made: Stage, folder: Path, path: str, **more: str) -> Iterator[Server]:
    """`python -m service` on the archive; its bytecode lies in `folder`."""
    port = free_port()
    settings = {"DATA_DIR": str(made.settings.data_dir), "PORT": str(port), "LOG_LEVEL": "ERROR", **more}
    environment = {f"COVERSLIP_{name}": value for name, value in settings.items()}
    environment |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    with running([sys.executable, "-m", "service"], port, path, environment) as server:
        yield server


def sign_in(port: int, key: str) -> str:
    """A curator's cookie, got as a browser gets it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
    answer, _ = ask(port, "/signin", headers, "POST", urlencode({"key": key}))
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def lent(port: int, made: Stage) -> str:
    """A link's token, got as a curator's page gets it."""
    headers = {"Authorization": f"Bearer {made.key}"}
    _, answer = ask(port, f"/api/v1/slides/{made.reviewed}/links", headers, "POST", "")
    return str(json.loads(answer)["token"])


def beside(port: int, asks: Sequence[Ask], sid: str, seconds: int) -> Rate:
    """Stored tiles while as many others ask for thumbnails of every width, over and over."""
    storm = [Ask(f"/slides/{sid}/thumbnail?width={width}") for width in range(16, 1025)]
    with ThreadPoolExecutor(1) as pool:
        stormy = pool.submit(load, port, storm, seconds + 1)
        time.sleep(0.5)
        found = load(port, asks, seconds)
        stormy.result()
    return found


def tagged(port: int, asks: Sequence[Ask]) -> Iterator[Ask]:
    """The same requests from somebody who has the tiles already."""
    tags = {path: str(ask(port, path)[0].headers["ETag"]) for path in {one.path for one in asks}}
    return (Ask(one.path, {"If-None-Match": tags[one.path]}) for one in asks)


def require_right(port: int, made: Stage, open_to_all: Ask, hidden: Ask) -> None:
    """What is measured is right: the pyramid's bytes, and 404 without the cookie. Raises NoAnswer."""
    level, _, rest = made.stored[0].partition("/")
    column, _, row = rest.removesuffix(".jpg").partition("_")
    with Pyramid.open(made.slide.clean, made.slide.index) as pyramid:
        tile = pyramid.tile(int(level), int(column), int(row))
    for one in (open_to_all, hidden):
        if ask(port, one.path, one.headers)[1] != tile:
            raise NoAnswer("a tile is not the pyramid's")
    if ask(port, hidden.path)[0].status != 404:
        raise NoAnswer("a slide nobody approved is public")


def touch(server: Server, made: Stage) -> Touched:
    """One tile of every slide."""
    times = []
    for sid in made.released:
        begin = time.perf_counter()
        if ask(server.port, f"/slides/{sid}_files/{made.stored[0]}")[0].status != 200:
            raise NoAnswer("a released slide has no tile")
        times.append((time.perf_counter() - begin) * 1e3)
    return Touched(len(times), statistics.median(times), max(times), server.resident())


def peers(made: Stage, folder: Path, stack: ExitStack) -> Targets:
    """The same tiles from the others; who is not installed is left out."""
    asks = [Ask(f"/slide_files/{place}") for place in made.stored]
    slide = made.slide.clean
    targets: Targets = {}
    targets[OPENSLIDE] = decoding("openslide_deepzoom", slide, asks, stack)
    if find_spec("large_image_source_tiff"):
        targets[LARGE_IMAGE] = decoding("large_image", slide, asks, stack)
    if iipsrv.program() and (found := fastcgi(slide, folder, asks, stack)):
        targets[IIPSRV] = found
    with Pyramid.open(slide, made.slide.index) as pyramid:
        export_dzi(pyramid, folder / "dzi", "slide")
    port = free_port()
    if command := nginx.command(folder / "nginx", folder / "dzi", port):
        stack.enter_context(running(command, port, asks[0].path))
        targets[NGINX] = (port, asks)
    return targets


def decoding(peer: str, slide: Path, asks: Sequence[Ask], stack: ExitStack) -> tuple[int, Sequence[Ask]]:
    """A library behind the same server as ours."""
    port = free_port()
    command = [sys.executable, "-m", f"benchmarks.peers.{peer}", str(slide), str(port)]
    stack.enter_context(running(command, port, asks[0].path))
    return port, asks


def fastcgi(slide: Path, folder: Path, asks: Sequence[Ask], stack: ExitStack) -> tuple[int, Sequence[Ask]] | None:
    """IIPImage's server behind nginx."""
    image = iipsrv.pyramidal(slide, folder / "slide.tif", QUALITY)
    backends, port = [free_port(), free_port()], free_port()
    for backend in backends:
        stack.enter_context(started(iipsrv.backend(backend)))
    command = iipsrv.front(folder / "front", image, port, backends)
    if command is None:
        return None
    stack.enter_context(running(command, port, asks[0].path))
    return port, asks


def table(rates: Rates) -> None:
    """One line per server."""
    print(f"\n{'':34}{'tiles/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}{'× OpenSlide':>13}{'of nginx':>10}")
    for name, rate in rates.items():
        ratios = "".join(_ratio(rate, rates.get(peer), form) for peer, form in ((OPENSLIDE, "13.1f"), (NGINX, "10.0%")))
        print(f"{name:34}{rate.per_second:9.0f}{rate.p50:9.2f}{rate.p99:9.2f}{rate.failed:8}{ratios}")
    print()


def _ratio(rate: Rate, peer: Rate | None, form: str) -> str:
    return format(rate.per_second / peer.per_second, form) if peer else ""


def verdicts(rates: Rates, server: Server, touched: Touched) -> None:
    """Every figure that has a bar, and whether it reaches it."""
    for name in BARRED:
        say(f"{name}, tiles/s", rates[name].per_second, 12_000, more=True)
        say(f"{name}, p99 ms", rates[name].p99, 10)
    say(f"{BESIDE}, p99 ms", rates[BESIDE].p99, 50)
    for name in (MADE, CODED):
        say(f"{name}, p99 ms (bar is for p95)", rates[name].p99, 50)
    if OPENSLIDE in rates:
        say("released / OpenSlide", rates[OURS].per_second / rates[OPENSLIDE].per_second, 30, more=True)
    if NGINX in rates:
        say("released / nginx", rates[OURS].per_second / rates[NGINX].per_second, 0.2, more=True)
    say("failed requests", sum(rate.failed for rate in rates.values()), 0)
    say("from process start to the first tile, s", server.first, 1)
    print(f"{'first tile of an untouched slide, ms':52}{touched.median:9.2f}  worst {touched.worst:.1f}")
    say(f"resident with {touched.slides} slides touched, MiB", touched.resident, 300)


if __name__ == "__main__":
    main()
