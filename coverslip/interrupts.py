"""Signals that ask a command to end become one exception, at a moment when nothing is half done.

Ctrl-C, a closed terminal and `kill` are asked alike. Only a command listens (`listen`): a library leaves signals to the
program it is part of.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Final

ASKED_BY: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody asked the command to end. No `Exception`: nothing on the way may take it for a fault of a slide."""

    def __init__(self, number: int) -> None:
        """Say by which signal."""
        super().__init__(f"interrupted by signal {number}")
        self.exit_code = 128 + number
        """As shells count them: 130 for Ctrl-C, 143 for `kill`, 129 for a closed terminal."""


class _Ears:
    """What was heard; the first signal counts, and whoever sends more waits for us to tidy up."""

    depth = 0
    waiting = 0
    over = False

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Called between two steps of the main thread."""
        if self.over or self.waiting:
            return
        if self.depth:
            self.waiting = number
            return
        self.end(number)

    def end(self, number: int) -> None:
        """Raise what ends the command, once."""
        self.over, self.waiting = True, 0
        raise Interrupted(number)


_ears = _Ears()


def listen() -> None:
    """Turn the signals into `Interrupted` from now on; those that are ignored, as by nohup, stay so."""
    for number in ASKED_BY:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ears.hear)


def ignore() -> None:
    """The command is over: whoever asks it to end now is late, and its exit code stays what it is."""
    for number in ASKED_BY:
        signal.signal(number, signal.SIG_IGN)


class Shielded:
    """A block that a signal does not tear apart: what comes meanwhile is raised at its end."""

    def __enter__(self) -> None:
        """Begin."""
        if _is_main():
            _ears.depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End, and raise `Interrupted` if somebody asked for it."""
        if _is_main():
            _ears.depth -= 1
            if not _ears.depth and _ears.waiting:
                _ears.end(_ears.waiting)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
