"""What a child has its twin do; runs inside the two."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
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
    for work in (number, found, damaged, greedy, clumsy, written, tired, gone, endless)
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


def ask_twice(task: Task, progress: Progress) -> Outcome:
    """Two questions."""
    answers = [elsewhere(number, task.out_dir) for _ in range(2)]
    (task.out_dir / "answer").write_text(f"{os.getpid()} {answers[0]} {answers[1]}")
    return Declined(code="unsupported-slide")


def leave_it(task: Task, progress: Progress) -> Outcome:
    """Die while the twin is at work."""
    threading.Thread(target=elsewhere, args=(tired, task.out_dir), daemon=True).start()
    while True:
        progress(Stage.VERIFY, 0.0)
