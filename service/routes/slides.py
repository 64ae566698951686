"""/api/v1: slides, their certificates, their audit trail, and the moves people ask for."""

from __future__ import annotations

import base64
from pathlib import PurePath
from typing import Annotated

import orjson
from fastapi import APIRouter, Form, Header, Query, Request, Response
from starlette.datastructures import URL

from coverslip.archive.records import Principal, SlideRecord
from coverslip.archive.states import BY_PEOPLE, READABLE, State
from coverslip.archive.store import Stored
from coverslip.errors import NotFound, NotPermitted, Outdated, StorageFailed
from service.accept import require_accepted
from service.access import absent, may_look
from service.auth import Caller, Ops, SignedIn, VisibleSlide
from service.caching import CACHE_PRIVATE, CACHE_PUBLIC, match, unchanged
from service.context import Here, Service, ask
from service.crews import LOOKING
from service.details import detail_of
from service.downloads import download
from service.errors import NotReady, Withdrawn
from service.roles import Role, has
from service.schemas import EventOut, Events, Queues, SlideDetail, SlideOut, SlidePage, TransitionIn
from service.shelf import file_of
from service.strict import PROGRAM, STRICT

router = APIRouter(prefix="/api/v1", tags=["slides"], dependencies=PROGRAM)
files = APIRouter(tags=["slides"], dependencies=[STRICT])
"""What lies beside the API: files under the slide's own address."""

Words = Annotated[str, Query(max_length=100)]
Seen = Annotated[int | None, Form(ge=1, le=(1 << 31) - 1)]
"""The version of a slide that a page showed to whoever decides about it; a script need not say one."""
PAGE = 50
LARGEST_PAGE = 500
CERTIFICATE_LIMIT = 64 << 20
"""Bytes of a certificate we are willing to hand out."""


@router.get("/slides")
async def slides(
    request: Request,
    response: Response,
    service: Here,
    caller: Caller,
    state: Annotated[list[State] | None, Query()] = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
    q: Words = "",
) -> SlidePage:
    """Slides the caller may see, newest first; every word of `q` begins an id, collection, format, policy or reason."""
    page = await ask(list_slides, service, caller, state, cursor, limit, q)
    if page.cursor:
        response.headers["Link"] = f'<{next_address(request.url, page.cursor)}>; rel="next"'
    response.headers["Cache-Control"] = "no-store"
    return page


@router.get("/slides/{sid}", response_model=SlideDetail)
async def slide(request: Request, slide: VisibleSlide, service: Here, response: Response) -> Response | SlideDetail:
    """One slide in full; its ETag is what If-Match of a transition is held against."""
    headers = {"Cache-Control": "no-store", "ETag": etag_of(slide)}
    if unchanged(request.headers.get, headers["ETag"], 0):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return await detail_of(service, slide)


@router.get("/slides/{sid}/events")
async def events(slide: VisibleSlide, service: Here, caller: SignedIn, response: Response) -> Events:
    """The audit trail: for curators, ops and the slide's own submitter."""
    response.headers["Cache-Control"] = "no-store"
    return Events(events=await ask(events_of, service, caller, slide))


@router.get("/slides/{sid}/report")
async def report(slide: VisibleSlide, service: Here) -> Response:
    """The certificate, byte for byte as the pipeline wrote it."""
    body = await LOOKING.run(certificate_bytes, service, slide)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@files.api_route("/slides/{sid}/file", methods=["GET", "HEAD"])
async def file(request: Request, slide: VisibleSlide, service: Here, caller: Caller) -> Response:
    """The clean slide itself, in ranges where asked; named by its id, known by its SHA-256."""
    await require_files(service, caller, slide)
    require_accepted(request.headers.get("accept", ""), "image/tiff")
    if slide.clean_name is None or slide.sha256 is None:
        raise NotFound
    found = await LOOKING.run(_clean, service, slide)
    digest = base64.b64encode(bytes.fromhex(slide.sha256)).decode()
    headers = {
        "ETag": f'"{slide.sha256}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": CACHE_PUBLIC if slide.state is State.RELEASED else CACHE_PRIVATE,
    }
    name = f"{slide.sid}{''.join(PurePath(slide.clean_name).suffixes)}"
    return await LOOKING.run(download, request, found, headers, "image/tiff", name)


def _clean(service: Service, slide: SlideRecord) -> Stored:
    """The clean slide; raises `NotFound`, or `StorageFailed` while it is between two zones."""
    try:
        return file_of(service.archive, slide, slide.clean_name)
    except NotFound as error:
        if slide.state in READABLE and slide.artefact is not None:
            raise StorageFailed("the file is being moved", where="file") from error
        raise


@router.post("/slides/{sid}/transitions")
async def transition(
    request: Request,
    slide: VisibleSlide,
    wish: TransitionIn,
    service: Here,
    caller: SignedIn,
    response: Response,
    if_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> SlideOut:
    """Move a slide: release, reject, quarantine, withdraw, or queue again."""
    if if_match is not None and not match(if_match, etag_of(slide)):
        raise Outdated
    expected = None if if_match is None else slide.version
    moved = await ask(move, service, caller, slide.sid, wish.to, wish.reason, expected)
    response.headers.update({"Cache-Control": "no-store", "ETag": etag_of(moved)})
    return SlideOut.of(moved)


@router.get("/queues")
async def queues(service: Here, caller: Ops, response: Response) -> Queues:
    """Depth, age, workers, failures by cause."""
    response.headers["Cache-Control"] = "no-store"
    return Queues.of(await ask(service.catalog.queue_stats))


async def require_files(service: Service, caller: Principal | None, slide: SlideRecord) -> None:
    """Raise `Withdrawn`, `NotReady` or `NotFound` unless the caller may have files of a slide it may see."""
    if slide.state not in READABLE:
        raise absent(slide, await ask(service.catalog.open_job, slide.sid))
    if not may_look(caller, slide):
        raise NotFound


def etag_of(slide: SlideRecord) -> str:
    """A strong validator of what we say about a slide: it changes with every move and every step."""
    return f'"{slide.version}-{slide.updated.timestamp():.6f}"'


def next_address(here: URL, cursor: str) -> str:
    """The address of the next page, without scheme and host: a proxy may have changed them."""
    there = here.include_query_params(cursor=cursor)
    return f"{there.path}?{there.query}"


def list_slides(
    service: Service,
    caller: Principal | None,
    states: list[State] | None,
    cursor: str | None,
    limit: int,
    words: str = "",
) -> SlidePage:
    """One page with counts: everything for curators, only what is released for others."""
    everything = has(caller, Role.CURATOR)
    wanted = states if everything else [state for state in states or [State.RELEASED] if state is State.RELEASED]
    page = service.catalog.slides(wanted, cursor, limit, words)
    counts = {
        state: count for state, count in service.catalog.counts().items() if everything or state is State.RELEASED
    }
    return SlidePage(slides=[SlideOut.of(slide) for slide in page.slides], cursor=page.cursor, counts=counts)


def events_of(service: Service, caller: Principal, slide: SlideRecord) -> list[EventOut]:
    """The slide's events; raises `NotPermitted` for somebody who only looks."""
    if not (has(caller, Role.CURATOR, Role.OPS) or caller.owner == slide.owner):
        raise NotPermitted
    return [EventOut.of(event) for event in service.catalog.events(slide.sid)]


def certificate_bytes(service: Service, slide: SlideRecord) -> bytes:
    """The certificate's JSON; raises `Withdrawn`, `NotReady` or `NotFound` where there is none."""
    if slide.state not in READABLE:
        raise absent(slide, service.catalog.open_job(slide.sid))
    found = file_of(service.archive, slide, "slide.certificate.json")
    if found.size > CERTIFICATE_LIMIT:
        raise NotFound
    return found.read(found.size, 0)


def certificate_of(service: Service, slide: SlideRecord) -> dict[str, object] | None:
    """The certificate as parsed, or None."""
    try:
        found: dict[str, object] = orjson.loads(certificate_bytes(service, slide))
    except (NotFound, NotReady, Withdrawn):
        return None
    return found


def move(
    service: Service, caller: Principal, sid: str, to: State, reason: str, expected: int | None = None
) -> SlideRecord:
    """Move a slide as the caller's roles allow; raises `NotPermitted`, `StateConflict` or `Outdated`."""
    if to is State.QUEUED and has(caller, Role.CURATOR, Role.OPS):
        service.catalog.retry(sid, caller.owner, expected=expected)
        return service.catalog.slide(sid)
    if to not in BY_PEOPLE or not has(caller, Role.CURATOR):
        raise NotPermitted
    return service.archive.transition(sid, to, caller.owner, reason, expected)
