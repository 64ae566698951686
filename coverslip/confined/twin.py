"""A child's twin: a second process that does one piece of work while the first does the rest.

Forked together with the child, it sleeps until the child asks; then it goes behind the same walls, where it can write
to no file, does what it was asked, and says what came of it. Both look at the same slide, so neither trusts the other
more than itself; whoever waits for them trusts neither.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from coverslip.errors import ChildCrashed, ChildOutOfMemory, CoverslipError, by_code

PIECE = 64 << 10
MOST = 16 << 20
"""Bytes of an answer."""


class Answer(msgspec.Struct, frozen=True):
    """What came of a question: a value, or one of our errors."""

    value: Any = None
    code: str = ""
    detail: str = ""
    where: str = ""


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
        if answer.code:
            raise by_code(answer.code)(answer.detail, where=answer.where)
        return msgspec.convert(answer.value, get_type_hints(work)["return"], dec_hook=_path)


def serve(door: int, confine: Callable[[], object]) -> None:
    """The twin's end: wait to be asked, `confine` this process, and only then look at what the question is."""
    line = _line(door)
    if line:
        confine()
        _write(door, _plain(_answered(line)))


def _answered(line: bytes) -> Answer:
    try:
        name, *arguments = json.loads(line)
        module, _, inner = name.partition(":")
        work = getattr(sys.modules[module], inner)
        kinds = [kind for name, kind in get_type_hints(work).items() if name != "return"]
        given = [msgspec.convert(one, kind, dec_hook=_path) for one, kind in zip(arguments, kinds, strict=True)]
        return Answer(work(*given))
    except CoverslipError as error:
        return Answer(code=error.code, detail=error.detail, where=error.where)
    except MemoryError:
        return Answer(code=ChildOutOfMemory.code)
    except Exception as error:  # noqa: BLE001  the outermost edge: nothing of it but its kind goes on
        return Answer(code=ChildCrashed.code, where=type(error).__name__)


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
