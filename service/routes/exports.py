"""Slides in forms other programs take, made while they are sent; no stored tile is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from coverslip.archive.records import Principal, SlideRecord
from coverslip.errors import NotFound
from coverslip.pyramid import Pyramid, dzi_zip_chunks, dzi_zip_length, szi_chunks, szi_length
from service.auth import Caller, VisibleSlide, may_look
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, fresh, http_date
from service.context import Here, Service, ask
from service.derived import Workshop

router = APIRouter(tags=["slides"])


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of archive."""

    ending: str
    length: Callable[[Pyramid, str], int | None]
    chunks: Callable[[Pyramid, str], Iterator[bytes]]


SZI: Final = Form("szi", szi_length, szi_chunks)
ZIP: Final = Form("zip", dzi_zip_length, dzi_zip_chunks)


@router.api_route("/slides/{sid}.szi", methods=["GET", "HEAD"])
async def szi(request: Request, slide: VisibleSlide, service: Here, caller: Caller) -> Response:
    """The slide as one SZI file: the served tiles in a zip; its length is known unless tiles are made on the way."""
    return await archive(SZI, request, slide, service, caller)


@router.api_route("/slides/{sid}.zip", methods=["GET", "HEAD"])
async def dzi_zip(request: Request, slide: VisibleSlide, service: Here, caller: Caller) -> Response:
    """The slide as a zip of a DeepZoom folder, to be unpacked on any web server."""
    return await archive(ZIP, request, slide, service, caller)


async def archive(
    form: Form, request: Request, slide: SlideRecord, service: Service, caller: Principal | None
) -> Response:
    """The answer in one of the forms; raises `NotFound`, and `Overloaded` when too many make tiles on the way."""
    if not may_look(caller, slide):
        raise NotFound
    opened = await service.shelf.find(slide.sid)
    if opened.pyramid is None:
        raise NotFound
    etag = f'"{opened.pyramid.version}-{form.ending}"'
    headers = {"ETag": etag, "Cache-Control": CACHE_PUBLIC if opened.public else CACHE_PRIVATE}
    headers["Last-Modified"] = http_date(opened.modified)
    asked = request.headers
    if fresh(asked.get("if-none-match"), asked.get("if-modified-since"), etag, opened.modified):
        return Response(status_code=304, headers=headers)
    headers |= {
        "Content-Type": "application/zip",
        "Content-Disposition": f'attachment; filename="{slide.sid}.{form.ending}"',
        "Accept-Ranges": "none",
    }
    length = await ask(form.length, opened.pyramid, slide.sid)
    if length is not None:
        headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        return Response(headers=headers)
    chunks = form.chunks(opened.pyramid, slide.sid)
    if length is not None:
        return StreamingResponse(chunks, headers=headers)
    return _MadeOnTheWay(service.workshop, chunks, headers)


class _MadeOnTheWay(StreamingResponse):
    """An archive whose tiles are decoded and encoded while it is sent: few at a time, whoever asks."""

    def __init__(self, workshop: Workshop, chunks: Iterator[bytes], headers: dict[str, str]) -> None:
        super().__init__(chunks, headers=headers)
        self._place = ExitStack()
        self._place.enter_context(workshop.long())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)
