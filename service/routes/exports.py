"""Slides in forms other programs take, made while they are sent; no stored tile is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from coverslip.archive.records import Principal, SlideRecord
from coverslip.errors import NotFound
from coverslip.pyramid import (
    Pyramid,
    dzi_zip_chunks,
    dzi_zip_length,
    dzi_zip_range,
    szi_chunks,
    szi_length,
    szi_range,
)
from coverslip.pyramid.made_by import made_by
from coverslip.pyramid.thumbnail import TileSource
from service.accept import require_accepted
from service.auth import Caller, VisibleSlide
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, http_date, unchanged
from service.context import Here, Service, ask
from service.errors import Malformed, RangeOutside, answer
from service.remote import span
from service.routes.slides import require_files
from service.strict import STRICT

router = APIRouter(tags=["slides"], dependencies=[STRICT])


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of archive."""

    ending: str
    length: Callable[[Pyramid, str], int | None]
    chunks: Callable[[Pyramid, str, TileSource], Iterator[bytes]]
    part: Callable[[Pyramid, str, int, int], Iterator[bytes]]


SZI: Final = Form("szi", szi_length, szi_chunks, szi_range)
ZIP: Final = Form("zip", dzi_zip_length, dzi_zip_chunks, dzi_zip_range)


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
    require_accepted(request.headers.get("accept", ""), "application/zip")
    opened = await service.shelf.find(slide.sid)
    if opened.pyramid is None:
        raise NotFound
    pyramid, packing = opened.pyramid, service.packing
    length = await ask(form.length, pyramid, slide.sid)
    # a strong validator promises bytes, and those of tiles made on the way are the codec's as well
    etag = f'"{pyramid.version}-{form.ending}{"" if length is not None else f"-{made_by()}"}"'
    headers = {"ETag": etag, "Cache-Control": CACHE_PUBLIC if opened.public else CACHE_PRIVATE}
    headers["Last-Modified"] = http_date(opened.modified)
    if unchanged(request.headers.get, etag, opened.modified):
        return Response(status_code=304, headers=headers)
    headers |= {
        "Content-Type": "application/zip",
        "Content-Disposition": f'attachment; filename="{slide.sid}.{form.ending}"',
        "Accept-Ranges": "none" if length is None else "bytes",
    }
    name = f"{slide.sid} {etag}"
    if digest := packing.digest(name):
        headers["Repr-Digest"] = digest
    if length is None:
        whole = form.chunks(pyramid, slide.sid, packing.tiles_of(pyramid))
        return Response(headers=headers) if request.method == "HEAD" else packing.sent(whole, headers, name=name)
    return _ranged(form, request, pyramid, slide.sid, service, headers, length)


def _ranged(
    form: Form,
    request: Request,
    pyramid: Pyramid,
    sid: str,
    service: Service,
    headers: dict[str, str],
    length: int,
) -> Response:
    """An archive whose length is known, or one range of it; of several ranges all of it (RFC 9110, 14.2)."""
    asked, unless = request.headers.get("range"), request.headers.get("if-range")
    if asked is None or "," in asked or unless not in (None, headers["ETag"], headers["Last-Modified"]):
        start, stop, status = 0, length, 200
    else:
        try:
            (start, stop), status = span(asked, length), 206
        except (Malformed, RangeOutside) as error:
            refusal = answer(error)
            refusal.headers["Content-Range"] = f"bytes */{length}"
            return refusal
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    if status == 206:
        return service.packing.sent(form.part(pyramid, sid, start, stop), headers, 206)
    whole = form.chunks(pyramid, sid, pyramid.tile)
    return service.packing.sent(whole, headers, name=f"{sid} {headers['ETag']}")
