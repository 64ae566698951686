"""Tiles and DeepZoom descriptors: a bare ASGI application; all between a stored tile and the socket is cost.

    /slides/{sid}.dzi                              the descriptor
    /slides/{sid}_files/{dz_level}/{c}_{r}.jpg     one tile; columns come first, `dz_level` 0 is one pixel
    /slides/{sid}/thumbnail?width=                 the whole slide, small

`service.routes.images` answers both for other planes than those shown without a wish.

A tile is one dictionary look-up and one read. Whoever may see it was decided by `service.shelf`. Most tiles go the
short way of `service.quick`; the rest comes here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from coverslip.archive.records import Principal
from coverslip.errors import CoverslipError, NotFound, TileNotFound
from coverslip.pyramid import Pyramid
from coverslip.pyramid.made_by import made_by
from coverslip.settings import Settings
from service import lent
from service.accept import require_accepted
from service.access import absent, may_look, may_see
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, http_date, unchanged
from service.crews import LOOKING
from service.derived import AT_HAND, Workshop, cache_status, read_status
from service.errors import KeyRefused, Malformed, SignInNeeded, answer, no_such_method
from service.links import LinkTokens
from service.quick import Place, Quick, key_of, tag_of
from service.sessions import SECRET_LIMIT, Sessions, cookie_in, secret_of
from service.shelf import Opened, Shelf
from service.thumbnails import width_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, bytes]

ADDRESS = re.compile(
    r"/slides/(?P<sid>[A-Za-z0-9-]{1,64})"
    r"(?:_files/(?P<level>[0-9]{1,2})/(?P<column>[0-9]{1,6})_(?P<row>[0-9]{1,6})\.(?:jpg|jpeg)|(?P<what>\.dzi|/thumbnail))"
)
LINK_ALONE = re.compile(rb"(?:token=[^&]*)?")
OTHER_PLANES = re.compile(rb"(?:^|&)(?:z|t|channels|window)=")
TOKEN = re.compile(rb"(?:^|&)token=([\w.-]+)(?:&|$)", re.ASCII)

PUBLIC = CACHE_PUBLIC.encode()
PRIVATE = CACHE_PRIVATE.encode()
PUBLIC_MISS = b"public, max-age=60"
_JPEG = (b"content-type", b"image/jpeg")
_XML = (b"content-type", b"application/xml")
_SNIFF = (b"x-content-type-options", b"nosniff")
_CROSS = (b"cross-origin-resource-policy", b"cross-origin")
_OWN = (b"cross-origin-resource-policy", b"same-origin")


class Tiles:
    """The application."""

    def __init__(
        self,
        shelf: Shelf,
        sessions: Sessions,
        links: LinkTokens,
        workshop: Workshop,
        settings: Settings,
    ) -> None:
        """Share the opened pyramids, the verified cookies and the pool for derived tiles with the rest."""
        self._shelf = shelf
        self._sessions = sessions
        self._links = links
        self._workshop = workshop
        self.quick = Quick(shelf, sessions, links, workshop, settings)
        """The short way, tried first by `service.express`."""

    @staticmethod
    def takes(scope: Scope) -> bool:
        """Whether an address belongs here; what is asked for with parameters is made elsewhere."""
        found = ADDRESS.fullmatch(scope["path"])
        if found is None:
            return False
        more = OTHER_PLANES.search if found["what"] == "/thumbnail" else _other
        if more(scope["query_string"]):
            return False
        scope["coverslip.address"] = found
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every refusal is a problem+json body."""
        self.quick.tally.requests += 1
        if scope["method"] not in ("GET", "HEAD"):
            return await no_such_method()(scope, receive, send)
        try:
            opened = await self._opened(scope)
            status, headers, body = await self._content(scope, opened)
        except CoverslipError as error:
            status, headers, body = _refusal(error)
        self.quick.tally.sent += len(body)
        return await _send(send, status, headers, b"" if scope["method"] == "HEAD" else body)

    async def _opened(self, scope: Scope) -> Opened:
        """The slide of the address, if the caller may look at it and it has tiles."""
        return await self.opened(scope, scope["coverslip.address"]["sid"])

    async def opened(self, scope: Scope, sid: str) -> Opened:
        """The slide, if the caller may look at it and it has tiles; raises `NotFound`, `NotReady` or `Withdrawn`."""
        try:
            opened = self._shelf.ready(sid) or await self._shelf.find(sid)
        except NotFound:
            await self._caller(scope["headers"])  # a bad key is told so whether or not there is such a slide
            raise
        if not opened.public and not self._is_lent(scope, sid):
            caller = await self._caller(scope["headers"])
            if not may_look(caller, opened.slide):
                raise absent(opened.slide, opened.job) if may_see(caller, opened.slide) else NotFound
        if opened.pyramid is None:
            raise absent(opened.slide, opened.job)
        return opened

    def _is_lent(self, scope: Scope, sid: str) -> bool:
        """Whether a link token in the address opens a slide that is not released."""
        found = TOKEN.search(scope["query_string"])
        link = scope.get(lent.LINK) or (found and found[1].decode())
        if not link or not self._links.allows(link, sid):
            return False
        scope[lent.LENT] = link
        return True

    async def _caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Who asks: a key or cookie looked up a moment ago costs a look into memory; raises `KeyRefused`."""
        if bearer := _header(headers, b"authorization"):
            return await self._holder(secret_of(bearer))
        token = cookie_in(_header(headers, b"cookie"), self._sessions.cookie)
        if token is None:
            return None
        return self._sessions.remembered(token) or await run_in_threadpool(self._sessions.verify, token)

    async def _holder(self, untrusted_secret: str | None) -> Principal:
        if untrusted_secret is None:
            raise SignInNeeded
        if known := self._sessions.remembered_bearer(untrusted_secret):
            return known
        looked = len(untrusted_secret) <= SECRET_LIMIT
        principal = await run_in_threadpool(self._sessions.bearer, untrusted_secret) if looked else None
        if principal is None:
            raise KeyRefused
        return principal

    async def _content(self, scope: Scope, opened: Opened) -> Answer:
        found = scope["coverslip.address"]
        if found["what"] == ".dzi":
            return _descriptor(scope, opened)
        require_accepted(_header(scope["headers"], b"accept"), "image/jpeg")
        if found["what"] == "/thumbnail":
            return await self._thumbnail(scope, opened)
        return await self._tile(scope, opened, (int(found["level"]), int(found["column"]), int(found["row"])))

    async def _tile(self, scope: Scope, opened: Opened, place: Place) -> Answer:
        pyramid = opened.pyramid
        assert pyramid is not None
        try:
            etag = tag_of(pyramid, place).encode()
            if _has(scope, opened, etag):
                return 304, [(b"etag", etag), *_caching(opened)], b""
            body, told = await self._body(pyramid, place)
        except TileNotFound as error:
            status, headers, text = _refusal(error)
            return status, _with_caching(headers, PUBLIC_MISS if opened.public else PRIVATE), text
        about = [_JPEG, (b"content-length", b"%d" % len(body)), (b"etag", etag), *told]
        return 200, [*about, *_caching(opened)], body

    async def _thumbnail(self, scope: Scope, opened: Opened) -> Answer:
        pyramid = opened.pyramid
        assert pyramid is not None
        width = width_of(scope["query_string"])
        etag = f'"{pyramid.version}-thumbnail-{width}-{made_by()}"'.encode()
        if _has(scope, opened, etag):
            return 304, [(b"etag", etag), *_caching(opened)], b""
        made = await self._workshop.make(f"{pyramid.version} thumbnail {width}", partial(pyramid.thumbnail, width))
        about = [_JPEG, (b"content-length", b"%d" % len(made.body)), (b"etag", etag), *cache_status(made)]
        return 200, [*about, *_caching(opened)], made.body

    async def _body(self, pyramid: Pyramid, place: Place) -> tuple[bytes, Headers]:
        """A tile from memory, from the disk, or made now; raises `TileNotFound` and `Overloaded`."""
        if pyramid.on_request(*place):
            made = await self._workshop.make(key_of(pyramid, place), partial(pyramid.tile, *place))
            return made.body, cache_status(made)
        at_hand = pyramid.tile_at_hand(*place)
        if at_hand is not None:
            return bytes(at_hand), AT_HAND
        began = time.perf_counter()
        # the disk may take its time, the others must not wait for it
        body = await LOOKING.run(pyramid.tile, *place)
        return body, read_status(time.perf_counter() - began)


def _other(query: bytes) -> bool:
    return not LINK_ALONE.fullmatch(query)


def _descriptor(scope: Scope, opened: Opened) -> Answer:
    assert opened.pyramid is not None
    if not LINK_ALONE.fullmatch(scope["query_string"]):
        raise Malformed("A descriptor takes no parameters.")
    require_accepted(_header(scope["headers"], b"accept"), "application/xml")
    etag = f'"{opened.pyramid.version}-dzi"'.encode()
    if _has(scope, opened, etag):
        return 304, [(b"etag", etag), *_caching(opened)], b""
    body = opened.pyramid.descriptor().encode()
    return 200, [_XML, (b"content-length", b"%d" % len(body)), (b"etag", etag), *_caching(opened)], body


def _has(scope: Scope, opened: Opened, etag: bytes) -> bool:
    """Whether the caller has it already; raises `Outdated` when it wants something else."""
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return unchanged(named.get, etag.decode(), opened.modified)


def _caching(opened: Opened) -> Headers:
    dated = (b"last-modified", http_date(opened.modified).encode())
    if opened.public:
        return [(b"cache-control", PUBLIC), _CROSS, _SNIFF, dated]
    return [(b"cache-control", PRIVATE), _OWN, _SNIFF, dated]


def _with_caching(headers: Headers, value: bytes) -> Headers:
    return [(name, value if name == b"cache-control" else old) for name, old in headers]


def _refusal(error: CoverslipError) -> Answer:
    response = answer(error)
    return response.status_code, [*response.raw_headers, _SNIFF], bytes(response.body)


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return ""


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
