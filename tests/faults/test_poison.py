"""Slides that kill whoever looks at them, among good ones: three attempts, quarantine, and nobody else notices."""

from datetime import timedelta

import pytest

from coverslip.archive.states import State
from tests.faults.kernel import memory_group
from tests.faults.rig import Rig, family_of, upload

SLOW = 300.0
"""Seconds; the machine may be busy."""
POISON = {
    "segfault": {"child-crashed"},
    "leave": {"child-crashed"},
    "shout": {"child-crashed"},
    "hoard": {"child-out-of-memory"},
    "burn": {"child-timed-out"},
}
"""What the file does to its reader → how that is told."""
GOOD = 10
CPU = timedelta(seconds=3)
"""Who takes all memory needs 0.35 s for it on a quiet machine, and must not be told apart by how busy it is."""
HELD = timedelta(seconds=60)
"""A lease nobody loses because the machine is busy: here attempts are counted."""


def bring_in(rig, poison):
    """Poison first, good ones behind and between; (sid → what it does)."""
    works = [*poison, *["copy"] * GOOD]
    return {upload(rig.archive, work.encode() + b" some tissue" * 100): work for work in works}


def check(rig, slides, codes):
    """Every slide came to the end it should, poison after exactly three attempts."""
    catalog = rig.archive.catalog
    for sid, work in slides.items():
        slide, (job,) = catalog.slide(sid), catalog.jobs(sid)
        if work == "copy":
            assert (slide.state, job.token) == (State.IN_REVIEW, 1)
        else:
            assert (slide.state, job.token, slide.code in codes[work]) == (State.QUARANTINED, 3, True), (work, slide)
    assert rig.archive.storage.drafts() == ()


def run(rig, codes):
    """Start, see who works, bring slides in, wait for their ends; the process that takes work is still the same."""
    warm = upload(rig.archive, b"copy that")
    rig.until(lambda: rig.archive.catalog.slide(warm).state is State.IN_REVIEW, SLOW)
    celery = family_of(rig.workers[0])[1].pid
    slides = bring_in(rig, codes)
    rig.until(lambda: rig.open_jobs() == 0, SLOW)
    check(rig, slides, codes)
    assert family_of(rig.workers[0])[1].pid == celery
    assert rig.restarts == 0


@pytest.mark.slow
def test_poison_among_good_slides(tmp_path, socket_dir):
    """Crashes, silence, noise, memory and CPU without end (target 9)."""
    bounds = {"child_memory": 600 << 20, "child_cpu": CPU, "max_attempts": 3, "lease": HELD}
    with Rig(tmp_path, socket_dir, workers=1, work="as_asked", watchdog_every=HELD, **bounds) as rig:
        run(rig, POISON)


@pytest.mark.slow
def test_the_kernel_s_memory_killer(tmp_path, socket_dir):
    """The worker's group of processes has too little memory for one slide: the child goes, three times, nobody else."""
    with memory_group(900 << 20) as group:
        options = {"work": "as_asked", "first": group.join, "max_attempts": 3, "lease": HELD, "watchdog_every": HELD}
        with Rig(tmp_path, socket_dir, workers=1, child_memory=64 << 30, **options) as rig:
            run(rig, {"hoard": {"child-crashed", "child-out-of-memory"}})
        assert group.kills >= 3
