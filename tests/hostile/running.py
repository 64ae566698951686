"""Runs damaged slides through the real confined child and says what came of each and what it cost."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from coverslip.confined.layers import Limits
from coverslip.confined.messages import Declined, Doubted, Made, Task
from coverslip.confined.supervisor import Zygote
from coverslip.errors import CoverslipError
from samples import hostile

WORK: Final = "tests.hostile.work"
DELIVERED: Final = Limits(memory=4 << 30, cpu=timedelta(hours=2), wall=timedelta(minutes=5), output=64 << 20)
"""What a child may use as delivered, but for the wall time: whoever looks at the outcome asks for much less."""
NOISE: Final = 6
"""Shortest piece of an identifier that is looked for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one damaged slide ended."""

    seed: int
    code: str
    where: str
    text: str
    """Everything that was said about it."""
    cpu: float
    peak: int
    wall: float
    left: tuple[str, ...]
    """Files in the output folder."""
    touched: bool
    """Whether anything besides the output folder changed."""


def run(zygote: Zygote, source: Path, out: Path, seed: int = 0, limits: Limits = DELIVERED) -> Ended:
    """One slide through a fresh child."""
    before = _listing(source)
    out.mkdir(parents=True)
    begin = time.monotonic()
    try:
        outcome = zygote.run(
            f"{WORK}:deidentify", Task(source, out, "strict", b"k" * 32), limits, progress=lambda stage, done: None
        )
        code, where, text = _told(outcome)
    except CoverslipError as error:
        code, where, text = error.code, error.where, f"{error} {error.detail} {error.__cause__}"
    spent, wall = zygote.spent, time.monotonic() - begin
    assert spent is not None
    left = tuple(sorted(str(file.relative_to(out)) for file in out.rglob("*")))
    return Ended(seed, code, where, text, spent.cpu, spent.peak, wall, left, _listing(source) != before)


def _told(outcome: Made | Doubted | Declined) -> tuple[str, str, str]:
    match outcome:
        case Made():
            return "ok", "", repr(outcome)
        case Doubted(code=code, where=where) | Declined(code=code, where=where):
            return code, where, repr(outcome)


def _listing(source: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of everything beside the source."""
    files = sorted(source.parent.rglob("*"))
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file())


def mutations(zygote: Zygote, kind: hostile.Kind, seeds: range, folder: Path) -> Iterator[Ended]:
    """Damaged slides of one kind, one after the other; what each leaves behind is deleted."""
    sound = hostile.sound(kind, folder / "sound" / "slide")
    for seed in seeds:
        here = folder / str(seed)
        here.mkdir()
        source = sound.damaged(seed, here / "in" / "slide")
        yield run(zygote, source, here / "out", seed)
        shutil.rmtree(here)
