"""The outermost edge: tiles and pictures go their own ways, answers get their headers, bodies are bounded.

A crash says nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any

from coverslip import logs
from coverslip.errors import NotFound
from coverslip.pyramid.made_by import made_by
from coverslip.scarcity import is_scarcity
from service import lent
from service.cors import READABLE, Outward
from service.errors import Overloaded, answer, crashed
from service.later import Later
from service.pinned import Pinned
from service.routes.tiles import Tiles
from service.tus import VERSION

if TYPE_CHECKING:
    from service.pictures import Pictures

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PICTURES = ("/slides/", "/iiif/")
"""Where the addresses of pictures begin."""

SMALL_BODY = 64 << 10
"""Bytes of any body but an upload's."""
BODY_SECONDS = 20.0
"""How long such a body may take."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # not no-referrer: with it browsers send `Origin: null` from our own forms
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
TLS_HEADER = (b"strict-transport-security", b"max-age=31536000")
TUS_HEADER = (b"tus-resumable", VERSION.encode())

log = logging.getLogger("service")

SETTLED = 0.5
"""Seconds after the start until what is not needed for tiles is loaded, unless somebody asks for it before."""


async def _nothing() -> None:
    """What runs beside a front end that has nothing to do beside."""


class Edge:
    """The application uvicorn runs."""

    def __init__(
        self,
        pages: Later[App],
        tiles: Tiles,
        pictures: Later[Pictures],
        outward: Outward | None = None,
        *,
        secure: bool,
        beside: Callable[[], Coroutine[None, None, None]] = _nothing,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """`pages` answers what is neither tile nor picture; `secure` says whether over TLS.

        `beside` runs as long as there is a server, `ended` cleans up behind it.
        """
        self._pages = pages
        self.tiles = tiles
        self._beside, self._ended = beside, ended
        self._pictures = pictures
        self._outward = outward or Outward()
        self._pinned = Pinned(self._floating, tiles.opened, self._outward.pinned)
        self._headers = HEADERS + ((TLS_HEADER,) if secure else ())
        self.answers: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say in one word that it could not be."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["type"] != "http":
            return None  # no websockets here: the server refuses on its own
        if scope["path"].startswith(READABLE):
            send = self._outward.told(scope, send)
        return await self._guard(scope, receive, send)

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a request to where it belongs."""
        if self._outward.is_preflight(scope):
            return await self._outward.preflight(scope, receive, send)
        if scope["path"].startswith(lent.PREFIX):
            inner = lent.returned(scope)
            if inner is None:
                return await answer(NotFound())(scope, receive, send)
            scope = inner
        if Pinned.takes(scope["path"]):
            return await self._pinned(scope, receive, send)
        return await self._floating(scope, receive, send)

    async def _floating(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Tiles.takes(scope):
            return await self.tiles(scope, receive, send)
        if scope["path"].startswith(PICTURES) and (pictures := await self._pictures.get()).takes(scope):
            return await pictures(scope, receive, send)
        if lent.LINK in scope:  # a link shows pixels, nothing else
            return await answer(NotFound())(scope, receive, send)
        pages, scope = await self._pages.get(), without_strange_range(scope)
        return await pages(scope, self._bounded(scope, receive), self._dressed(scope, send))

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop (ASGI's lifespan protocol); what loads slowly is loaded once the first moments are over."""
        await receive()
        loop = asyncio.get_running_loop()
        loading = loop.call_later(SETTLED, loop.run_in_executor, None, self._load)
        beside = loop.create_task(_again_and_again(self._beside))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        loading.cancel()
        beside.cancel()
        self._ended()
        await send({"type": "lifespan.shutdown.complete"})

    def _load(self) -> None:
        self._pages()
        self._pictures()
        made_by()

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an unexpected exception become a 500 that says nothing, and a log line that names only the place.

        A server that stops ends what is still under way after its grace: whoever is not answered yet is told to come
        back, for the next one will answer.
        """
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self.answers[message["status"]] += 1
            await send(message)

        try:
            await self._routed(scope, receive, watch)
        except asyncio.CancelledError:  # nobody but the server ends a request, and it waits for nothing but its end
            excuse = answer(Overloaded("This server is being stopped. Try again in a moment."))
        except Exception as error:  # noqa: BLE001  the request's outermost edge
            log.error("out of means" if is_scarcity(error) else "unexpected", extra={logs.SAID: logs.about(error)})
            excuse = crashed(error)
        else:
            return
        if not started:
            await excuse(scope, receive, self._dressed(scope, watch))

    def _dressed(self, scope: Scope, send: Send) -> Send:
        tus = scope["path"].startswith("/uploads")

        async def dress(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                more = (*self._headers, TUS_HEADER) if tus else self._headers
                message["headers"] = [*message["headers"], *(pair for pair in more if pair[0] not in present)]
            await send(message)

        return dress

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        if scope["method"] == "PATCH" and scope["path"].startswith("/uploads/"):
            return receive
        taken, due, complete = 0, asyncio.get_running_loop().time() + BODY_SECONDS, False

        async def bound() -> Message:
            nonlocal taken, complete
            try:
                async with asyncio.timeout_at(None if complete else due):
                    message = await receive()
            except TimeoutError:
                return {"type": "http.disconnect"}
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            return {"type": "http.disconnect"} if taken > SMALL_BODY else message

        return bound


def without_strange_range(scope: Scope) -> Scope:
    """The request without a Range nobody here understands: another unit, or not for GET (RFC 9110, 14.2: ignored)."""
    asked = next((value for name, value in scope["headers"] if name == b"range"), None)
    if asked is None:
        return scope
    unit, _, ranges = asked.partition(b"=")
    known = scope["method"] == "GET" and unit.strip().lower() == b"bytes"
    others = [pair for pair in scope["headers"] if pair[0] != b"range"]
    return {**scope, "headers": [*others, *([(b"range", b"bytes=" + ranges)] if known else [])]}


async def _again_and_again(work: Callable[[], Awaitable[None]]) -> None:
    """Until it is done, or cancelled; what ends it unexpectedly is a log line, and it is begun again."""
    while True:
        try:
            return await work()
        except Exception as error:  # noqa: BLE001  the outermost edge of what runs beside the requests
            log.error("unexpected", extra={logs.SAID: logs.about(error)})
        await asyncio.sleep(SETTLED)
