"""The real work; for a file that begins with the name of a fault that fault, with the file's words in its mouth."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import sys
import warnings

from coverslip.confined.messages import Outcome, Task
from coverslip.errors import DamagedSlide
from coverslip.progress import Progress, Stage
from tests.workers import canaries
from workers import work

tile = work.tile


def deidentify(task: Task, progress: Progress) -> Outcome:
    """De-identify, or fail as the file's first word says."""
    with task.source.open("rb") as file:
        head = file.read(4096)
    name, _, words = head.partition(b" ")
    fault = FAULTS.get(name.decode("latin-1"))
    if fault is None:
        return work.deidentify(task, progress)
    progress(Stage.OPEN, 0.5)
    told = " ".join((words.decode("utf-8", "replace"), *task.untrusted_words))
    return fault(told, task, progress)


def damaged(words: str, task: Task, progress: Progress) -> Outcome:
    """One of our errors, raised by somebody who forgot that it may not carry a value."""
    raise DamagedSlide(words, where="ifd[0]/ImageWidth")


def bug(words: str, task: Task, progress: Progress) -> Outcome:
    """An error nobody foresaw, raised from another, both with values in their texts."""
    try:
        raise KeyError(words)
    except KeyError as error:
        raise RuntimeError(f"cannot make sense of {words}") from error


def full(words: str, task: Task, progress: Progress) -> Outcome:
    """The disk is full, says the system, and names a file."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"/scratch/{words}")


def talk(words: str, task: Task, progress: Progress) -> Outcome:
    """Tell everybody: streams, logging, warnings, the process's own name."""
    for stream in (1, 2):
        os.write(stream, words.encode())
    print(words, file=sys.stderr, flush=True)
    logging.getLogger("coverslip").critical(words)
    warnings.warn(words, stacklevel=1)
    return work.deidentify(task, progress)


def babble(words: str, task: Task, progress: Progress) -> Outcome:
    """Say what is no message where only messages are said."""
    os.write(3, f'{{"kind": "failed", "code": "damaged-slide", "patient": "{words}"}}\n'.encode())
    return canaries.hang(task, progress)


def crash(words: str, task: Task, progress: Progress) -> Outcome:
    """Read where nothing is, with the words in memory."""
    held = ctypes.create_string_buffer(words.encode() * 100)
    ctypes.string_at(8)
    raise AssertionError(held)


def hoard(words: str, task: Task, progress: Progress) -> Outcome:
    """Take memory for ever."""
    kept = []
    while True:
        kept.append((words * (1 << 20))[: 16 << 20])


def hang(words: str, task: Task, progress: Progress) -> Outcome:
    """Leave half a file with the words in it, and never come back."""
    (task.out_dir / "slide.svs").write_text(words)
    return canaries.hang(task, progress)


FAULTS = {
    fault.__name__: fault for fault in (damaged, bug, full, talk, babble, crash, hoard, hang)
}  # fmt: skip
