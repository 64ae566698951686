"""Whole files, in ranges where asked; refusals are problem+json as everywhere."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from coverslip.archive.store import Stored
from coverslip.errors import StorageFailed
from service.caching import http_date, unchanged
from service.errors import Malformed, RangeOutside, answer
from service.remote import sent_on

Message = MutableMapping[str, Any]


class Download(FileResponse):
    """A file of which a range may be asked (RFC 9110, 14.2)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a range that does not parse or lies outside is refused in our own words."""
        refusal: Response | None = None

        async def watch(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                malformed = message["status"] == 400
                refusal = answer(Malformed("The Range header does not parse.") if malformed else RangeOutside())
                refusal.headers["Content-Range"] = f"bytes */{self.length}"
                await refusal(scope, receive, send)
            elif refusal is None:
                await send(message)

        await super().__call__(scope, receive, watch)

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        return self.stat_result.st_size if self.stat_result else 0


def download(request: Request, stored: Stored, headers: Mapping[str, str], media_type: str, name: str) -> Response:
    """The file, or 304 for who has it; blocks. Raises `StorageFailed` while it is being moved, and `Outdated`."""
    modified = int(stored.since.timestamp())
    told = {**headers, "Last-Modified": http_date(modified)}
    if unchanged(request.headers.get, headers["ETag"], modified):
        return Response(status_code=304, headers={key: told[key] for key in ("ETag", "Cache-Control", "Last-Modified")})
    if stored.path is None:
        return sent_on(request, stored, told, media_type, name)
    try:
        found = stored.path.stat()
    except FileNotFoundError as error:
        raise StorageFailed("the file is being moved", where="file") from error
    return Download(stored.path, 200, headers, media_type, filename=name, stat_result=found)
