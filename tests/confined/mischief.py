"""Work for a child that meets what no limit knows, and what a child does that is not ours any more."""

from __future__ import annotations

from coverslip import preflight
from coverslip.confined import slides
from coverslip.confined.messages import Made, Outcome, Task
from coverslip.progress import Progress


def deidentify(task: Task, progress: Progress) -> Outcome:
    """The real work with no limit looked at, so that OpenSlide meets a trap as it is."""
    preflight.check = lambda path: None
    outcome = slides.deidentify(task, progress)
    return _spoilt(task, outcome) if task.pyramid else outcome


def _spoilt(task: Task, outcome: Outcome) -> Outcome:
    """Deliver a folder where the clean slide should be."""
    assert isinstance(outcome, Made)
    clean = task.out_dir / outcome.clean_name
    clean.unlink()
    clean.mkdir()
    return outcome
