"""The real work in a confined child; and the same stopped in the middle of a slide, so that somebody can shoot it."""

from __future__ import annotations

from coverslip.confined.messages import Outcome, Task
from coverslip.progress import Progress, Stage
from tests.workers import canaries
from workers import work

deidentify, tile = work.deidentify, work.tile


def stopped(task: Task, progress: Progress) -> Outcome:
    """Half of the clean slide is on the disk, and that is as far as it gets."""

    def stop(stage: Stage, done: float) -> None:
        progress(stage, done)
        if stage is Stage.WRITE and done > 0:
            canaries.hang(task, progress)

    return work.deidentify(task, stop)
