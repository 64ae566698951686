"""Between an address of `service.routes.images` and the socket: who may look, ETag, pool, memory, headers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from coverslip.errors import CoverslipError, NotFound, TileNotFound
from coverslip.settings import Settings
from service import lent
from service.accept import require_accepted
from service.addresses import base_of
from service.asking import Answer, Ask, How, Route, SeeOther, query_of
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, http_date, unchanged
from service.crews import LOOKING
from service.derived import AT_HAND, Workshop, cache_status, read_status
from service.errors import answer as problem
from service.errors import no_such_method
from service.routes.images import ROUTES
from service.shelf import Opened
from service.sources import Sources

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Reply = tuple[int, Headers, bytes | bytearray]

PUBLIC_MISS: Final = b"public, max-age=60"
_SNIFF: Final = (b"x-content-type-options", b"nosniff")
_RESOURCE: Final = b"cross-origin-resource-policy"


class Pictures:
    """The application."""

    def __init__(
        self,
        opened: Callable[[Scope, str], Awaitable[Opened]],
        sources: Sources,
        workshop: Workshop,
        settings: Settings,
    ) -> None:
        """`opened` decides who may look; it is the tile route's own."""
        self._opened = opened
        self._sources = sources
        self._workshop = workshop
        self._settings = settings

    def takes(self, scope: Scope) -> bool:
        """Whether an address belongs here; who asks has looked for stored tiles before."""
        path: str = scope["path"]
        found = _found(path)
        scope["coverslip.route"] = found
        return found is not None or path.startswith("/iiif/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every refusal is a problem+json body."""
        if scope["method"] not in ("GET", "HEAD"):
            return await no_such_method()(scope, receive, send)
        opened: Opened | None = None
        try:
            found = scope["coverslip.route"]
            if found is None:
                raise NotFound
            route, part = found
            opened = await self._opened(scope, part["sid"])
            status, headers, body = await self._answer(scope, opened, route, part)
        except CoverslipError as error:
            status, headers, body = _refusal(error, opened)
        return await _send(send, (status, headers, b"" if scope["method"] == "HEAD" else body))

    async def _answer(self, scope: Scope, opened: Opened, route: Route, part: dict[str, str]) -> Reply:
        assert opened.pyramid is not None  # `opened` refuses slides without tiles
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        pinned = scope.get("coverslip.pinned")
        ask = Ask(
            part=part,
            untrusted_query=query_of(scope["query_string"], route.parameters),
            accept=named.get("accept", ""),
            base=base_of(self._settings, scope["scheme"], named.get("host", ""), pinned, scope.get(lent.LENT)),
            opened=opened,
            pyramid=opened.pyramid,
            sources=self._sources,
            settings=self._settings,
        )
        found = await route.handler(ask)
        if isinstance(found, SeeOther):
            return 303, [(b"location", found.location.encode()), (b"content-length", b"0"), *_caching(opened)], b""
        return await self._made(ask, found, named)

    async def _made(self, ask: Ask, found: Answer, named: dict[str, str]) -> Reply:
        require_accepted(ask.accept, found.media_type)
        etag = found.etag(ask.pyramid.version)
        modified = 0 if found.how is How.AT_ONCE else ask.opened.modified  # settings speak in descriptions too
        headers = [(b"etag", etag.encode()), *_caching(ask.opened)]
        headers += [(name.encode(), value.encode("ascii", "replace")) for name, value in found.headers]
        headers += [(b"last-modified", http_date(modified).encode())] if modified else []
        if unchanged(named.get, etag, modified):
            return 304, headers, b""
        body, told = await self._body(ask, found)
        headers += [(b"content-type", found.media_type.encode()), (b"content-length", b"%d" % len(body)), *told]
        return 200, headers, body

    async def _body(self, ask: Ask, found: Answer) -> tuple[bytes | bytearray, Headers]:
        match found.how:
            case How.AT_ONCE:
                return found.make(), []
            case How.READ:
                at_hand = found.at_hand()
                if at_hand is not None:
                    return at_hand, AT_HAND
                began = time.perf_counter()
                body = await LOOKING.run(found.make)
                return body, read_status(time.perf_counter() - began)
            case How.DERIVE:
                made = await self._workshop.make(f"{ask.pyramid.version} {found.key}", lambda: bytes(found.make()))
                return made.body, cache_status(made)


def _found(path: str) -> tuple[Route, dict[str, str]] | None:
    for route in ROUTES:
        if found := route.pattern.fullmatch(path):
            return route, found.groupdict()
    return None


def _caching(opened: Opened) -> Headers:
    if opened.public:
        return [(b"cache-control", CACHE_PUBLIC.encode()), (_RESOURCE, b"cross-origin"), _SNIFF]
    return [(b"cache-control", CACHE_PRIVATE.encode()), (_RESOURCE, b"same-origin"), _SNIFF]


def _refusal(error: CoverslipError, opened: Opened | None) -> Reply:
    response = problem(error)
    headers: Iterable[tuple[bytes, bytes]] = response.raw_headers
    if isinstance(error, TileNotFound) and opened is not None and opened.public:
        headers = [(name, PUBLIC_MISS if name == b"cache-control" else value) for name, value in headers]
    return response.status_code, [*headers, _SNIFF], bytes(response.body)


async def _send(send: Send, reply: Reply) -> None:
    status, headers, body = reply
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
