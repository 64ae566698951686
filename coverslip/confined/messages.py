"""What a confined child may say: a few typed messages, one JSON line each; everything else is a crash."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, ValidationError, convert

from coverslip.confined.layers import Limits
from coverslip.errors import (
    CatalogError,
    ChildCrashed,
    ChildNotStarted,
    CoverslipError,
    StorageAway,
    WorkerLost,
    by_code,
)
from coverslip.progress import Stage
from coverslip.slide import SlideFacts

MAX_LINE = 64 << 10
MAX_TOTAL = 64 << 20

MAX_REASONS = 100
MAX_PLACE = 200
Place = Annotated[str, Meta(max_length=MAX_PLACE, pattern=r"^[A-Za-z0-9 _\-\[\]/.:,()#?]*\Z")]
"""An element path. The child has seen the file, so what it calls a place is checked like any input."""
MAX_SENTENCE = 300
Sentence = Annotated[str, Meta(max_length=MAX_SENTENCE, pattern=r"^[\x20-\x7e]*\Z")]
"""Our own words about a slide, for the person who has the file; printable, as it ends on a terminal."""
Code = Annotated[str, Meta(max_length=64, pattern=r"^[a-z][a-z-]*\Z")]
Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
Word = Annotated[str, Meta(max_length=64, pattern=r"^[a-z0-9_-]+\Z")]
Positive = Annotated[float, Meta(gt=0)]
NOT_TO_SAY = (CatalogError, StorageAway, ChildNotStarted, WorkerLost)
"""Errors of those who look after a child; it has neither record nor bucket, and what it says decides on attempts."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a child is asked to do."""

    source: Path
    """The original; but for `also` the only file outside the program the child can read."""
    out_dir: Path
    """The only folder the child can write to."""
    policy: str
    key: bytes = field(repr=False)
    """Keys pseudonyms and digests; 32 bytes."""
    sha256: str = ""
    """Of the source, in hex, where it is known."""
    complete: bool = False
    """Whether the pyramid is to hold every tile the slide does not."""
    pyramid: bool = False
    """Whether a slide that is cleaned gets its pyramid at once; a second process writes it then."""
    also: tuple[Path, ...] = ()
    """Further files and folders the child may read: what belongs to the slide, a policy."""
    other: Path | None = None
    """A second file the work is about: what a clean slide was made from, the viewer library of an export."""
    untrusted_words: tuple[str, ...] = field(default=(), repr=False)
    """What a client said about the slide, its name first: none of it may stand in the clean one."""


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """What a supervisor wants a child for; travels past the process it is forked from, which has no use for it."""

    work: str
    """`module:function`."""
    task: Task
    limits: Limits
    cwd: str
    """Paths inside a policy may be relative to it."""
    strict: bool

    def encoded(self) -> bytes:
        """As bytes; names that are no UTF-8 have lone surrogates, which only the standard library writes."""
        return json.dumps(msgspec.to_builtins(self, enc_hook=str)).encode("ascii")

    @classmethod
    def decoded(cls, data: bytes) -> Request:
        """Of bytes that our own supervisor wrote."""
        return convert(json.loads(data), cls, dec_hook=_path)

    @classmethod
    def learn(cls) -> None:
        """Read one, before there are children: what its parts are is found out the first time."""
        blank = Task(Path("/"), Path("/"), "", b"")
        cls.decoded(cls("", blank, Limits(0, timedelta(), timedelta(), 0), "/", strict=True).encoded())


def _path(wanted: type, text: object) -> object:
    return wanted(text)


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    """Root of what a child says; `kind` in a line is the name of the class."""


class Reached(Message, frozen=True):
    """How far the work is."""

    stage: Stage
    done: Annotated[float, Meta(ge=0, le=1)]


class Confined(Message, frozen=True):
    """The layers that hold the child, said before it looks at anything."""

    layers: Annotated[tuple[Word, ...], Meta(max_length=16)]


class Failed(Message, frozen=True):
    """The work ended with one of our errors."""

    code: Code
    where: Place = ""

    def error(self) -> CoverslipError:
        """It, to be raised; a code nobody knows, or a child cannot know of, is a crash."""
        kind = by_code(self.code)
        if kind is CoverslipError or issubclass(kind, NOT_TO_SAY):
            return ChildCrashed(where=self.where)
        return kind(where=self.where)


class Doubted(Message, frozen=True):
    """The slide goes to quarantine; the report, when there is one, lies in the output folder."""

    code: Code
    where: Place = ""
    reasons: Annotated[tuple[Sentence, ...], Meta(max_length=MAX_REASONS)] = ()
    report: Annotated[str, Meta(pattern=r"^(slide-[0-9a-f]{16}\.findings\.json)?\Z")] = ""
    """The report's file, where it has a name of its own."""


class Declined(Message, frozen=True):
    """The file is no slide we can take."""

    code: Code
    where: Place = ""
    detail: Sentence = ""


class Made(Message, frozen=True):
    """A clean slide lies in the output folder."""

    clean_name: Annotated[str, Meta(pattern=r"^slide(-[0-9a-f]{16})?\.[a-z0-9.]{1,16}\Z")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size_bytes: Count
    vendor: Word
    route: Word
    width: Count
    height: Count
    levels: Count
    tile_size: Count | None
    mpp_x: Positive | None
    mpp_y: Positive | None
    magnification: Positive | None
    removed: Count
    kept: Count
    replaced: Count
    facts: SlideFacts | None = None
    """More of the same, where somebody wants it."""


class Tiled(Message, frozen=True):
    """A pyramid lies in the output folder."""


class Answered(Message, frozen=True):
    """What was asked for lies in the output folder."""


Outcome = Made | Tiled | Answered | Doubted | Declined
Said = Reached | Confined | Failed | Outcome


def place(text: str) -> str:
    """An element path in the letters a `Place` may have; others become `?`."""
    return re.sub(r"[^A-Za-z0-9 _\-\[\]/.:,()#]", "?", text)[:MAX_PLACE]


def sentence(text: str) -> str:
    """Our words in the letters a `Sentence` may have; others become `?`."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:MAX_SENTENCE]


def parse(untrusted_line: bytes) -> Said:
    """One line from a child; raises `ChildCrashed` for anything but a well-formed message."""
    try:
        untrusted = json.loads(untrusted_line, parse_float=_finite, parse_constant=_finite)
        said: Said = convert(untrusted, Said)
    except (ValueError, RecursionError, ValidationError) as error:
        raise ChildCrashed("The child said something that is not a message.") from error
    return said


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("JSON knows no infinity")
    return value
