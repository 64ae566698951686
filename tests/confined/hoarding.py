"""A child that takes more than its share, each in another way; runs inside the walls."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time

from coverslip.beside import elsewhere
from coverslip.confined.messages import Declined, Outcome, Task
from coverslip.progress import Progress, Stage
from tests.confined import twins

MIB = 1 << 20


def threads(task: Task, progress: Progress) -> Outcome:
    """As many threads as there may be; write down how many there were."""
    threading.stack_size(64 << 10)
    started = 1
    try:
        while started < 100_000:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            started += 1
    except RuntimeError:
        (task.out_dir / "started").write_text(str(started))
        time.sleep(1)
    return Declined(code="unsupported-slide")


def nameless(task: Task, progress: Progress) -> Outcome:
    """Files that are deleted while they are open."""
    kept = []
    while True:
        path = task.out_dir / "x"
        kept.append(path.open("wb"))
        path.unlink()
        kept[-1].write(bytes(MIB))
        kept[-1].flush()
        time.sleep(0.01)


def mapped(task: Task, progress: Progress) -> Outcome:
    """Files that are deleted, closed, and held by one page."""
    kept = []
    while True:
        path = task.out_dir / "x"
        with path.open("w+b") as file:
            file.write(bytes(MIB))
            file.flush()
            kept.append(mmap.mmap(file.fileno(), mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ))
        path.unlink()
        time.sleep(0.01)


def empty(task: Task, progress: Progress) -> Outcome:
    """Files with nothing in them, and no end of them."""
    number = 0
    while True:
        (task.out_dir / str(number)).touch()
        number += 1


def deep(task: Task, progress: Progress) -> Outcome:
    """Folders in folders, deeper than any name reaches."""
    handle = os.open(task.out_dir, os.O_RDONLY)
    for _ in range(20_000):
        os.mkdir("x", dir_fd=handle)
        inner = os.open("x", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(os.open("original", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    time.sleep(600)
    return Declined(code="unsupported-slide")


def locks(task: Task, progress: Progress) -> Outcome:
    """Locks, each of them memory of the kernel's."""
    with (task.out_dir / "x").open("wb") as file:
        for number in range(1000):
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * number)
        progress(Stage.WRITE, 0.5)
        time.sleep(0.5)
    return Declined(code="unsupported-slide")


def nothing(task: Task, progress: Progress) -> Outcome:
    """Wait to be watched."""
    progress(Stage.WRITE, 0.5)
    time.sleep(600)
    return Declined(code="unsupported-slide")


def twice(task: Task, progress: Progress) -> Outcome:
    """Say something, and a moment later something else."""
    progress(Stage.WRITE, 0.5)
    time.sleep(1)
    progress(Stage.WRITE, 0.9)
    return Declined(code="unsupported-slide")


def aided(task: Task, progress: Progress) -> Outcome:
    """Ask for a twin a moment after the first word."""
    progress(Stage.WRITE, 0.5)
    time.sleep(0.5)
    elsewhere(twins.number, task.source)
    return Declined(code="unsupported-slide")
