"""Clients that bring their files in whatever happens to the service: each announces, sends, asks and goes on."""

from __future__ import annotations

import math
import threading
from collections import Counter
from contextlib import suppress
from typing import Self

from tests.faults.front import Front
from tests.faults.sender import Sender

PATIENCE = 15.0
"""Seconds one answer may take; a stopped service wakes up sooner."""


class Clients:
    """Some threads, each with one file on the way."""

    def __init__(self, front: Front, data: bytes, count: int = 4) -> None:
        """Every file is `data`, sent in two halves."""
        self.sids: list[str] = []
        """Slides that were acknowledged."""
        self._data = data
        self._wanted = self._begun = 0
        self._stopping, self._moved = threading.Event(), threading.Condition()
        half = (len(data) + 1) // 2
        self._senders = [Sender(front, step=half, patience=PATIENCE, stopping=self._stopping) for _ in range(count)]
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in self._senders]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._moved:
            self._stopping.set()
            self._moved.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def missing(self) -> int:
        """Files asked for and not acknowledged yet."""
        return self._wanted - len(self.sids)

    @property
    def answers(self) -> dict[int, int]:
        """What they were told instead of yes, by status."""
        return dict(sum((sender.seen.answers for sender in self._senders), Counter[int]()))

    @property
    def untyped(self) -> list[str]:
        """Answers nobody should ever get."""
        return [each for sender in self._senders for each in sender.seen.untyped]

    def want(self, count: int) -> None:
        """Ask for that many files in all."""
        with self._moved:
            self._wanted = max(self._wanted, count)
            self._moved.notify_all()

    def _run(self, sender: Sender) -> None:
        with sender:
            while self._another():
                with suppress(TimeoutError):  # told to stop
                    sid = sender.send(self._data, math.inf)
                    with self._moved:
                        self.sids.append(sid)

    def _another(self) -> bool:
        """Take a file to send, when there is one."""
        with self._moved:
            self._moved.wait_for(lambda: self._stopping.is_set() or self._begun < self._wanted)
            self._begun += 1
            return not self._stopping.is_set()
