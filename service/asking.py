"""One question about a slide's pixels and what answers it: what `service.routes.images` and `.iiif` are written in."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Final, TypeVar
from urllib.parse import parse_qs

import orjson

from coverslip.geometry import TileIndex
from coverslip.pyramid import Pyramid
from coverslip.pyramid.colour import QUALITY, Colour, Encoding, Format
from coverslip.pyramid.made_by import made_by
from coverslip.pyramid.plane import Picture
from coverslip.settings import Settings
from service.errors import Malformed
from service.quick import tag_of
from service.shelf import Opened
from service.sources import Sources

MOST_PARAMETERS: Final = 16
_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
Word = TypeVar("Word", Format, Colour)


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything a handler may look at."""

    part: Mapping[str, str]
    """The named parts of the address."""
    untrusted_query: Mapping[str, str]
    """Only names the route knows."""
    accept: str
    base: str
    """Scheme, host and, for pinned addresses, `/v/…`: what every address we name begins with."""
    opened: Opened
    pyramid: Pyramid
    sources: Sources
    settings: Settings

    @property
    def sid(self) -> str:
        """The slide."""
        return self.opened.slide.sid

    def profile(self, encoding: Encoding) -> bytes | None:
        """The slide's colour profile where the encoding needs it. Blocks."""
        return None if encoding.colour is Colour.RAW else self.sources.profile(self.opened)


class How(Enum):
    """What an answer costs."""

    AT_ONCE = auto()
    """Nothing to speak of."""
    READ = auto()
    """A read from disk."""
    DERIVE = auto()
    """Decoding and encoding: bounded, and kept."""


def _nothing() -> None:
    """Nothing is at hand."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How to make the bytes, and what names them before they are made."""

    key: str
    """Decides the bytes together with the slide's content version: the ETag is made of both."""
    media_type: str
    make: Callable[[], bytes | bytearray]
    how: How = How.DERIVE
    headers: tuple[tuple[str, str], ...] = ()
    at_hand: Callable[[], bytes | bytearray | None] = _nothing
    """The bytes if they need no waiting for a disk."""
    tag: str = ""
    """A strong validator, quoted, of bytes that have one already."""

    def etag(self, version: str) -> str:
        """A strong validator, quoted; of what is derived it names the codecs too."""
        named = f"{self.key} {made_by()}" if self.how is How.DERIVE else self.key
        return self.tag or f'"{version}-{hashlib.blake2b(named.encode(), digest_size=10).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class SeeOther:
    """What was asked for is described elsewhere."""

    location: str


Handler = Callable[[Ask], Awaitable[Answer | SeeOther]]


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of address below `/slides/{sid}` or `/iiif`."""

    pattern: re.Pattern[str]
    handler: Handler
    parameters: frozenset[str] = field(default_factory=frozenset)
    """Names a query may have; any other is refused, never ignored."""


def query_of(untrusted: bytes, known: frozenset[str]) -> dict[str, str]:
    """A query string's parameters, each once and each known; raises `Malformed`."""
    try:
        given = parse_qs(untrusted.decode("ascii"), True, True, max_num_fields=MOST_PARAMETERS) if untrusted else {}
    except ValueError as error:
        raise Malformed("The query does not parse.") from error
    given.pop("token", None)  # a link's, looked at by whoever decides about access
    if not known.issuperset(given) or any(len(values) > 1 for values in given.values()):
        raise Malformed(f"Parameters here, each once: {', '.join(sorted(known)) or 'none'}.")
    return {name: values[0] for name, values in given.items()}


def number(ask: Ask, name: str, default: float | None = None) -> float:
    """A parameter that is a number of at most nine digits; raises `Malformed`."""
    text = ask.untrusted_query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise Malformed(f"{name} is a number.")
    return float(text)


def whole_number(ask: Ask, name: str, allowed: range, default: int | None = None) -> int:
    """A parameter that is a whole number within a range; raises `Malformed`."""
    text = ask.untrusted_query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) not in allowed:
        raise Malformed(f"{name} is a whole number from {allowed.start} to {allowed.stop - 1}.")
    return int(text)


def encoding_of(ask: Ask, untrusted_format: str) -> Encoding:
    """How a derived picture is to be written: `quality` and `color` of the query; raises `Malformed`."""
    name = "jpg" if untrusted_format == "jpeg" else untrusted_format
    quality = whole_number(ask, "quality", range(1, 101), QUALITY)
    return Encoding(
        _word(Format, name, "fmt"), quality, _word(Colour, ask.untrusted_query.get("color", "raw"), "color")
    )


def ground_of(ask: Ask) -> str | None:
    """What is to be seen where a picture has nothing, `bg` as `#rrggbb`; None when not said. Raises `Malformed`."""
    text = ask.untrusted_query.get("bg")
    if text is not None and not re.fullmatch("[0-9A-Fa-f]{6}", text, re.ASCII):
        raise Malformed("bg is six hexadecimal digits.")
    return f"#{text.lower()}" if text else None


def _word(kind: type[Word], untrusted: str, name: str) -> Word:
    if untrusted not in set(kind):
        raise Malformed(f"{name} is one of {', '.join(kind)}.")
    return kind(untrusted)


def served_tile(ask: Ask, picture: Picture, tile: TileIndex, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A tile as it is served, stored or made now; its `level` counts halvings. Raises `TileNotFound`."""
    place = (picture.grid.largest - tile.level, tile.column, tile.row)
    how = How.DERIVE if picture.on_request(*place) else How.READ
    make, at_hand = partial(picture.tile, *place), partial(picture.tile_at_hand, *place)
    key = f"tile {place} {picture.key}".rstrip()  # of the plain picture, as `service.quick` names it
    return Answer(key, Format.JPG.media_type, make, how, headers, at_hand, tag_of(picture, place))


def document(ask: Ask, key: str, content: object, media_type: str = "application/json") -> Answer:
    """A small JSON answer; the addresses in it depend on where we are reached."""
    body = orjson.dumps(content)
    return Answer(f"{key} {ask.base} {hashlib.sha256(body).hexdigest()}", media_type, lambda: body, How.AT_ONCE)
