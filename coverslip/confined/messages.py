"""What a confined child may say: a few typed messages, one JSON line each; everything else is a crash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from coverslip.archive.records import Produced, Refused, SetAside
from coverslip.errors import ChildCrashed
from coverslip.progress import Stage
from coverslip.slide import SlideFacts

MAX_LINE = 64 << 10
MAX_TOTAL = 64 << 20

MAX_REASONS = 100
MAX_PLACE = 200
Place = Annotated[str, Field(max_length=MAX_PLACE, pattern=r"^[A-Za-z0-9 _\-\[\]/.:,()#?]*$")]
"""An element path. The child has seen the file, so what it calls a place is checked like any input."""
MAX_SENTENCE = 300
Sentence = Annotated[str, Field(max_length=MAX_SENTENCE, pattern=r"^[\x20-\x7e]*$")]
"""Our own words about a slide, for the person who has the file; printable, as it ends on a terminal."""
Code = Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z-]*$")]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Word = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_-]+$")]


@dataclass(frozen=True, slots=True)
class Task:
    """What a child is asked to do."""

    source: Path
    """The original; but for `also` the only file outside the program the child can read."""
    out_dir: Path
    """The only folder the child can write to."""
    policy: str
    key: bytes
    """Keys pseudonyms and digests; 32 bytes."""
    sha256: str = ""
    """Of the source, in hex, where it is known."""
    complete: bool = False
    """Whether the pyramid is to hold every tile the slide does not."""
    also: tuple[Path, ...] = ()
    """Further files and folders the child may read: what belongs to the slide, a policy."""


class Message(BaseModel):
    """Root of what a child says."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Reached(Message):
    """How far the work is."""

    kind: Literal["reached"] = "reached"
    stage: Stage
    done: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Confined(Message):
    """The layers that hold the child, said before it looks at anything."""

    kind: Literal["confined"] = "confined"
    layers: Annotated[tuple[Word, ...], Field(max_length=16)]


class Failed(Message):
    """The work ended with one of our errors."""

    kind: Literal["failed"] = "failed"
    code: Code
    where: Place = ""


class Doubted(Message):
    """The slide goes to quarantine; the report, when there is one, lies in the output folder."""

    kind: Literal["doubted"] = "doubted"
    code: Code
    where: Place = ""
    reasons: Annotated[tuple[Sentence, ...], Field(max_length=MAX_REASONS)] = ()
    report: Annotated[str, Field(pattern=r"^(slide-[0-9a-f]{16}\.findings\.json)?$")] = ""
    """The report's file, where it has a name of its own."""

    def verdict(self) -> SetAside:
        """As the catalogue wants it."""
        return SetAside(self.code, self.where)


class Declined(Message):
    """The file is no slide we can take."""

    kind: Literal["declined"] = "declined"
    code: Code
    where: Place = ""
    detail: Sentence = ""

    def verdict(self) -> Refused:
        """As the catalogue wants it."""
        return Refused(self.code, self.where)


class Made(Message):
    """A clean slide lies in the output folder."""

    kind: Literal["made"] = "made"
    clean_name: Annotated[str, Field(pattern=r"^slide(-[0-9a-f]{16})?\.[a-z0-9.]{1,16}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Count
    vendor: Word
    route: Word
    width: Count
    height: Count
    levels: Count
    tile_size: Count | None
    mpp_x: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    mpp_y: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    magnification: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    removed: Count
    kept: Count
    replaced: Count
    facts: SlideFacts | None = None
    """More of the same, where somebody wants it."""

    def verdict(self) -> Produced:
        """As the catalogue wants it."""
        return Produced(**self.model_dump(exclude={"kind", "facts"}))


class Tiled(Message):
    """A pyramid lies in the output folder."""

    kind: Literal["tiled"] = "tiled"


Outcome = Made | Tiled | Doubted | Declined
Said = Reached | Confined | Failed | Outcome
_ADAPTER: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="kind")])


def place(text: str) -> str:
    """An element path in the letters a `Place` may have; others become `?`."""
    return re.sub(r"[^A-Za-z0-9 _\-\[\]/.:,()#]", "?", text)[:MAX_PLACE]


def sentence(text: str) -> str:
    """Our words in the letters a `Sentence` may have; others become `?`."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:MAX_SENTENCE]


def parse(untrusted_line: bytes) -> Said:
    """One line from a child; raises `ChildCrashed` for anything but a well-formed message."""
    try:
        return _ADAPTER.validate_json(untrusted_line)
    except ValidationError as error:
        raise ChildCrashed("The child said something that is not a message.") from error
