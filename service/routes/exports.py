"""Slides in forms other programs take, made while they are sent; no stored tile is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from coverslip.archive.records import Principal, SlideRecord
from coverslip.errors import NotFound
from coverslip.pyramid import Pyramid, dzi_zip_chunks, dzi_zip_length, szi_chunks, szi_length
from coverslip.pyramid.thumbnail import TileSource
from service.auth import Caller, VisibleSlide
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, fresh, http_date
from service.context import Here, Service, ask
from service.routes.slides import require_files

router = APIRouter(tags=["slides"])


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of archive."""

    ending: str
    length: Callable[[Pyramid, str], int | None]
    chunks: Callable[[Pyramid, str, TileSource], Iterator[bytes]]


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
    """The answer in one of the forms; raises `NotFound`, `NotReady`, `Withdrawn` or `Overloaded`."""
    await require_files(service, caller, slide)
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
    packing = service.packing
    return packing.sent(form.chunks(opened.pyramid, slide.sid, packing.tiles_of(opened.pyramid)), headers)
