"""The peer most people run: OpenSlide's DeepZoomGenerator, behind the same server as ours and as bare ASGI.

    python -m benchmarks.peers.openslide_deepzoom SLIDE PORT

Decoding and encoding run in threads, so that both cores are busy.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ADDRESS = re.compile(r"/slide_files/(\d+)/(\d+)_(\d+)\.jpg")
QUALITY = 75
"""What OpenSlide's own example server uses."""


class DeepZoom:
    """The application."""

    def __init__(self, slide: str) -> None:
        """Open the slide with the geometry our tiles have."""
        self._tiles = DeepZoomGenerator(OpenSlide(slide), tile_size=256, overlap=0, limit_bounds=False)

    async def __call__(self, scope: MutableMapping[str, Any], receive: object, send: Send) -> None:
        """One tile, or 404."""
        if scope["type"] != "http":
            return
        found = ADDRESS.fullmatch(scope["path"])
        body = await asyncio.to_thread(self._tile, *map(int, found.groups())) if found else b""
        headers = [(b"content-type", b"image/jpeg"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _tile(self, level: int, column: int, row: int) -> bytes:
        target = io.BytesIO()
        self._tiles.get_tile(level, (column, row)).save(target, "jpeg", quality=QUALITY)
        return target.getvalue()


if __name__ == "__main__":
    uvicorn.run(DeepZoom(sys.argv[1]), port=int(sys.argv[2]), access_log=False, log_level="error", lifespan="off")
