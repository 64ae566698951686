"""`python -m tests.hostile.figures --runs 500`: what became of damaged slides, per kind, as a table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from coverslip.confined.supervisor import Zygote
from samples import hostile
from tests.hostile.running import WORK, Ended, mutations

CRASHES = frozenset(("child-crashed", "coverslip-error", "storage-failed"))


def main() -> int:
    """Print the table and every crash; 1 when there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500, help="damaged slides of each kind")
    parser.add_argument("kinds", nargs="*", help="all without one")
    chosen = parser.parse_args()
    kinds = [kind for kind in hostile.KINDS if not chosen.kinds or kind.name in chosen.kinds]
    sys.stdout.write("| kind | runs | outcomes | worst CPU | worst memory |\n|---|---|---|---|---|\n")
    crashed = 0
    with Zygote(WORK) as zygote:
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                ended = tuple(mutations(zygote, kind, range(chosen.runs), Path(folder)))
            sys.stdout.write(_row(kind.name, ended))
            crashed += sum(each.code in CRASHES for each in ended)
    return 1 if crashed else 0


def _row(name: str, ended: tuple[Ended, ...]) -> str:
    shares = Counter(each.code for each in ended).most_common()
    outcomes = ", ".join(f"{code} {100 * count / len(ended):.1f} %" for code, count in shares)
    cpu, peak = max(each.cpu for each in ended), max(each.peak for each in ended) >> 20
    worst = [f"{each.seed} ({each.where})" for each in ended if each.code in CRASHES]
    crashes = f"crashed: {', '.join(worst)}\n" if worst else ""
    sys.stdout.flush()
    return f"| {name} | {len(ended)} | {outcomes} | {cpu:.2f} s | {peak} MiB |\n{crashes}"


if __name__ == "__main__":
    raise SystemExit(main())
