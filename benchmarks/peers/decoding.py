"""A library that decodes and encodes, behind the same server as ours and as bare ASGI, in threads on all cores."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Tile = Callable[[int, int, int], bytes]
"""`tile(dz_level, column, row)`: a JPEG."""

ADDRESS = re.compile(r"/slide_files/(\d+)/(\d+)_(\d+)\.jpg")
QUALITY = 75
"""What OpenSlide's own example server uses."""


class Decoding:
    """The application."""

    def __init__(self, tile: Tile) -> None:
        """Answer with what `tile` makes."""
        self._tile = tile

    async def __call__(self, scope: MutableMapping[str, Any], receive: object, send: Send) -> None:
        """One tile, or 404."""
        if scope["type"] != "http":
            return
        found = ADDRESS.fullmatch(scope["path"])
        body = await asyncio.to_thread(self._tile, *map(int, found.groups())) if found else b""
        headers = [(b"content-type", b"image/jpeg"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def serve(tile: Tile, port: int) -> None:
    """Answer until somebody ends the process."""
    uvicorn.run(Decoding(tile), port=port, access_log=False, log_level="error", lifespan="off")
