"""Many slides one after another: each ends in its own result, none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coverslip import policy as policies
from coverslip.errors import CoverslipError
from coverslip.pipeline import Cleaned, Outcome, Rejected, build_pyramid, deidentify
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


def here(slide: Path, batch: Batch, progress: Progress) -> Done:
    """Work in this very process: a slide that ends a library's process ends the batch."""
    try:
        return _here(slide, batch, progress)
    except CoverslipError as error:
        return Done(Rejected(error.code, error.where, error.detail))


def _here(slide: Path, batch: Batch, progress: Progress) -> Done:
    policy = policies.load(batch.policy_name)
    outcome = deidentify(slide, batch.out, policy=policy, key=batch.key, progress=progress)
    if not batch.pyramid or not isinstance(outcome, Cleaned):
        return Done(outcome)
    target = outcome.clean.with_suffix(".pyramid")
    build_pyramid(outcome.clean, target, progress=progress, sha256=outcome.sha256)
    return Done(outcome, target)


def run_batch(batch: Batch, watcher: Watcher, work: Work = here) -> tuple[Result, ...]:
    """Every slide of the batch in order."""
    return tuple(_run(batch, watcher, work))


def _run(batch: Batch, watcher: Watcher, work: Work) -> Iterator[Result]:
    for number, slide in enumerate(batch.slides, 1):
        done = work(slide, batch, watcher.progress(slide.name))
        result = Result(number, done.outcome, done.pyramid)
        watcher.finished(result)
        yield result
