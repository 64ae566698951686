"""What a child has its twin do; runs inside the two."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from coverslip.beside import elsewhere
from coverslip.confined.messages import Declined, Outcome, Task
from coverslip.errors import DamagedSlide
from coverslip.progress import Progress, Stage
from coverslip.verify.report import Finding


def number(name: Path) -> int:
    """Which process this is."""
    return os.getpid()


def found(name: Path) -> list[Finding]:
    """Facts, words of every kind among them."""
    return [Finding("labels", "private-picture", os.fspath(name), "a\n\udcff\u20ac")]


def damaged(name: Path) -> int:
    """A slide at fault."""
    raise DamagedSlide("holds no picture", where="ifd[0]")


def greedy(name: Path) -> int:
    """More memory than there is."""
    return len(bytearray(1 << 40))


def clumsy(name: Path) -> int:
    """A mistake of ours."""
    raise ZeroDivisionError(name)


def written(name: Path) -> int:
    """A file in the only folder the child may write to."""
    return name.with_name("by-the-twin").write_bytes(b"x")


def counted(name: Path, *, progress: Progress) -> int:
    """With a report on the way."""
    progress(Stage.PYRAMID, 0.5)
    return os.getpid()


def tired(name: Path) -> int:
    """At the end of its time."""
    while True:
        pass


def gone(name: Path) -> int:
    """Without a word."""
    os._exit(0)


def endless(name: Path) -> str:
    """More words than anybody has to say."""
    return "x" * (32 << 20)


ASKED: Final[dict[str, Callable[[Path], Any]]] = {
    work.__name__: work
    for work in (number, found, damaged, greedy, clumsy, written, tired, gone, endless, counted)
}  # fmt: skip


def ask(task: Task, progress: Progress) -> Outcome:
    """Ask the twin what the task's policy names; write down the answer and our own number."""
    answer = elsewhere(ASKED[task.policy], task.out_dir / "answer")
    (task.out_dir / "answer").write_text(f"{os.getpid()}\n{answer!r}")
    return Declined(code="unsupported-slide")


def ask_nothing(task: Task, progress: Progress) -> Outcome:
    """No question at all, for ever."""
    while True:
        progress(Stage.VERIFY, 0.0)


def ask_again(task: Task, progress: Progress) -> Outcome:
    """A question at whose answer there is a mistake, then four at the same time."""
    with suppress(DamagedSlide):
        elsewhere(damaged, task.out_dir)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: elsewhere(number, task.out_dir), range(4)))
    (task.out_dir / "answer").write_text(f"{os.getpid()}\n{answers}")
    return Declined(code="unsupported-slide")


def ask_how_far(task: Task, progress: Progress) -> Outcome:
    """A question that takes long; its reports are ours."""
    answer = elsewhere(counted, task.out_dir, progress=progress)
    (task.out_dir / "answer").write_text(f"{os.getpid()}\n{answer}")
    return Declined(code="unsupported-slide")


def leave_it(task: Task, progress: Progress) -> Outcome:
    """Die while the twin is at work."""
    threading.Thread(target=elsewhere, args=(tired, task.out_dir), daemon=True).start()
    while True:
        progress(Stage.VERIFY, 0.0)
