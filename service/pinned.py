"""Pinned addresses, `/v/{v}/…`: the same answers for one content version only, so others may keep them for long.

`v` is the first 16 or more hex digits of the pyramid's version. A slide with other content is not found there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from coverslip.errors import CoverslipError, NotFound
from service.caching import CACHE_PUBLIC
from service.errors import answer
from service.shelf import Opened

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ADDRESS: Final = re.compile(
    r"/v/(?P<version>[0-9a-f]{16,32})(?P<rest>/(?:slides|iiif/[23]|iiif/presentation/3/slides)/(?P<sid>[A-Za-z0-9-]{1,64}).*)"
)


class Pinned:
    """Takes the version off the address, holds it against the slide, and lengthens what caches are told."""

    def __init__(self, app: App, opened: Callable[[Scope, str], Awaitable[Opened]], lifetime: float) -> None:
        """`app` answers floating addresses; `opened` decides who may look; `lifetime` in seconds."""
        self._app = app
        self._opened = opened
        self._forever = b"public, max-age=%d, immutable" % int(lifetime)

    @staticmethod
    def takes(path: str) -> bool:
        """Whether an address is a pinned one."""
        return path.startswith("/v/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the floating address does, if the slide still has this content."""
        found = _ADDRESS.fullmatch(scope["path"])
        try:
            if found is None:
                raise NotFound
            opened = await self._opened(scope, found["sid"])
            if opened.pyramid is None or not opened.pyramid.version.startswith(found["version"]):
                raise NotFound
        except CoverslipError as error:
            await answer(error)(scope, receive, send)
            return
        inner = {**scope, "path": found["rest"], "raw_path": found["rest"].encode()}
        await self._app({**inner, "coverslip.pinned": found["version"]}, receive, self._lengthened(send))

    def _lengthened(self, send: Send) -> Send:
        floating = CACHE_PUBLIC.encode()

        async def lengthened(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 206, 304):
                pairs = message["headers"]
                message["headers"] = [(n, self._forever if v == floating else v) for n, v in pairs]
            await send(message)

        return lengthened
