"""`python -m scripts.calls`: which system calls the confined child really makes, traced over every kind of slide.

What `coverslip/confined/calls.py` allows was found so. To be run again when a library is updated: what the child did
that the list refuses is printed first. Needs strace; with `--list` every call is printed, with how often it was made.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from coverslip.confined.layers import Limits
from coverslip.confined.messages import Task
from coverslip.confined.supervisor import Zygote
from coverslip.errors import CoverslipError
from coverslip.progress import silent
from samples import archives, hostile, traps
from samples.real import find

LIMITS = Limits(memory=4 << 30, cpu=timedelta(hours=1), wall=timedelta(hours=1), output=4 << 30)
REAL = (
    "aperio/CMU-1-Small-Region.svs", "aperio/luna-1065626-jp2k.svs", "dicom/cmu-1-small-region",
    "dicom/pyramid-6-levels", "generic-tiff/CMU-0-small.tiff", "hamamatsu/test3-DAPI.ndpi",
    "ome-tiff/OS-1-detail.ome.tif",
)  # fmt: skip
WORK = ("coverslip.confined.slides:deidentify", "workers.work:deidentify")
CONFINED = 'write(3, "{\\"kind\\":\\"confined\\"'
"""What a child says when its walls stand: only what it does afterwards counts."""
CALL = re.compile(r"^(\w+)\((.*)")
THREAD = re.compile(r"clone3?\(.*\) = (\d+)$")
ARGUED = {"clone", "fcntl", "ioctl", "mmap", "mprotect", "prctl", "prlimit64", "openat", "madvise"}
"""Calls whose arguments the list may look at."""


def main() -> None:
    """Trace, or be traced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder) / "traces"
        traces.mkdir()
        ourselves = [sys.executable, "-m", "scripts.calls", "--work", folder]
        strace = ["strace", "-ff", "-qq", "-s", "64", "-o", str(traces / "t"), *ourselves]
        subprocess.run(strace, check=True)
        show(traces, everything=given.list)


def work(folder: Path) -> None:
    """Every kind of slide, made and real, sound and not, through all a child does."""
    with Zygote(*{module.partition(":")[0] for module in WORK}) as zygote:
        for number, slide in enumerate(slides(folder / "slides")):
            for module in WORK:
                room = folder / "rooms" / f"{number}-{module.partition(':')[0]}"
                room.mkdir(parents=True)
                task = Task(slide, room, "strict", b"k" * 32, pyramid=True, also=(slide.parent,))
                said = told(zygote, module, task)
                sys.stdout.write(f"{slide.parent.name}/{slide.name} {module}: {said}\n")


def told(zygote: Zygote, module: str, task: Task) -> str:
    """How one child ended."""
    try:
        return type(zygote.run(module, task, LIMITS, progress=silent)).__name__
    except CoverslipError as error:
        return f"{error.code}: {error}"


def slides(folder: Path) -> Iterator[Path]:
    """Sound ones, real ones, damaged ones, and those that end a library's process."""
    for kind in hostile.KINDS:
        sound = hostile.sound(kind, folder / kind.name)
        yield entry(sound.entry)
        packed = folder / f"{kind.name}.zip"
        packed.write_bytes(archives.pack(sound.folder))
        yield packed
        for seed in range(3):
            yield entry(sound.damaged(seed, folder / f"{kind.name}-{seed}"))
    for name in REAL:
        if found := find(name):
            copied = folder / name
            copied.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if found.is_dir() else shutil.copyfile)(found, copied)
            yield copied
    (folder / "traps").mkdir()
    for trap in traps.traps():
        here = folder / "traps" / trap.name
        here.mkdir()
        trap.write(here)
        yield entry(here)


def entry(path: Path) -> Path:
    """What is opened of a folder that holds a MIRAX or VMS slide."""
    if path.is_dir():
        return next((found for end in ("mrxs", "vms") for found in path.glob(f"*.{end}")), path)
    return path


def show(traces: Path, *, everything: bool) -> None:
    """Print what was called after the walls stood."""
    made: Counter[str] = Counter()
    for line in confined_lines(traces):
        if found := CALL.match(line):
            name, rest = found.groups()
            made[f"{name}({generalised(rest)}" if name in ARGUED else name] += 1
            if re.search(r"= -1 E(PERM|NOSYS|ACCES)", line):
                made[f"refused: {line[:160]}"] += 1
    for name, times in sorted(made.items()):
        if everything or name.startswith("refused"):
            sys.stdout.write(f"{times:8} {name}\n")


def generalised(arguments: str) -> str:
    """Without what differs from call to call."""
    text = re.sub(r'"[^"]*"\.*|0x[0-9a-f]{5,}', "…", arguments)
    return re.sub(r"\b\d+\b", "N", text.rpartition(" = ")[0])


def confined_lines(traces: Path) -> Iterator[str]:
    """What confined children and their threads did."""
    for trace in traces.iterdir():
        lines = trace.read_text(errors="replace").splitlines()
        start = next((number for number, line in enumerate(lines) if line.startswith(CONFINED)), None)
        if start is not None:
            yield from of_threads(traces, lines[start:])


def of_threads(traces: Path, lines: list[str]) -> Iterator[str]:
    """These lines and those of every thread they start."""
    for line in lines:
        yield line
        if begun := THREAD.match(line):
            yield from of_threads(traces, (traces / f"t.{begun[1]}").read_text(errors="replace").splitlines())


if __name__ == "__main__":
    main()
