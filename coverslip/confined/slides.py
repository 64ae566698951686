"""The work of the command line's child: one slide into a room of its own, told in full to the person who has it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import assert_never

from coverslip import outcomes, pipeline, policy
from coverslip.confined.messages import MAX_REASONS, Declined, Doubted, Made, Outcome, Task, place, sentence
from coverslip.confined.probing import probing
from coverslip.outcomes import Cleaned, Quarantined, Rejected
from coverslip.progress import Progress
from coverslip.tiff.structure import open_tiff

for _name in policy.BUILTIN:
    policy.load(_name)  # once, in the process children are forked from


def deidentify(task: Task, progress: Progress) -> Outcome:
    """De-identify and verify one slide into `task.out_dir`, with its deep-zoom pyramid where the task says so."""
    outcome = pipeline.deidentify(
        task.source, task.out_dir, policy=policy.load(task.policy), key=task.key, progress=probing(progress),
        sha256=task.sha256, pyramid=task.pyramid, complete=task.complete,
    )  # fmt: skip
    return told(outcome)


def told(outcome: outcomes.Outcome) -> Outcome:
    """An outcome as a message."""
    match outcome:
        case Cleaned():
            return made(outcome)
        case Quarantined(code, reasons, report):
            where = place(reasons[0]) if reasons else ""
            words = tuple(map(sentence, reasons[:MAX_REASONS]))
            return Doubted(code=code, where=where, reasons=words, report=report.name if report else "")
        case Rejected(code, where, detail):
            return Declined(code=code, where=place(where), detail=sentence(detail))
        case other:
            assert_never(other)


def made(cleaned: Cleaned) -> Made:
    """A clean slide as a message, with all its facts."""
    facts = cleaned.facts
    return Made(
        clean_name=cleaned.clean.name,
        sha256=cleaned.sha256,
        size_bytes=cleaned.size_bytes,
        vendor=facts.vendor,
        route=cleaned.route,
        width=facts.size.width,
        height=facts.size.height,
        levels=len(facts.levels),
        tile_size=_tile_side(cleaned.clean),
        mpp_x=facts.mpp.x if facts.mpp else None,
        mpp_y=facts.mpp.y if facts.mpp else None,
        magnification=facts.magnification,
        removed=cleaned.removed,
        kept=cleaned.kept,
        replaced=cleaned.replaced,
        facts=facts,
    )


def _tile_side(clean: Path) -> int:
    """Of the clean slide: a converted one, and strips that were cut, have other tiles than their source."""
    with closing(open_tiff(clean)) as tiff:
        return tiff.pages[0].tile_size.width
