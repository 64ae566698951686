"""A whole file that does not lie on this machine, read a piece at a time and sent on; one range where asked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from coverslip.archive.store import Stored
from coverslip.errors import StorageFailed
from service.crews import SENDING
from service.errors import Malformed, RangeOutside, answer

PIECE: Final = 4 << 20
"""Bytes asked of the bucket at once: what one download holds in memory."""
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


def sent_on(request: Request, stored: Stored, headers: Mapping[str, str], media_type: str, name: str) -> Response:
    """The file, or the range of it that was asked for (RFC 9110, 14.2); of several ranges all of the file.

    Blocks until the first piece is there: whoever cannot have it gets a refusal, not a broken answer. Raises `NotFound`
    and `StorageFailed`.
    """
    told = {
        **headers,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Type": media_type,
    }
    asked = request.headers.get("range")
    unchanged = request.headers.get("if-range") in (None, headers["ETag"])
    if asked is None or not unchanged or "," in asked:
        return _pieces(request, stored, 0, stored.size, told, 200)
    try:
        start, stop = span(asked, stored.size)
    except (Malformed, RangeOutside) as error:
        refusal = answer(error)
        refusal.headers["Content-Range"] = f"bytes */{stored.size}"
        return refusal
    told["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
    return _pieces(request, stored, start, stop, told, 206)


def streamed(pieces: Iterator[bytes], headers: Mapping[str, str], status: int = 200) -> Response:
    """An answer made of pieces, each of which may have to be waited for; blocks until the first is there."""
    first = next(pieces, b"")

    async def read() -> AsyncIterator[bytes]:
        yield first
        step: Callable[[Iterator[bytes], None], bytes | None] = next
        while (piece := await SENDING.run(step, pieces, None)) is not None:
            yield piece

    return StreamingResponse(read(), status, headers)


def span(untrusted: str, size: int) -> tuple[int, int]:
    """First byte and the one after the last; raises `Malformed` or `RangeOutside`."""
    found = _RANGE.fullmatch(untrusted.strip())
    if found is None or not (found[1] or found[2]):
        raise Malformed("The Range header does not parse.")
    if not found[1]:
        start, stop = max(0, size - int(found[2])), size
    else:
        start, stop = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            raise Malformed("The Range header does not parse.")
    if start >= stop:
        raise RangeOutside
    return start, stop


def _pieces(
    request: Request, stored: Stored, start: int, stop: int, headers: Mapping[str, str], status: int
) -> Response:
    told = {**headers, "Content-Length": str(stop - start)}
    if request.method == "HEAD":
        return Response(status_code=status, headers=told)
    return streamed(_read(stored, start, stop), told, status)


def _read(stored: Stored, start: int, stop: int) -> Iterator[bytes]:
    for at in range(start, stop, PIECE):
        piece = stored.read(min(PIECE, stop - at), at)
        if not piece:
            raise StorageFailed("A file ends early.", where="file")
        yield piece
