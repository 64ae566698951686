"""Tiles and DeepZoom descriptors: a bare ASGI application; all between a stored tile and the socket is cost.

    /slides/{sid}.dzi                              the descriptor
    /slides/{sid}_files/{dz_level}/{c}_{r}.jpg     one tile; columns come first, `dz_level` 0 is one pixel
    /slides/{sid}/thumbnail?width=                 the whole slide, small

A stored tile is one dictionary look-up and one read. Whoever may see it was decided by `service.shelf`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool

from coverslip.archive.catalog import Catalog
from coverslip.archive.records import Principal
from coverslip.archive.states import State
from coverslip.errors import CoverslipError, NotFound, TileNotFound
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC
from service.errors import Malformed, NotReady, SignInNeeded, Withdrawn, answer
from service.roles import Role, has
from service.sessions import Sessions, cookie_in
from service.shelf import Opened, Shelf
from service.thumbnails import thumbnail

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

ADDRESS = re.compile(
    r"/slides/(?P<sid>[A-Za-z0-9-]{1,64})"
    r"(?:_files/(?P<level>[0-9]{1,2})/(?P<column>[0-9]{1,6})_(?P<row>[0-9]{1,6})\.(?:jpg|jpeg)|(?P<what>\.dzi|/thumbnail))"
)
THUMBNAIL_WIDTHS = range(16, 1025)
DEFAULT_THUMBNAIL = 256

PUBLIC = CACHE_PUBLIC.encode()
PRIVATE = CACHE_PRIVATE.encode()
PUBLIC_MISS = b"public, max-age=60"
_JPEG = (b"content-type", b"image/jpeg")
_XML = (b"content-type", b"application/xml")
_SNIFF = (b"x-content-type-options", b"nosniff")
_CROSS = (b"cross-origin-resource-policy", b"cross-origin")
_OWN = (b"cross-origin-resource-policy", b"same-origin")
_WORKING = frozenset({State.RECEIVED, State.QUEUED, State.PROCESSING})


class Tiles:
    """The application; `requests` and `sent` count what it answered, for `/metrics`."""

    def __init__(self, shelf: Shelf, sessions: Sessions, catalog: Catalog) -> None:
        """Share the opened pyramids and the verified cookies with the rest of the front end."""
        self._shelf = shelf
        self._sessions = sessions
        self._catalog = catalog
        self.requests = 0
        self.sent = 0

    @staticmethod
    def takes(path: str) -> bool:
        """Whether an address belongs here."""
        return path.startswith("/slides/") and ("_files/" in path or path.endswith((".dzi", "/thumbnail")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every refusal is a problem+json body."""
        self.requests += 1
        if scope["method"] not in ("GET", "HEAD"):
            return await _send(send, 405, [(b"allow", b"GET, HEAD"), (b"content-length", b"0")], b"")
        try:
            opened = await self._opened(scope)
            status, headers, body = await _content(scope, opened)
        except CoverslipError as error:
            status, headers, body = _refusal(error)
        self.sent += len(body)
        return await _send(send, status, headers, b"" if scope["method"] == "HEAD" else body)

    async def _opened(self, scope: Scope) -> Opened:
        """The slide of the address, if the caller may look at it and it has tiles."""
        found = ADDRESS.fullmatch(scope["path"])
        if found is None:
            raise NotFound
        scope["coverslip.address"] = found
        sid = found["sid"]
        opened = self._shelf.ready(sid) or await self._shelf.find(sid)
        if not opened.public and not has(await self._caller(scope["headers"]), Role.CURATOR):
            raise Withdrawn if opened.slide.state is State.WITHDRAWN else NotFound
        if opened.pyramid is None:
            raise _absent(opened.slide.state)
        return opened

    async def _caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Who asks: a cookie verified a moment ago costs one look-up."""
        if bearer := _header(headers, b"authorization"):
            scheme, _, secret = bearer.partition(" ")
            if scheme.lower() != "bearer":
                raise SignInNeeded
            return await run_in_threadpool(self._catalog.principal, secret)
        token = cookie_in(_header(headers, b"cookie"), self._sessions.cookie)
        if token is None:
            return None
        return self._sessions.remembered(token) or await run_in_threadpool(self._sessions.verify, token)


async def _content(scope: Scope, opened: Opened) -> tuple[int, Headers, bytes]:
    found = scope["coverslip.address"]
    if found["what"] == ".dzi":
        return _descriptor(scope, opened)
    if found["what"] == "/thumbnail":
        return await _thumbnail(scope, opened)
    return _tile(scope, opened, int(found["level"]), int(found["column"]), int(found["row"]))


def _tile(scope: Scope, opened: Opened, level: int, column: int, row: int) -> tuple[int, Headers, bytes]:
    pyramid = opened.pyramid
    assert pyramid is not None
    try:
        etag = pyramid.etag(level, column, row).encode()
        if _matches(_header(scope["headers"], b"if-none-match"), etag):
            return 304, [(b"etag", etag), *_caching(opened)], b""
        body = pyramid.tile(level, column, row)
    except TileNotFound as error:
        status, headers, text = _refusal(error)
        return status, _with_caching(headers, PUBLIC_MISS if opened.public else PRIVATE), text
    return 200, [_JPEG, (b"content-length", b"%d" % len(body)), (b"etag", etag), *_caching(opened)], body


def _descriptor(scope: Scope, opened: Opened) -> tuple[int, Headers, bytes]:
    assert opened.pyramid is not None
    etag = f'"{opened.pyramid.version}-dzi"'.encode()
    if _matches(_header(scope["headers"], b"if-none-match"), etag):
        return 304, [(b"etag", etag), *_caching(opened)], b""
    body = opened.pyramid.descriptor().encode()
    return 200, [_XML, (b"content-length", b"%d" % len(body)), (b"etag", etag), *_caching(opened)], body


async def _thumbnail(scope: Scope, opened: Opened) -> tuple[int, Headers, bytes]:
    assert opened.pyramid is not None
    width = _width(scope["query_string"].decode("latin-1"))
    etag = f'"{opened.pyramid.version}-thumbnail-{width}"'.encode()
    if _matches(_header(scope["headers"], b"if-none-match"), etag):
        return 304, [(b"etag", etag), *_caching(opened)], b""
    body = await run_in_threadpool(thumbnail, opened.pyramid, width)
    return 200, [_JPEG, (b"content-length", b"%d" % len(body)), (b"etag", etag), *_caching(opened)], body


def _width(query: str) -> int:
    """`width` of a thumbnail; an unknown parameter is refused, not ignored."""
    given = parse_qs(query, keep_blank_values=True, max_num_fields=8)
    texts = given.pop("width", [str(DEFAULT_THUMBNAIL)])
    if given or len(texts) != 1 or not re.fullmatch(r"[0-9]{1,4}", texts[0]) or int(texts[0]) not in THUMBNAIL_WIDTHS:
        raise Malformed("A thumbnail takes one parameter: width, 16 to 1024.")
    return int(texts[0])


def _absent(state: State) -> CoverslipError:
    match state:
        case State.WITHDRAWN:
            return Withdrawn()
        case state if state in _WORKING:
            return NotReady()
        case _:
            return NotFound()


def _caching(opened: Opened) -> Headers:
    if opened.public:
        return [(b"cache-control", PUBLIC), _CROSS, _SNIFF]
    return [(b"cache-control", PRIVATE), _OWN, _SNIFF]


def _with_caching(headers: Headers, value: bytes) -> Headers:
    return [(name, value if name == b"cache-control" else old) for name, old in headers]


def _refusal(error: CoverslipError) -> tuple[int, Headers, bytes]:
    response = answer(error)
    return response.status_code, [*response.raw_headers, _SNIFF], bytes(response.body)


def _matches(untrusted_header: str, etag: bytes) -> bool:
    """If-None-Match: a list or `*`, compared weakly (RFC 9110, 13.1.2)."""
    if not untrusted_header:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in untrusted_header.split(",")]
    return "*" in tags or etag.decode() in tags


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return ""


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
