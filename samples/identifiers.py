"""Canaries: values planted in a slide, each unique to its place, so that a leak names where it came from."""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

FAMILY = ("DOE", "ROE", "MUSTERFRAU", "LINDQVIST", "OKAFOR", "TANAKA", "DVORAK", "SANTOS")
GIVEN = ("JANE", "ERIKA", "JOHN", "AMARA", "YUKI", "PETR", "LUCIA", "NILS")


class Encoding(StrEnum):
    """How a value stands in the file."""

    ASCII = "ascii"
    UTF16LE = "utf-16le"
    UTF16BE = "utf-16be"
    BASE64 = "base64"
    HEX = "hex"
    """The value is the hexadecimal form of raw bytes."""
    PIXELS = "pixels"
    """Drawn as text into a picture; found by looking, not by searching bytes."""


class Kind(StrEnum):
    """What sort of identity a value carries."""

    PERSON = "person"
    NUMBER = "number"
    DATE = "date"
    STAFF = "staff"
    PLACE = "place"
    DEVICE = "device"
    TEXT = "text"
    FILE_NAME = "file-name"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One planted value."""

    place: str
    """Element path, e.g. `ifd[0]/ImageDescription/Title`."""
    value: str
    encoding: Encoding
    kind: Kind
    searchable: bool = True
    """False for ordinary values (`3`), which structure has to prove gone."""

    @property
    def needle(self) -> bytes | None:
        """The bytes that stand in the slide file; None for pixels and the file's own name."""
        if self.place == "file/name":
            return None
        match self.encoding:
            case Encoding.PIXELS:
                return None
            case Encoding.HEX:
                return bytes.fromhex(self.value)
            case Encoding.BASE64:
                return base64.b64encode(self.value.encode())
            case encoding:
                return self.value.encode(encoding.value)


@dataclass(frozen=True, slots=True)
class Facts:
    """What every reader has to say about the slide."""

    vendor: str
    levels: tuple[tuple[int, int], ...]
    """Width and height of each level, largest first."""
    tile: tuple[int, int]
    codec: str
    mpp: float | None
    magnification: float | None
    associated: tuple[str, ...] = ()
    """In OpenSlide's words: label, macro, thumbnail."""
    openslide_opens: bool = True
    """False where OpenSlide 4.0.1 knows the codec or byte order not, though the file is right."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A slide that was written, and everything in it that may not come out again."""

    path: Path
    identifiers: tuple[Identifier, ...]
    facts: Facts
    traps: tuple[str, ...] = ()

    @property
    def sidecar(self) -> Path:
        """Where the list stands beside the slide."""
        return self.path.with_name(self.path.name + ".planted.json")

    def save(self) -> Planted:
        """Write the list beside the slide and return it."""
        content = asdict(self) | {"path": self.path.name}
        self.sidecar.write_text(json.dumps(content, indent=1, default=str) + "\n")
        return self


def load(slide: Path) -> Planted:
    """Read the list that `Planted.save` wrote for `slide`."""
    content: dict[str, Any] = json.loads(slide.with_name(slide.name + ".planted.json").read_text())
    facts = content["facts"]
    return Planted(
        path=slide,
        identifiers=tuple(
            Identifier(**(one | {"encoding": Encoding(one["encoding"]), "kind": Kind(one["kind"])}))
            for one in content["identifiers"]
        ),
        facts=Facts(
            **(
                facts
                | {
                    "levels": tuple(map(tuple, facts["levels"])),
                    "tile": tuple(facts["tile"]),
                    "associated": tuple(facts["associated"]),
                }
            )
        ),
        traps=tuple(content["traps"]),
    )


@dataclass(slots=True)
class Planter:
    """Makes canaries and remembers each; `omit` names parts of places that stay empty."""

    seed: int
    active: bool = True
    omit: Collection[str] = ()
    found: list[Identifier] = field(default_factory=list)
    _random: random.Random = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        """Seed the generator: the same seed gives the same canaries."""
        self._random = random.Random(f"coverslip-samples-{self.seed}")

    def wants(self, place: str) -> bool:
        """Whether something is planted at `place`."""
        return self.active and not any(part in place for part in self.omit)

    def record(self, place: str, value: str, encoding: Encoding, kind: Kind, *, searchable: bool = True) -> str:
        """Remember a value made elsewhere and return it."""
        self.found.append(Identifier(place, value, encoding, kind, searchable))
        return value

    def token(self, mark: str) -> str:
        """A value nobody else has, e.g. `ZQ-PAT-00f-7f3a91`."""
        self._count += 1
        return f"ZQ-{mark}-{self._count:03x}-{self._random.randrange(1 << 32):08x}"

    def person(self) -> str:
        """A patient's name as DICOM writes it."""
        return f"{self._random.choice(FAMILY)}^{self._random.choice(GIVEN)}"

    def text(self, place: str, kind: Kind = Kind.TEXT, encoding: Encoding = Encoding.ASCII) -> str:
        """A canary with a person's name behind it, planted at `place`."""
        mark = place.rsplit("/", 1)[-1].upper().replace(" ", "")[:3].ljust(3, "X")
        return self.record(place, f"{self.token(mark)} {self.person()}", encoding, kind)

    def blob(self, place: str, kind: Kind = Kind.TEXT, encoding: Encoding = Encoding.ASCII) -> bytes:
        """As `text`, already in the bytes that stand in the file."""
        self.text(place, kind, encoding)
        needle = self.found[-1].needle
        return needle if needle is not None else b""

    def raw(self, place: str, length: int, kind: Kind) -> bytes:
        """Random bytes without a zero, recorded in hexadecimal; fewer than six turn up by accident in any file."""
        data = bytes(self._random.randrange(1, 255) for _ in range(length))
        return bytes.fromhex(self.record(place, data.hex(), Encoding.HEX, kind, searchable=length >= 6))

    def date(self, place: str, form: str) -> str:
        """A date or time of the last century in `form`, with the usual strftime letters Y y m d H M S; no two alike."""
        taken = {one.value for one in self.found}
        value = next(value for _ in range(10_000) if (value := self._moment(form)) not in taken)
        return self.record(place, value, Encoding.ASCII, Kind.DATE)

    def _moment(self, form: str) -> str:
        pick = self._random.randrange
        letters = {
            "Y": pick(1931, 1999),
            "m": pick(1, 13),
            "d": pick(13, 29),
            "H": pick(24),
            "M": pick(60),
            "S": pick(60),
        }
        value = form
        for letter, number in letters.items():
            value = value.replace(f"%{letter}", f"{number:02d}")
        return value.replace("%y", f"{letters['Y'] % 100:02d}")

    def moment(self, place: str) -> bytes:
        """A date and time of the last century as ICC writes it: six big-endian 16-bit numbers."""
        pick = self._random.randrange
        data = struct.pack(">6H", pick(1931, 1999), pick(1, 13), pick(13, 29), pick(24), pick(60), pick(60))
        return bytes.fromhex(self.record(place, data.hex(), Encoding.HEX, Kind.DATE))


def slide_name(seed: int, suffix: str) -> str:
    """A file name as hospitals make them: an accession number and a patient in it."""
    planter = Planter(seed)
    return f"{planter.token('FIL')}_S12-34567_DOE-JANE{suffix}"


def place_for(path: Path, seed: int, suffix: str) -> Path:
    """`path` itself, or inside it, when it is a folder, a slide whose name is an identifier."""
    return path / slide_name(seed, suffix) if path.is_dir() else path
