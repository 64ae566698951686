"""Which other sites' pages may read what we serve (Fetch standard, CORS). Cookies never cross: no credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXPOSED = b"ETag, Content-Range, Accept-Ranges, Link, Server-Timing, Cache-Status, Retry-After, Repr-Digest"
ALLOWED = b"Authorization, Range, If-None-Match, traceparent"
READABLE = ("/slides", "/iiif/", "/v/", "/t/", "/api/v1/slides")
"""Where the answers of these addresses begin; everything else stays ours."""

SPARED = ("_files/", "/zxy/", "/zoomify/TileGroup")
"""Tiles do not repeat what their descriptor says about licence and citation."""

Headers = list[tuple[bytes, bytes]]


class Cors:
    """The allow-list."""

    def __init__(self, origins: str) -> None:
        """`*`, or origins with commas between them; empty means nobody."""
        listed = frozenset(origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip())
        self._all = "*" in listed
        self._listed = frozenset(origin.encode("latin-1", "replace") for origin in listed)
        self._others = _on_the_wire(self.headers(b""))
        self._lines = {origin: _on_the_wire(self.headers(origin)) for origin in self._listed if not self._all}

    @property
    def closed(self) -> bool:
        """Whether nobody else may read."""
        return not self._listed

    def headers(self, untrusted_origin: bytes) -> Headers:
        """What an answer carries; with a list, caches learn that it depends on the origin even where none was sent."""
        if self._all:
            return [(b"access-control-allow-origin", b"*"), *_OPEN]
        if untrusted_origin and untrusted_origin in self._listed:
            return [
                (b"access-control-allow-origin", untrusted_origin),
                (b"vary", b"Origin"),
                *_open_to(untrusted_origin),
            ]
        return [(b"vary", b"Origin")] if self._listed else []

    def lines(self, untrusted_origin: bytes) -> bytes:
        """The same headers as they go on the wire."""
        return self._lines.get(untrusted_origin, self._others)

    def preflight(self, untrusted_origin: bytes) -> Headers:
        """What the answer to a preflight carries besides."""
        if not (self._all or untrusted_origin in self._listed):
            return []
        return [
            (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
            (b"access-control-allow-headers", ALLOWED),
            (b"access-control-max-age", b"86400"),
        ]


def _open_to(origin: bytes) -> Headers:
    return [(b"access-control-expose-headers", EXPOSED), (b"timing-allow-origin", origin)]


def _on_the_wire(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


_OPEN = _open_to(b"*")


class Outward:
    """What every answer about a slide says to the rest of the world: who may read it, its licence, how to cite it."""

    def __init__(self, origins: str = "", license_url: str = "", cite_as: str = "", pinned: float = 0) -> None:
        """As in the settings; `pinned` is how many seconds others may keep what a pinned address gives."""
        self.cors = Cors(origins)
        self.pinned = pinned
        links = [(license_url, "license"), (cite_as, "cite-as")]
        self._links = ", ".join(f'<{address}>; rel="{kind}"' for address, kind in links if address).encode("ascii")
        self.lines: bytes = b"link: %b\r\n" % self._links if self._links else b""
        """Licence and citation as they go on the wire."""

    def is_preflight(self, scope: Scope) -> bool:
        """Whether a browser asks, before it asks."""
        return not self.cors.closed and scope["method"] == "OPTIONS" and scope["path"].startswith(READABLE)

    async def preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer to that; `told` puts on what every answer has."""
        headers = [*self.cors.preflight(_origin(scope)), (b"allow", b"GET, HEAD, OPTIONS")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def told(self, scope: Scope, send: Send) -> Send:
        """A way to send that puts these headers on."""
        if self.cors.closed and not self._links:
            return send
        more = self.cors.headers(_origin(scope))
        linked = bool(self._links) and not any(part in scope["path"] for part in SPARED)

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                link = [(b"link", self._links)] if linked and _is_public(message["headers"]) else []
                message["headers"] = [*message["headers"], *more, *link]
            await send(message)

        return tell


def _is_public(headers: Headers) -> bool:
    return any(name == b"cache-control" and value.startswith(b"public") for name, value in headers)


def _origin(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"origin"), b"")
