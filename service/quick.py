"""Tiles that need no waiting: from an address and its headers straight to the bytes of an answer, or to nothing.

`service.express` puts on the socket what `Quick.answer` returns. It knows the plain form of every tile address, and
says what `service.routes.tiles` and `service.pictures` would say; all else, refusals too, is left to those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from coverslip.errors import TileNotFound
from coverslip.geometry import TileIndex
from coverslip.pyramid import iiif, zoomify, zxy
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.made_by import made_by
from coverslip.pyramid.plane import Picture
from coverslip.pyramid.read import Pyramid
from coverslip.settings import Settings
from service.accept import accepts
from service.addresses import base_of
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, none_match, pinned
from service.cors import Cors
from service.derived import AT_HAND, Made, Workshop, cache_status
from service.errors import Malformed
from service.links import LinkTokens
from service.roles import Role, has
from service.sessions import Belief, Sessions, Shown
from service.shelf import Opened, Shelf

Place = tuple[int, int, int]
"""dz_level, column, row."""
Named = Mapping[bytes, bytes]

_STATUS: Final = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}
_SHARED: Final = b"cache-control: %b\r\ncross-origin-resource-policy: %b\r\nx-content-type-options: nosniff\r\n"
_PRIVATE: Final = _SHARED % (CACHE_PRIVATE.encode(), b"same-origin")
_HEAD: Final = _STATUS[200] + b"content-type: image/jpeg\r\ncontent-length: %d\r\netag: %b\r\n%b%b"

_HIT: Final = b"".join(b"%b: %b\r\n" % pair for pair in cache_status(Made(b"", hit=True)))
_STORED: Final = b"".join(b"%b: %b\r\n" % pair for pair in AT_HAND)


class Ready(NamedTuple):
    """An answer that needs no waiting."""

    head: bytes
    """Status line and headers, without the server's own and the empty line."""
    body: bytes | bytearray


class Found(NamedTuple):
    """A tile an address names."""

    place: Place
    canonical: str = ""
    """IIIF: the one address of this picture, below the host."""
    profile: str = ""
    """IIIF: the level of the protocol."""


class _Front(NamedTuple):
    """What stands before an address, for those we name in answers."""

    scheme: str
    link: str | None
    """The token that opened the slide."""
    version: bytes | None
    """Of a pinned address."""


@dataclass(slots=True)
class Regular:
    """The curator who asked last on a connection: one who shows the same again need not be looked for again.

    What was shown is kept as it came, with the connection and no longer.
    """

    shown: Shown = (None, None)
    belief: Belief | None = None


@dataclass(slots=True)
class Tally:
    """What was answered, for `/metrics`."""

    requests: int = 0
    sent: int = 0
    """Bytes of tiles."""


class Quick:
    """The short way."""

    def __init__(
        self, shelf: Shelf, sessions: Sessions, links: LinkTokens, workshop: Workshop, settings: Settings
    ) -> None:
        """Share the opened pyramids, the credentials known to be good and the pictures in memory with the rest."""
        self._shelf = shelf
        self._sessions = sessions
        self._links = links
        self._workshop = workshop
        self._settings = settings
        self._forever = _SHARED % (pinned(settings.pinned_lifetime).encode(), b"cross-origin")
        self._floating = _SHARED % (CACHE_PUBLIC.encode(), b"cross-origin")
        self.cors = Cors("")
        """Who else may read."""
        self.links = b""
        """`Link` for answers about released slides, as they go on the wire; DeepZoom tiles are spared."""
        self.tally = Tally()

    def answer(
        self,
        untrusted_url: bytes,
        untrusted_headers: Iterable[tuple[bytes, bytes]],
        scheme: str,
        regular: Regular,
    ) -> Ready | None:
        """The answer to a GET for a tile when all it takes is in memory; None for everything else.

        `regular` belongs to the connection.
        """
        known = _known(untrusted_url)
        if known is None:
            return None
        locate, (lent, version, untrusted_sid, *parts, asked) = known
        opened = self._shelf.ready(untrusted_sid.decode())
        if opened is None or opened.pyramid is None or not opened.pyramid.version.startswith((version or b"").decode()):
            return None
        named = dict(untrusted_headers)
        link = None
        if not opened.public:
            link = self._opening(lent or asked, untrusted_sid)
            if link is None and not self._is_curator(named, regular):
                return None
        try:
            found = locate(opened.pyramid.grid, parts)
            if found is None:
                return None
            lines = self._lines(opened, named, version)
            if found.canonical:
                if not self._may_link(opened.pyramid, named):
                    return None
                lines += self._linked(opened, found, named, _Front(scheme, link, version))
            return self._ready(opened.pyramid, found, named, lines)
        except (TileNotFound, Malformed):
            return None

    def _ready(self, pyramid: Pyramid, found: Found, named: Named, lines: bytes) -> Ready | None:
        if b"if-match" in named or b"if-unmodified-since" in named:
            return None
        if not accepts(named.get(b"accept", b"").decode("latin-1"), "image/jpeg"):
            return None
        if b"if-modified-since" in named and b"if-none-match" not in named:
            return None
        known = named.get(b"if-none-match")
        if known is not None and none_match(known.decode("latin-1"), etag := tag_of(pyramid, found.place)):
            return self._counted(Ready(b"%betag: %b\r\n%b" % (_STATUS[304], etag.encode(), lines), b""))
        body = pyramid.tile_at_hand(*found.place)
        if body is not None:
            return self._counted(_tile(body, pyramid.etag(*found.place), lines, _STORED))
        kept = self._workshop.kept(key_of(pyramid, found.place))
        return None if kept is None else self._counted(_tile(kept, tag_of(pyramid, found.place), lines, _HIT))

    def _counted(self, ready: Ready) -> Ready:
        self.tally.requests += 1
        self.tally.sent += len(ready.body)
        return ready

    def _lines(self, opened: Opened, named: Named, version: bytes | None) -> bytes:
        others = self.cors.lines(named.get(b"origin", b""))
        if not opened.public:
            return _PRIVATE + opened.dated + others
        return (self._forever if version else self._floating) + opened.dated + others

    def _opening(self, untrusted_token: bytes | None, sid: bytes) -> str | None:
        """The link token, if it was found good before."""
        token = (untrusted_token or b"").decode()
        return token if token and self._links.remembered(token, sid.decode()) else None

    def _is_curator(self, named: Named, regular: Regular) -> bool:
        """Whether a key or a cookie looked up a moment ago says so; what is not known takes the longer way."""
        shown = named.get(b"authorization"), named.get(b"cookie")
        if regular.belief is not None and shown == regular.shown and self._sessions.holds(regular.belief):
            return True
        belief = self._sessions.believed(shown)
        if belief is None or not has(belief.principal, Role.CURATOR):
            return False
        regular.shown, regular.belief = shown, belief
        return True

    def _may_link(self, pyramid: Pyramid, named: Named) -> bool:
        """Whether a tile is within what IIIF clients were promised, and we know by which address we are reached."""
        forwarded = b"x-forwarded-proto" in named and not self._settings.public_base_url
        return pyramid.tile_size**2 <= self._settings.region_pixels and not forwarded

    def _linked(self, opened: Opened, found: Found, named: Named, front: _Front) -> bytes:
        host = named.get(b"host", b"").decode("latin-1")
        here = base_of(
            self._settings, front.scheme, host, front.version.decode() if front.version else None, front.link
        )
        canonical = f"{here}{found.canonical.format(opened.slide.sid)}"
        link = f'link: <{found.profile}>; rel="profile", <{canonical}>; rel="canonical"\r\n'.encode()
        return link + self.links if opened.public else link


def _tile(body: bytes | bytearray, etag: str, lines: bytes, told: bytes) -> Ready:
    return Ready(_HEAD % (len(body), etag.encode(), lines, told), body)


def tag_of(picture: Picture, place: Place) -> str:
    """A tile's strong validator, quoted; of one made on request it names the codec too. Raises `TileNotFound`."""
    tag = picture.etag(*place)
    return f'{tag[:-1]}-{made_by()}"' if picture.on_request(*place) else tag


def key_of(pyramid: Pyramid, place: Place) -> str:
    """What names a tile made on request; `service.asking` names it the same under other addresses."""
    return f"{pyramid.version} tile {place}"


Locate = Callable[[DeepZoom, list[bytes]], Found | None]


def _deepzoom(zoom: DeepZoom, parts: list[bytes]) -> Found:
    level, column, row = parts
    return Found((int(level), int(column), int(row)))


def _slippy(zoom: DeepZoom, parts: list[bytes]) -> Found | None:
    z, x, y = parts
    tile = zxy.tile_at(zoom, int(z), int(x), int(y))
    return Found(_place(zoom, tile)) if zxy.whole(zoom, tile) else None


def _zoomify(zoom: DeepZoom, parts: list[bytes]) -> Found:
    group, z, x, y = parts
    return Found(_place(zoom, zoomify.tile_of(zoom, int(group), int(z), int(x), int(y))))


def _iiif(number: int) -> Locate:
    def locate(zoom: DeepZoom, parts: list[bytes]) -> Found | None:
        x, y, across, down, width, height = parts
        region = (int(x), int(y), int(across), int(down))
        found = iiif.plain_tile(zoom, number, region, int(width), int(height) if height else None)
        if found is None:
            return None
        return Found(_place(zoom, found[0]), f"/iiif/{number}/{{}}/{found[1]}", iiif.PROFILES[number])

    return locate


def _place(zoom: DeepZoom, tile: TileIndex) -> Place:
    return zoom.largest - tile.level, tile.column, tile.row


_SID: Final = rb"([A-Za-z0-9-]{1,64})"
_BEFORE: Final = rb"(?:/t/([\w.-]{1,256}))?(?:/v/([0-9a-f]{16,32}))?"
_BEHIND: Final = rb"(?:\?token=([\w.-]{1,256}))?"
_REGION: Final = rb"/([0-9]{1,9}),([0-9]{1,9}),([0-9]{1,9}),([0-9]{1,9})/([0-9]{1,9}),([0-9]{1,9})?/0/default\.jpg"
_SHAPES: Final[tuple[tuple[re.Pattern[bytes], Locate], ...]] = tuple(
    (re.compile(_BEFORE + shape.replace(b"SID", _SID) + _BEHIND), locate)
    for shape, locate in (
        (rb"/slides/SID_files/([0-9]{1,2})/([0-9]{1,6})_([0-9]{1,6})\.jpe?g", _deepzoom),
        (rb"/iiif/3/SID" + _REGION, _iiif(3)),
        (rb"/iiif/2/SID" + _REGION, _iiif(2)),
        (rb"/slides/SID/zxy/([0-9]{1,2})/([0-9]{1,6})/([0-9]{1,6})\.jpe?g", _slippy),
        (
            rb"/slides/SID/zoomify/TileGroup([0-9]{1,9})/([0-9]{1,2})-([0-9]{1,6})-([0-9]{1,6})\.jpg",
            _zoomify,
        ),
    )
)


def _known(untrusted_url: bytes) -> tuple[Locate, tuple[bytes, ...]] | None:
    for shape, locate in _SHAPES:
        if found := shape.fullmatch(untrusted_url):
            return locate, found.groups()
    return None
