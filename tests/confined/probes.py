"""Work that takes too much before or after a slide is known to be one; each runs inside a confined child."""

from __future__ import annotations

import resource
import time
from datetime import timedelta

from coverslip import pipeline
from coverslip.confined import slides
from coverslip.confined.messages import Outcome, Task, Tiled
from coverslip.confined.probing import probing
from coverslip.outcomes import Rejected
from coverslip.progress import Progress, Stage
from workers import work

LITTLE = 300 << 20
"""Bytes, what the interpreter has already among them."""
SHORT = timedelta(seconds=1)


def hoard(task: Task, progress: Progress) -> Outcome:
    """Take memory before anything is known of the slide."""
    report = probing(progress, memory=LITTLE)
    report(Stage.OPEN, 0.0)
    return _hoarded(LITTLE)


def hoard_later(task: Task, progress: Progress) -> Outcome:
    """As much for a slide that is being written."""
    report = probing(progress, memory=LITTLE)
    report(Stage.WRITE, 0.0)
    return _hoarded(LITTLE)


def burn(task: Task, progress: Progress) -> Outcome:
    """Use CPU while the slide is planned."""
    report = probing(progress, cpu=SHORT)
    report(Stage.PLAN, 0.0)
    return _burned(60)


def burn_later(task: Task, progress: Progress) -> Outcome:
    """Use CPU for a slide that is being verified."""
    report = probing(progress, cpu=SHORT)
    report(Stage.VERIFY, 0.0)
    return _burned(1.5)


def burn_unpacking(task: Task, progress: Progress) -> Outcome:
    """Use CPU for an archive of which one piece after the other comes out."""
    report = probing(progress, cpu=SHORT)
    for piece in range(5):
        _burned(0.5)
        report(Stage.OPEN, piece / 5 + 0.1)
    return Tiled()


def workers_work(task: Task, progress: Progress) -> Outcome:
    """What holds a worker's child at each stage, said as a place."""
    pipeline.deidentify = _look
    return work.deidentify(task, progress)


def command_line_s_work(task: Task, progress: Progress) -> Outcome:
    """What holds the command line's child at each stage, said as a place."""
    pipeline.deidentify = _look
    return slides.deidentify(task, progress)


def _look(source: object, out_dir: object, *, progress: Progress, **_: object) -> Rejected:
    seen = []
    for stage in Stage:
        progress(stage, 0.0)
        limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU))
        seen.append("{}/{}".format(*limits))
    return Rejected("damaged-slide", " ".join(seen), "")


def _hoarded(size: int) -> Outcome:
    held = [b"x" * (16 << 20) for _ in range(size // (16 << 20))]
    assert held
    return Tiled()


def _burned(seconds: float) -> Outcome:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return Tiled()
