"""Slides worked on in this very process, as the library does: where children cannot be confined, or nobody wants it."""

from __future__ import annotations

from inspect import unwrap
from pathlib import Path

from coverslip import outcomes
from coverslip import policy as policies
from coverslip.batch import Batch
from coverslip.confined import looks
from coverslip.confined.messages import Outcome, Task
from coverslip.errors import CoverslipError
from coverslip.pipeline import deidentify
from coverslip.progress import Progress


def does(name: str, task: Task, progress: Progress) -> Outcome:
    """What a child would do for a command that looks at a slide, within no limits. Raises what the library does."""
    work: looks.Work = unwrap(getattr(looks, name))
    return work(task, progress)


def here(slide: Path, batch: Batch, progress: Progress) -> outcomes.Outcome:
    """One slide of a batch. A slide that ends a library's process ends the batch."""
    try:
        return deidentify(
            slide, batch.out, policy=policies.load(batch.policy_name), key=batch.key, progress=progress,
            pyramid=batch.pyramid, complete=batch.complete,
        )  # fmt: skip
    except CoverslipError as error:
        return outcomes.Rejected(error.code, error.where, error.detail)
