"""`python -m fuzz [TARGET…] --seconds 60`: each target with atheris, in a process of its own.

Seconds are of CPU, so an hour beside other work is still an hour. They are worked off in rounds; what one round found
worth keeping the next begins with. A later run with the same `--keep` goes on there, and what was spent counts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SLOWEST: Final = 5
"""Seconds one input may take."""
ROUND: Final = 300
"""Seconds of the clock: a process that was told to go on for longer would remember ever more."""
MAX_LENGTH: Final = 40_000
_DONE = re.compile(r"Done (\d+) runs in \d+ second")


def main() -> int:
    """Fuzz what is asked for; 1 when something was found."""
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all without one")
    parser.add_argument("--seconds", type=int, default=60, help="of CPU, per target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at the same time")
    parser.add_argument("--keep", type=Path, help="folder for inputs that led somewhere new, and for what was found")
    chosen = parser.parse_args()
    with ThreadPoolExecutor(chosen.jobs) as pool:
        wells = list(pool.map(lambda name: _fuzzed(name, chosen.seconds, chosen.keep), chosen.targets or list(TARGETS)))
    return 0 if all(wells) else 1


@dataclass(frozen=True, slots=True)
class Round:
    """How one process of a target ended."""

    status: int
    runs: int
    cpu: float
    said: str


def _fuzzed(name: str, seconds: int, keep: Path | None) -> bool:
    with _corpus(name, keep) as folder:
        tally = folder.with_suffix(".json")
        runs, cpu = json.loads(tally.read_text()) if tally.exists() else (0, 0.0)
        while cpu < seconds:
            ended = _round(name, folder, min(ROUND, max(1, round(seconds - cpu))))
            if ended.status:
                _say(f"{name}: status {ended.status} after {runs} inputs and {cpu:.0f} s of CPU\n{ended.said}")
                return False
            runs, cpu = runs + ended.runs, cpu + ended.cpu
            tally.write_text(json.dumps([runs, cpu]))
    _say(f"{name}: {runs} inputs in {cpu:.0f} s of CPU, nothing found\n")
    return True


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _corpus(name: str, keep: Path | None) -> Iterator[Path]:
    """The folder a target's inputs are in: sound ones to begin with, and those that were kept."""
    from fuzz.seeds import corpus

    with tempfile.TemporaryDirectory(prefix="fuzz-") as passing:
        folder = (keep or Path(passing)) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(corpus(name)):
            (folder / f"seed{number}").write_bytes(seed)
        yield folder


def _round(name: str, folder: Path, seconds: int) -> Round:
    """One process; it ends by the clock, and what it took is read when it is gone."""
    options = (f"-max_total_time={seconds}", f"-timeout={SLOWEST}", f"-max_len={MAX_LENGTH}", "-rss_limit_mb=1024")
    command = [sys.executable, "-m", "fuzz.one", name, str(folder), *options, f"-artifact_prefix={folder}/found-"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    done = _DONE.search(said)
    tail = "\n".join(line for line in said.splitlines() if not line.startswith("INFO:"))[-4000:] + "\n"
    return Round(process.returncode, int(done[1]) if done else 0, used.ru_utime + used.ru_stime, tail)


if __name__ == "__main__":
    raise SystemExit(main())
