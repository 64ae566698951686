"""Work that builds a real pyramid in a confined child: the first attempt at a slide stops in the middle, the next may
not begin anew."""

from __future__ import annotations

import time
from typing import Any

from coverslip import tiling
from coverslip.confined.messages import Outcome, Task, Tiled
from coverslip.progress import Progress, Stage, silent
from coverslip.pyramid import feed, resume
from tests.workers import canaries

CRASHES = b"crashes"
"""How a slide that does so ends: TIFF readers do not look there."""
MIDDLE = 8
"""Units after which the first attempt stops."""
STANDS = 0.123456
"""What it says it has done once it stands there: before, a slow machine is anywhere on the way."""
PATIENCE = 100
"""Tenths of a second it waits there to be shot, not counting those in which it was stopped."""

resume.EVERY = 0  # type: ignore[misc]
feed.BLOCK_PIXELS = 128  # type: ignore[misc]


def deidentify(task: Task, progress: Progress) -> Outcome:
    """Copy the source."""
    return canaries.copy(task, progress)


def tile(task: Task, progress: Progress) -> Outcome:
    """Build it in small units, each written down."""
    is_first = not any(task.out_dir.iterdir())
    taken_up: list[Any] = []
    took_up = resume.Recorder.took_up
    resume.Recorder.took_up = lambda self, *found: taken_up.append(found) or took_up(self, *found)  # type: ignore
    reports = 0

    def stop(stage: Stage, done: float) -> None:
        nonlocal reports
        reports += 1
        progress(stage, done)
        if is_first and reports == MIDDLE:
            _stop(task, progress)

    tiling.build_pyramid(task.source, task.out_dir / "slide.pyramid", complete=True, progress=stop)
    if not is_first and len(taken_up) != MIDDLE:
        raise AssertionError
    return Tiled()


def _stop(task: Task, progress: Progress) -> None:
    if task.source.read_bytes().endswith(CRASHES):
        canaries.segfault(task, silent)
    for _ in range(PATIENCE):
        progress(Stage.PYRAMID, STANDS)  # again and again: what follows soon on something else is not passed on
        time.sleep(0.1)
