"""A storm on one machine: `python -m workers all` with its own broker, while whatever it started is struck at random.

`python -m tests.faults.together --seconds 60 --seed 1`; ends with status 1 when a slide is not in review afterwards, or
the one process that looks after the others is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import Thread

import psutil

from coverslip.geometry import Size
from samples import aperio
from scripts import demo

BLOWS = (signal.SIGKILL,) * 3 + (signal.SIGTERM, signal.SIGSTOP)
QUICK = {
    "MAX_ATTEMPTS": "50",  # it is us who kill
    "LEASE": "8",
    "HEARTBEAT": "2",
    "RETRY_DELAY": "1",
    "WATCHDOG_EVERY": "5",
    "DEMO": "1",
    "LOG_LEVEL": "ERROR",
}
PATIENCE = 240.0
"""Seconds after the last blow until everything has to be at an end."""


def main() -> int:
    """Strike, wait, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.together")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--slides", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    dice = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory(prefix="cs-together-") as folder:
        data, port = Path(folder) / "data", demo.free_port(8200)
        settings = {**QUICK, "DATA_DIR": str(data), "PORT": str(port)}
        environment = os.environ | {f"COVERSLIP_{name}": value for name, value in settings.items()}
        process = subprocess.Popen([sys.executable, "-m", "workers", "all"], env=environment, start_new_session=True)
        try:
            demo.wait_until_ready(demo.Client(port), process)
            client = demo.Client(port, (data / "phi" / "demo.key").read_text().strip())
            sids: list[str] = []
            people = Thread(target=_bring, args=(client, _slides(Path(folder), chosen.slides), sids))
            people.start()
            blows = _strike(process.pid, dice, chosen.seconds)
            people.join()
            took, states = _settled(client, sids)
            alive = process.poll() is None
        finally:
            process.terminate()
            process.wait(120)
    print(f"{blows.total()} blows: {', '.join(f'{name} {count}' for name, count in sorted(blows.items()))}")
    print(f"{dict(states)} of {chosen.slides}, {took:.1f} s after the last blow; looked after to the end: {alive}")
    return 0 if alive and states == {"in_review": chosen.slides} else 1


def _slides(folder: Path, number: int) -> list[Path]:
    paths = [folder / f"{each}.svs" for each in range(number)]
    for each, path in enumerate(paths):
        aperio.write(path, Size(600 + each, 500), identifiers=True)
    return paths


def _bring(client: demo.Client, slides: list[Path], sids: list[str]) -> None:
    """Each until it was taken; who is refused, or cut off, comes again."""
    for slide in slides:
        while True:
            try:
                sids.append(demo.upload(client, slide))
                break
            except (OSError, demo.DemoFailed, ValueError):
                time.sleep(0.5)
        time.sleep(0.5)


def _strike(pid: int, dice: random.Random, seconds: float) -> Counter[str]:
    """Whatever descends from that process."""
    blows: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if family := psutil.Process(pid).children(recursive=True):
            struck = dice.choice(family)
            try:
                name, blow = _role(struck), dice.choice(BLOWS)
                blow = signal.SIGKILL if name == "service" and blow is signal.SIGTERM else blow
                struck.send_signal(blow)
                blows[f"{name} {blow.name}"] += 1
            except psutil.Error:
                pass
        time.sleep(dice.uniform(0.5, 3))
    return blows


def _role(process: psutil.Process) -> str:
    called = " ".join(process.cmdline())
    return next((name for name in ("valkey", "service", "celery", "zygote") if name in called), "child")


def _settled(client: demo.Client, sids: list[str]) -> tuple[float, Counter[str]]:
    began, states = time.monotonic(), Counter[str]()
    while (took := time.monotonic() - began) < PATIENCE:
        try:
            states = Counter(json.loads(client.get(f"/api/v1/slides/{sid}"))["state"] for sid in sids)
        except (OSError, demo.DemoFailed):
            states = Counter()
        if states and not {"received", "queued", "processing"} & set(states):
            break
        time.sleep(0.5)
    return took, states


if __name__ == "__main__":
    raise SystemExit(main())
