"""A child's twin: a second process that does one piece of work after another while the first does the rest.

Forked when the child first asks; it goes behind the same walls, does what it is asked, and says what came of it. It may
write where the child may only when the task is one it has to write for. Both look at the same slide, so neither trusts
the other more than itself; whoever waits for them trusts neither.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from coverslip.confined import faults, saying
from coverslip.confined.messages import Failed, Message, Reached
from coverslip.errors import ChildCrashed
from coverslip.progress import Progress, silent

MOST = 16 << 20
"""Bytes of a question or an answer."""


class Answer(Message, frozen=True):
    """What came of a question."""

    value: Any = None
    failed: Failed | None = None
    """How there came nothing of it."""


class Twin:
    """The child's end. Safe to call from several threads: who asks while it is at work waits for its turn."""

    def __init__(self, door: int) -> None:
        """`door`: a socket whose other end the twin has."""
        self._door = door
        self._lines = open(door, "rb", closefd=False)  # noqa: SIM115  lives as long as we do
        self._turn = threading.Lock()

    def __call__(self, work: Callable[..., Any], *arguments: object, progress: Progress | None) -> Any:  # noqa: ANN401
        """What `work(*arguments)` returns there. Raises its errors, and `ChildCrashed` when the twin is gone."""
        with self._turn:
            _write(self._door, [f"{work.__module__}:{work.__qualname__}", *map(_plain, arguments)])
            answer = self._heard(progress or silent)
        if answer.failed is not None:
            raise answer.failed.error()
        return msgspec.convert(answer.value, get_type_hints(work)["return"], dec_hook=_path)

    def _heard(self, progress: Progress) -> Answer:
        while (line := self._lines.readline(MOST)).endswith(b"\n"):
            said = msgspec.convert(json.loads(line), Answer | Reached)
            if isinstance(said, Answer):
                return said
            progress(said.stage, said.done)
        raise ChildCrashed("The child's twin died.")


def serve(door: int, confine: Callable[[], object]) -> None:
    """The twin's end: wait for a question, `confine` this process, and only then look at what it is."""
    with open(door, "rb", closefd=False) as lines:
        line = lines.readline(MOST)
        held = faults.outcome(confine) if line else None
        while line:
            _write(door, _plain(Answer(failed=held) if isinstance(held, Failed) else _answer(line, door)))
            line = lines.readline(MOST)


def _answer(line: bytes, door: int) -> Answer:
    said = faults.outcome(lambda: _asked(line, saying.reporter(door)))
    return Answer(failed=said) if isinstance(said, Failed) else Answer(said)


def _asked(line: bytes, progress: Progress) -> object:
    """What the function named in a question returns; one that reports does."""
    name, *arguments = json.loads(line)
    module, _, inner = name.partition(":")
    work = getattr(sys.modules[module], inner)
    kinds = get_type_hints(work)
    told = {"progress": progress} if "progress" in kinds else {}
    wanted = [kind for parameter, kind in kinds.items() if parameter not in {"progress", "return"}]
    given = [msgspec.convert(one, kind, dec_hook=_path) for one, kind in zip(arguments, wanted, strict=True)]
    return work(*given, **told)


def _plain(value: object) -> object:
    return msgspec.to_builtins(value, enc_hook=str)


def _path(wanted: type, text: object) -> object:
    return wanted(text)


def _write(door: int, message: object) -> None:
    """One message as one line; names that are no UTF-8 have lone surrogates, which only the standard library writes."""
    saying.write(door, json.dumps(message).encode("ascii") + b"\n")
