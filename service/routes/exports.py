"""Slides in forms other programs take, made while they are sent; no stored tile is decoded."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from coverslip.errors import NotFound
from coverslip.pyramid import szi_chunks, szi_length
from service.auth import Caller, VisibleSlide, may_look
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, none_match
from service.context import Here, ask

router = APIRouter(tags=["slides"])


@router.api_route("/slides/{sid}.szi", methods=["GET", "HEAD"])
async def szi(request: Request, slide: VisibleSlide, service: Here, caller: Caller) -> Response:
    """The slide as one SZI file: the served tiles in a zip; its length is known unless tiles are made on the way."""
    if not may_look(caller, slide):
        raise NotFound
    opened = await service.shelf.find(slide.sid)
    if opened.pyramid is None:
        raise NotFound
    etag = f'"{opened.pyramid.version}-szi"'
    headers = {"ETag": etag, "Cache-Control": CACHE_PUBLIC if opened.public else CACHE_PRIVATE}
    if none_match(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    headers |= {
        "Content-Type": "application/zip",
        "Content-Disposition": f'attachment; filename="{slide.sid}.szi"',
        "Accept-Ranges": "none",
    }
    length = await ask(szi_length, opened.pyramid, slide.sid)
    if length is not None:
        headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        return Response(headers=headers)
    return StreamingResponse(szi_chunks(opened.pyramid, slide.sid), headers=headers)
