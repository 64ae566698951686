"""How a child, and its twin, say something: a message is a line, and progress is not said too often."""

from __future__ import annotations

import os
import time

import msgspec

from coverslip.confined.messages import Message, Reached
from coverslip.progress import Progress, Stage

QUIET = 0.2
"""Seconds between two reports of one stage."""


def say(pipe: int, message: Message) -> None:
    """Write one message as one line."""
    write(pipe, msgspec.json.encode(message) + b"\n")


def write(pipe: int, line: bytes) -> None:
    """All of it, however much goes in at once."""
    while line:
        line = line[os.write(pipe, line) :]


def reporter(pipe: int) -> Progress:
    """A progress callback that says every stage, and within a stage not too often."""
    last: tuple[Stage | None, float] = (None, 0.0)

    def report(stage: Stage, done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if stage != last[0] or now - last[1] >= QUIET:
            last = stage, now
            say(pipe, Reached(stage=stage, done=min(max(done, 0.0), 1.0)))

    return report
