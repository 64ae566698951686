"""Many slides one after another: each ends in its own result, none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coverslip.outcomes import Cleaned, Outcome
from coverslip.progress import Progress


@dataclass(frozen=True, slots=True)
class Batch:
    """What to do with which slides."""

    slides: tuple[Path, ...]
    out: Path
    policy_name: str
    """A built-in policy or a file."""
    key: bytes = field(repr=False)
    pyramid: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How one slide of a batch ended."""

    number: int
    """Position in the batch, from 1: output never repeats the source's name."""
    outcome: Outcome
    pyramid: Path | None = None

    @property
    def well(self) -> bool:
        """Whether a verified clean slide came of it."""
        return isinstance(self.outcome, Cleaned)


class Watcher(Protocol):
    """Somebody who shows how far a batch is."""

    def progress(self, label: str) -> Progress:
        """A progress callback for one slide."""
        ...

    def finished(self, result: Result) -> None:
        """Called when a slide has ended, however it ended."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one slide."""

    outcome: Outcome
    pyramid: Path | None = None


Work = Callable[[Path, Batch, Progress], Done]
"""Does one slide of a batch; whatever is wrong with the slide is its outcome."""


def run_batch(batch: Batch, watcher: Watcher, work: Work) -> tuple[Result, ...]:
    """Every slide of the batch in order."""
    return tuple(_run(batch, watcher, work))


def _run(batch: Batch, watcher: Watcher, work: Work) -> Iterator[Result]:
    for number, slide in enumerate(batch.slides, 1):
        done = work(slide, batch, watcher.progress(slide.name))
        result = Result(number, done.outcome, done.pyramid)
        watcher.finished(result)
        yield result
