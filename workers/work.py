"""What runs inside the confined child: the library's pipeline, its outcome as a message."""

from __future__ import annotations

from typing import assert_never

from coverslip import pipeline, policy, tiling
from coverslip.confined.messages import Declined, Doubted, Outcome, Task, Tiled, place
from coverslip.confined.probing import probing
from coverslip.confined.slides import made
from coverslip.outcomes import Cleaned, Quarantined, Rejected
from coverslip.progress import Progress

NAME = "slide"
"""Files of an artefact are called after nothing that came in."""


def deidentify(task: Task, progress: Progress) -> Outcome:
    """De-identify and verify one slide into `task.out_dir`."""
    rules, words = policy.load(task.policy), task.untrusted_words
    watched = probing(progress)
    outcome = pipeline.deidentify(
        task.source, task.out_dir, policy=rules, key=task.key, name=NAME, progress=watched, untrusted_words=words
    )
    match outcome:
        case Cleaned():
            return made(outcome)
        case Quarantined(code, reasons):
            return Doubted(code=code, where=place(reasons[0]) if reasons else "")
        case Rejected(code, where):
            return Declined(code=code, where=place(where))
        case other:
            assert_never(other)


def tile(task: Task, progress: Progress) -> Outcome:
    """Write the deep-zoom index of a clean slide into `task.out_dir`."""
    index = task.out_dir / f"{NAME}.pyramid"
    tiling.build_pyramid(task.source, index, complete=task.complete, progress=progress, sha256=task.sha256)
    return Tiled()
