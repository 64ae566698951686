"""`python -m fuzz [TARGET…] --seconds 60`: each target with atheris, in a process of its own."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SLOWEST = 5
"""Seconds one input may take."""
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
MAX_LENGTH = 40_000


def main() -> int:
    """Fuzz what is asked for; 1 when something was found."""
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all without one")
    parser.add_argument("--seconds", type=int, default=60, help="per target")
    chosen = parser.parse_args()
    bad = [name for name in chosen.targets or TARGETS if not _fuzzed(name, chosen.seconds)]
    return 1 if bad else 0


def _fuzzed(name: str, seconds: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        from fuzz.seeds import corpus

        for number, seed in enumerate(corpus(name)):
            (Path(folder) / f"seed{number}").write_bytes(seed)
        options = (f"-max_total_time={seconds}", f"-timeout={SLOWEST}", f"-max_len={MAX_LENGTH}", "-rss_limit_mb=1024")
        command = [sys.executable, "-m", "fuzz.one", name, folder, *options, f"-artifact_prefix={folder}/found-"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        done = _DONE.search(ended.stderr)
        sys.stdout.write(f"{name}: {done[0] if done else 'stopped'}, status {ended.returncode}\n")
        if ended.returncode:
            said = "\n".join(
                line for line in (ended.stdout + ended.stderr).splitlines() if not line.startswith("INFO:")
            )
            sys.stdout.write(said[-4000:] + "\n")
        sys.stdout.flush()
        return ended.returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
