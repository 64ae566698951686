"""Asking for tiles as fast as they come: `wrk` when it is installed, else a small generator of our own.

Both keep a number of connections open and on each ask for the next path as soon as an answer is complete. `wrk` takes
little of the machine; ours takes more than the servers it measures, so its ratios say less, and the table names it.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CONNECTIONS = 16

_SCRIPT = """
local asks, requests, at = {{ {asks} }}, {{}}, 0
function init(args)
  for i, ask in ipairs(asks) do requests[i] = wrk.format("GET", ask[1], ask[2]) end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("figures %d %d %d %d %d\\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast one server answered."""

    per_second: float
    p50: float
    """Milliseconds."""
    p99: float
    """Milliseconds."""
    failed: int
    """Answers of status 400 and above, and connections that broke."""


def generator() -> str:
    """Which load generator this machine has."""
    return "wrk" if shutil.which("wrk") else "our own asyncio generator: install wrk for figures that say more"


def load(port: int, asks: Sequence[Ask], seconds: int) -> Rate:
    """Send `asks` to a server on this machine, over and over, on sixteen connections."""
    if wrk := shutil.which("wrk"):
        return _wrk(wrk, port, asks, seconds)
    return asyncio.run(_own(port, asks, seconds))


def _wrk(wrk: str, port: int, asks: Sequence[Ask], seconds: int) -> Rate:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(asks=",\n".join(map(_lua, asks))))
        script.flush()
        often = ["-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s"]
        command = [wrk, *often, "-s", script.name, f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = [line for line in done.stdout.splitlines() if line.startswith("figures ")]
    requests, duration, failed, p50, p99 = map(int, figures[0].split()[1:])
    return Rate(requests / duration * 1e6, p50 / 1e3, p99 / 1e3, failed)


def _lua(ask: Ask) -> str:
    headers = ",".join(f"[{_quoted(name)}]={_quoted(value)}" for name, value in ask.headers.items())
    return f"{{{_quoted(ask.path)},{{{headers}}}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _own(port: int, asks: Sequence[Ask], seconds: int) -> Rate:
    requests = list(map(_request, asks))
    end = time.perf_counter() + seconds
    firsts = range(0, CONNECTIONS * len(requests), len(requests))
    askers = (_ask(port, requests, first // CONNECTIONS, end) for first in firsts)
    answers = list(itertools.chain.from_iterable(await asyncio.gather(*askers)))
    times = sorted(taken for taken, _ in answers)
    failed = sum(not good for _, good in answers)
    return Rate(len(times) / seconds, _at(times, 0.5), _at(times, 0.99), failed)


def _request(ask: Ask) -> bytes:
    said = "".join(f"{name}: {value}\r\n" for name, value in ask.headers.items())
    return f"GET {ask.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{said}\r\n".encode()


async def _ask(port: int, requests: Sequence[bytes], first: int, end: float) -> list[tuple[float, bool]]:
    """(seconds, good) of every answer on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for at in itertools.count(first):
        asked = time.perf_counter()
        if asked >= end:
            break
        writer.write(requests[at % len(requests)])
        status = await _answer(reader)
        answers.append((time.perf_counter() - asked, status < 400))
    writer.close()
    return answers


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    status = int(lines[0].split()[1])
    if status != 304:
        await reader.readexactly(length)
    return status


def _at(ascending: Sequence[float], share: float) -> float:
    return ascending[int(share * (len(ascending) - 1))] * 1e3 if ascending else 0.0
