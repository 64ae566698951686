"""What a child that looked at a slide says about it: plain values, read as input by whoever prints them."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, ValidationError

from coverslip.errors import ChildCrashed
from coverslip.slide import Planes

FILE: Final = "answer.json"
MOST: Final = 256 << 20
"""Bytes of an answer; a slide with a million elements says less."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """One place in a slide where identity can live."""

    path: str
    kind: str
    note: str
    bytes: int


class Inspection(Struct, frozen=True, forbid_unknown_fields=True):
    """What a slide is and everything in it, without values."""

    reader: str
    route: str
    vendor: str
    container: str
    levels: tuple[str, ...]
    mpp: tuple[float, float] | None
    magnification: float | None
    planes: Planes | None
    declined: dict[str, str]
    """Why each reader before the chosen one did not take it."""
    elements: tuple[Seen, ...]


class Ruled(Struct, frozen=True, forbid_unknown_fields=True):
    """What would happen to one element, by which rule, and why."""

    path: str
    action: str
    rule: str
    reason: str


class Planned(Struct, frozen=True, forbid_unknown_fields=True):
    """What would happen to a slide."""

    policy: str
    elements: tuple[Ruled, ...]
    counts: dict[str, int]


class Judged(Struct, frozen=True, forbid_unknown_fields=True):
    """One check of the verifier's."""

    name: str
    passed: bool
    measured: dict[str, int | float | str | bool | None]


class Doubt(Struct, frozen=True, forbid_unknown_fields=True):
    """One finding of the verifier's."""

    check: str
    code: str
    where: str
    detail: str


class Subject(Struct, frozen=True, forbid_unknown_fields=True):
    """What was verified."""

    sha256: str
    bytes: int


class Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    """The verifier's report, as `coverslip.verify.as_dict` has it."""

    schema: str
    passed: bool
    route: str
    clean: Subject
    checks: tuple[Judged, ...]
    findings: tuple[Doubt, ...]
    ledger: dict[str, Any]
    leaks: dict[str, Any]
    scans: dict[str, Any]
    utility: dict[str, Any]


A = TypeVar("A", Inspection, Planned, Verdict)


def write(room: Path, answer: Inspection | Planned | dict[str, Any]) -> None:
    """Leave an answer in a room."""
    (room / FILE).write_bytes(json.dumps(msgspec.to_builtins(answer)).encode("ascii"))


def read(room: Path, kind: type[A]) -> A:
    """The answer in a room, with nothing in it that moves a terminal's cursor. Raises `ChildCrashed` for any other."""
    try:
        untrusted = json.loads(_bytes(room / FILE))
        return msgspec.convert(_printable(untrusted), kind)
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        raise ChildCrashed("The child's answer is none.") from error


def _bytes(path: Path) -> bytes:
    """Of a plain file of a size that can be."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST:
            raise ValueError("no answer")
        return file.read(MOST)


def _printable(untrusted: Any) -> Any:  # noqa: ANN401  JSON is
    match untrusted:
        case str():
            return _CONTROL.sub("?", untrusted)
        case list():
            return [_printable(each) for each in untrusted]
        case dict():
            return {_CONTROL.sub("?", name): _printable(each) for name, each in untrusted.items()}
        case _:
            return untrusted
