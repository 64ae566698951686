"""`python -m fuzz.smoke`: a fixed number of inputs for every target, the same ones each time, in a few seconds.

Instrumenting takes longer than the inputs, so it is done once and every target gets a fork of this process.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["coverslip"]):
    from fuzz import targets
from fuzz.__main__ import MAX_LENGTH
from fuzz.seeds import corpus

RUNS: Final = 1000
AT_A_TIME: Final = 2
TIMEOUT: Final = 120
"""Seconds for one input: only a loop without end takes so long on any machine."""


def main() -> int:
    """Say what each target came to; 1 when something was found."""
    waiting = [name for name in targets.TARGETS if not sys.argv[1:] or name in sys.argv[1:]]
    running: dict[int, str] = {}
    bad = 0
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))  # whose deletion no fork may inherit
    while waiting or running:
        while waiting and len(running) < AT_A_TIME:
            name = waiting.pop(0)
            running[_forked(name, folder / name)] = name
        child, status = os.wait()
        name = running.pop(child)
        sys.stdout.write(f"{name}: {'ok' if not status else f'status {status}'}\n")
        if status:
            bad += 1
            sys.stdout.write((folder / f"{name}.log").read_text(errors="replace")[-4000:])
    shutil.rmtree(folder)
    return 1 if bad else 0


def _forked(name: str, folder: Path) -> int:
    """A process that fuzzes one target; libFuzzer never returns, so it leaves by itself."""
    folder.mkdir()
    for number, seed in enumerate(corpus(name)):
        (folder / f"seed{number}").write_bytes(seed)
    child = os.fork()
    if child:
        return child
    log = os.open(folder.with_name(f"{name}.log"), os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    options = (f"-runs={RUNS}", "-seed=1", f"-timeout={TIMEOUT}", f"-max_len={MAX_LENGTH}", "-rss_limit_mb=2048")
    arguments = ["fuzz", str(folder), *options, f"-artifact_prefix={folder}/found-"]
    targets.FOLDER = folder.with_name(f"{name}.files")
    targets.FOLDER.mkdir()
    target = _wrong if os.environ.get("COVERSLIP_FUZZ_WRONG") else targets.TARGETS[name]
    atheris.Setup(arguments, lambda data: targets.run(target, data))
    atheris.Fuzz()
    os._exit(1)  # not reached


def _wrong(data: bytes) -> None:
    """What a finding looks like."""
    assert not data


if __name__ == "__main__":
    raise SystemExit(main())
