"""A child's twin: a second process that does one piece of work while the first does the rest.

Forked when the child first asks; it goes behind the same walls, where it can write to no file, does what it was asked,
and says what came of it. Both look at the same slide, so neither trusts the other more than itself; whoever waits for
them trusts neither.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from coverslip.confined import faults
from coverslip.confined.messages import Failed
from coverslip.errors import ChildCrashed

PIECE = 64 << 10
MOST = 16 << 20
"""Bytes of an answer."""


class Answer(msgspec.Struct, frozen=True):
    """What came of a question."""

    value: Any = None
    failed: Failed | None = None
    """How there came nothing of it."""


class Twin:
    """The child's end: asks once, and does later work itself."""

    def __init__(self, door: int) -> None:
        """`door`: a socket whose other end the twin has."""
        self._door = door
        self._asked = False

    def __call__(self, work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  whatever `work` returns
        """What `work(*arguments)` returns there. Raises its errors, and `ChildCrashed` when the twin is gone."""
        if self._asked:
            return work(*arguments)
        self._asked = True
        _write(self._door, [f"{work.__module__}:{work.__qualname__}", *map(_plain, arguments)])
        line = _line(self._door)
        if not line:
            raise ChildCrashed("The child's twin died.")
        answer = msgspec.convert(json.loads(line), Answer)
        if answer.failed is not None:
            raise answer.failed.error()
        return msgspec.convert(answer.value, get_type_hints(work)["return"], dec_hook=_path)


def serve(door: int, confine: Callable[[], object]) -> None:
    """The twin's end: take a question, `confine` this process, and only then look at what it is."""
    line = _line(door)

    def answer() -> object:
        confine()
        return _asked(line)

    if line:
        said = faults.outcome(answer)
        _write(door, _plain(Answer(failed=said) if isinstance(said, Failed) else Answer(said)))


def _asked(line: bytes) -> object:
    """What the function named in a question returns."""
    name, *arguments = json.loads(line)
    module, _, inner = name.partition(":")
    work = getattr(sys.modules[module], inner)
    kinds = [kind for parameter, kind in get_type_hints(work).items() if parameter != "return"]
    given = [msgspec.convert(one, kind, dec_hook=_path) for one, kind in zip(arguments, kinds, strict=True)]
    return work(*given)


def _plain(value: object) -> object:
    return msgspec.to_builtins(value, enc_hook=str)


def _path(wanted: type, text: object) -> object:
    return wanted(text)


def _write(door: int, message: object) -> None:
    """One message as one line; names that are no UTF-8 have lone surrogates, which only the standard library writes."""
    line = json.dumps(message).encode("ascii") + b"\n"
    while line:
        line = line[os.write(door, line) :]


def _line(door: int) -> bytes:
    """The next message; empty when the other end is gone, or says more than anybody has to say."""
    pieces, total = [], 0
    while total < MOST:
        piece = os.read(door, PIECE)
        pieces.append(piece)
        total += len(piece)
        if piece.endswith(b"\n"):
            return b"".join(pieces)
        if not piece:
            break
    return b""
