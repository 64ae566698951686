"""The pages people see, each with a `.json` twin of the same facts."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from markupsafe import Markup

from coverslip import certificate_page
from coverslip.archive.records import Principal
from coverslip.archive.states import AT_WORK, State
from coverslip.errors import NotPermitted, StorageFailed
from coverslip.preflight.zip import MAX_ENTRIES
from service import tus
from service.access import may_look
from service.auth import Caller, Ops, SignedIn, Submitter, VisibleSlide
from service.context import Here, Service, ask
from service.crews import LOOKING
from service.details import detail_of
from service.errors import Overloaded
from service.facts import facts_of
from service.pulse import WATCHERS
from service.rendering import render
from service.roles import Role, has
from service.routes import uploads
from service.routes.purges import original_of
from service.routes.queue import letters_of, pauses_of
from service.routes.slides import (
    LARGEST_PAGE,
    PAGE,
    Seen,
    Words,
    certificate_bytes,
    certificate_of,
    events_of,
    list_slides,
    move,
)
from service.schemas import EventOut, Queues, SlideOut, SlidePage, UploadDesk, UploadOut
from service.strict import PROGRAM
from service.timeline import timeline

router = APIRouter(tags=["pages"])

DEAD_SHOWN = 50
"""Dead letters on the operations page; the API gives more."""

States = Annotated[list[State] | None, Query()]
Cursor = Annotated[str | None, Query(max_length=64)]
Count = Annotated[int | None, Query(ge=0, le=LARGEST_PAGE)]


@router.get("/")
async def home() -> Response:
    """There is no page before the slides."""
    return RedirectResponse("/slides", 303)


@router.get("/slides")
async def slides(
    request: Request,
    service: Here,
    caller: Caller,
    state: States = None,
    cursor: Cursor = None,
    q: Words = "",
    moved: Count = None,
    stayed: Count = None,
    to: State | None = None,
) -> Response:
    """The list, by state and words, paged by cursor; `moved`, `stayed` and `to` tell what a decision about many did."""
    page = await ask(list_slides, service, caller, state, cursor, PAGE, q)
    here, newest = _address(state, cursor, q), _address(state, None, q)
    older = _address(state, page.cursor, q)
    return render(
        request,
        service,
        "slides.html",
        caller,
        page=page,
        chosen=state or [],
        words=q,
        cursor=cursor,
        here=here,
        newest=newest,
        older=older,
        decided=(moved or 0, stayed or 0, to) if to and has(caller, Role.CURATOR) else None,
    )


@router.get("/slides.json", dependencies=PROGRAM)
async def slides_json(
    service: Here, caller: Caller, state: States = None, cursor: Cursor = None, q: Words = ""
) -> SlidePage:
    """The list as JSON."""
    return await ask(list_slides, service, caller, state, cursor, PAGE, q)


@router.get("/live")
async def live(service: Here) -> Response:
    """Server-sent events: something changed. Says nothing about what, so anybody may listen."""
    if service.pulse.watchers >= WATCHERS:
        raise Overloaded
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(service.pulse.stream(), media_type="text/event-stream", headers=headers)


@router.get("/slides/{sid}.json", dependencies=PROGRAM)
async def slide_json(slide: VisibleSlide, service: Here) -> dict[str, Any]:
    """A slide in full; `Image` is the DeepZoom descriptor as OpenSeadragon takes it."""
    facts = await detail_of(service, slide)
    return {**facts.model_dump(mode="json"), **({"Image": deep_zoom(facts)} if facts.links.dzi else {})}


@router.get("/slides/{sid}")
async def slide(request: Request, slide: VisibleSlide, service: Here, caller: Caller) -> Response:
    """Viewer, facts, timeline, verdict."""
    events = await ask(_events, service, caller, slide)
    certificate = await LOOKING.run(certificate_of, service, slide)
    facts = await facts_of(service, slide)
    viewable = facts.links.dzi is not None and may_look(caller, slide)
    original = await ask(original_of, service, slide) if has(caller, Role.CURATOR) else None
    return render(
        request,
        service,
        "slide.html",
        caller,
        slide=facts,
        steps=timeline(events),
        certificate=certificate,
        viewable=viewable,
        original=original,
        at_work=slide.state in AT_WORK,
    )


@router.post("/slides/{sid}/transitions")
async def decide(
    slide: VisibleSlide,
    service: Here,
    caller: SignedIn,
    to: Annotated[State, Form()],
    reason: Annotated[str, Form(max_length=500)] = "",
    version: Seen = None,
) -> Response:
    """The slide page's buttons; raises `Outdated` when the page they stood on is."""
    await ask(move, service, caller, slide.sid, to, reason, version)
    return RedirectResponse(f"/slides/{slide.sid}", 303)


@router.get("/slides/{sid}/certificate")
async def certificate(request: Request, slide: VisibleSlide, service: Here, caller: Caller) -> Response:
    """What was removed, what was kept and why, and how to check it without us."""
    found = orjson.loads(await LOOKING.run(certificate_bytes, service, slide))
    body = Markup(certificate_page.body(found))
    return render(request, service, "certificate.html", caller, slide=SlideOut.of(slide), body=body)


@router.get("/slides/{sid}/certificate.json", dependencies=PROGRAM)
async def certificate_json(slide: VisibleSlide, service: Here) -> Response:
    """The certificate as the pipeline wrote it."""
    body = await LOOKING.run(certificate_bytes, service, slide)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/upload")
async def upload(request: Request, service: Here, caller: Caller) -> Response:
    """Drop zone and tray; somebody not signed in is asked to."""
    if caller is None:
        return RedirectResponse(f"/signin?next={quote('/upload')}", 303)
    if not has(caller, Role.SUBMITTER):
        raise NotPermitted
    return render(request, service, "upload.html", caller, desk=await ask(desk_of, service, caller))


@router.get("/upload.json", dependencies=PROGRAM)
async def upload_json(service: Here, caller: Submitter) -> UploadDesk:
    """What an uploader needs to know first."""
    return await ask(desk_of, service, caller)


@router.get("/ops")
async def ops(request: Request, service: Here, caller: Caller) -> Response:
    """Age before count: queues, workers, causes."""
    if caller is None:
        return RedirectResponse(f"/signin?next={quote('/ops')}", 303)
    if not has(caller, Role.OPS):
        raise NotPermitted
    stats, counts = await ask(service.catalog.queue_stats), await ask(service.catalog.counts)
    free, unfit = await ask(service.storage.free_bytes), await ask(_unfit, service)
    dead, paused = await ask(letters_of, service, None, DEAD_SHOWN), await ask(pauses_of, service)
    return render(
        request,
        service,
        "ops.html",
        caller,
        queue=Queues.of(stats),
        counts=counts,
        free=free,
        unfit=unfit,
        dead=dead,
        paused=paused,
    )


@router.get("/ops.json", dependencies=PROGRAM)
async def ops_json(service: Here, caller: Ops) -> Queues:
    """The same figures as JSON."""
    return Queues.of(await ask(service.catalog.queue_stats))


def _unfit(service: Service) -> str | None:
    """The code of what keeps workers on this machine from beginning anything."""
    try:
        service.storage.require_fit()
    except StorageFailed as error:
        return error.code
    return None


def desk_of(service: Service, caller: Principal) -> UploadDesk:
    """Limits, choices, and what is unfinished."""
    return UploadDesk(
        endpoint="/uploads",
        max_bytes=uploads.largest(service),
        max_files=MAX_ENTRIES,
        policies=list(tus.POLICIES),
        policy=service.settings.policy,
        collection=service.settings.collection,
        unfinished=[UploadOut.of(upload) for upload in service.catalog.open_uploads(caller.owner)],
    )


def deep_zoom(slide: SlideOut) -> dict[str, object]:
    """The descriptor in OpenSeadragon's JSON form."""
    return {
        "xmlns": "http://schemas.microsoft.com/deepzoom/2008",
        "Url": slide.links.tiles,
        "Format": "jpg",
        "Overlap": 0,
        "TileSize": slide.tile_size,
        "Size": {"Width": slide.width, "Height": slide.height},
    }


def _address(states: list[State] | None, cursor: str | None, words: str) -> str:
    """The list's own address with these choices."""
    pairs = [("state", str(state)) for state in states or []]
    pairs += [(name, value) for name, value in (("q", words), ("cursor", cursor)) if value]
    return f"/slides?{urlencode(pairs)}" if pairs else "/slides"


def _events(service: Service, caller: Principal | None, slide: Any) -> list[EventOut]:  # noqa: ANN401
    try:
        return events_of(service, caller, slide) if caller else []
    except NotPermitted:
        return []
