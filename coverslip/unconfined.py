"""Slides worked on in this very process, as the library does: where children cannot be confined, or nobody wants it."""

from __future__ import annotations

from inspect import unwrap
from pathlib import Path

from coverslip import policy as policies
from coverslip.batch import Batch, Done
from coverslip.confined import looks
from coverslip.confined.messages import Outcome, Task
from coverslip.errors import CoverslipError
from coverslip.names import index_beside
from coverslip.outcomes import Cleaned, Rejected
from coverslip.pipeline import build_pyramid, deidentify
from coverslip.progress import Progress


def does(name: str, task: Task, progress: Progress) -> Outcome:
    """What a child would do for a command that looks at a slide, within no limits. Raises what the library does."""
    work: looks.Work = unwrap(getattr(looks, name))
    return work(task, progress)


def here(slide: Path, batch: Batch, progress: Progress) -> Done:
    """One slide of a batch. A slide that ends a library's process ends the batch."""
    try:
        return _here(slide, batch, progress)
    except CoverslipError as error:
        return Done(Rejected(error.code, error.where, error.detail))


def _here(slide: Path, batch: Batch, progress: Progress) -> Done:
    policy = policies.load(batch.policy_name)
    outcome = deidentify(slide, batch.out, policy=policy, key=batch.key, progress=progress)
    if not batch.pyramid or not isinstance(outcome, Cleaned):
        return Done(outcome)
    target = index_beside(outcome.clean)
    build_pyramid(outcome.clean, target, progress=progress, sha256=outcome.sha256)
    return Done(outcome, target)
