"""Many slides one after another: each ends in its own result, none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coverslip.errors import CoverslipError
from coverslip.pipeline import Cleaned, Outcome, Rejected, build_pyramid, deidentify
from coverslip.policy import Policy
from coverslip.progress import Progress


@dataclass(frozen=True, slots=True)
class Batch:
    """What to do with which slides."""

    slides: tuple[Path, ...]
    out: Path
    policy: Policy
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


def run_batch(batch: Batch, watcher: Watcher) -> tuple[Result, ...]:
    """Every slide of the batch in order."""
    return tuple(_run(batch, watcher))


def _run(batch: Batch, watcher: Watcher) -> Iterator[Result]:
    for number, slide in enumerate(batch.slides, 1):
        result = _one(batch, number, slide, watcher.progress(slide.name))
        watcher.finished(result)
        yield result


def _one(batch: Batch, number: int, slide: Path, progress: Progress) -> Result:
    outcome = _guarded(lambda: deidentify(slide, batch.out, policy=batch.policy, key=batch.key, progress=progress))
    if not batch.pyramid or not isinstance(outcome, Cleaned):
        return Result(number, outcome)
    target = outcome.clean.with_suffix(".pyramid")
    try:
        build_pyramid(outcome.clean, target, progress=progress, sha256=outcome.sha256)
    except CoverslipError as error:
        return Result(number, Rejected(error.code, error.where, error.detail))
    return Result(number, outcome, target)


def _guarded(work: Callable[[], Outcome]) -> Outcome:
    try:
        return work()
    except CoverslipError as error:
        return Rejected(error.code, error.where, error.detail)
