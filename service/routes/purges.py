"""The end of an original: its key is destroyed, so that nobody can read it again, wherever copies of it may lie."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Form, Header, Response
from fastapi.responses import RedirectResponse

from coverslip.archive.events import MAX_REASON
from coverslip.archive.records import Principal, SlideRecord
from coverslip.errors import OriginalPurged, Outdated
from service.auth import Curator, VisibleSlide
from service.caching import match
from service.context import Here, Service, ask
from service.routes.slides import Seen, etag_of
from service.schemas import OriginalOut, PurgeIn

router = APIRouter(prefix="/api/v1", tags=["slides"])
pages = APIRouter(tags=["slides"])
"""What the slide's page asks for."""


@router.post("/slides/{sid}/purge")
async def purge(
    slide: VisibleSlide,
    wish: PurgeIn,
    service: Here,
    caller: Curator,
    response: Response,
    if_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> OriginalOut:
    """Destroy a slide's original; of one that was rejected or withdrawn the clean slide, too. Again changes nothing."""
    if if_match is not None and not match(if_match, etag_of(slide)):
        raise Outdated
    response.headers["Cache-Control"] = "no-store"
    expected = None if if_match is None else slide.version
    return await ask(end_original, service, caller, slide, wish.reason, expected)


@pages.post("/slides/{sid}/purge")
async def purge_by_form(
    slide: VisibleSlide,
    service: Here,
    caller: Curator,
    reason: Annotated[str, Form(min_length=1, max_length=MAX_REASON)],
    sure: Annotated[str, Form(pattern="^yes$")],
    version: Seen = None,
) -> Response:
    """The slide page's form: a reason, and a box that says one knows what it means; raises `Outdated`."""
    await ask(end_original, service, caller, slide, reason, version)
    return RedirectResponse(f"/slides/{slide.sid}#h-original", 303)


def end_original(
    service: Service, caller: Principal, slide: SlideRecord, reason: str, expected: int | None = None
) -> OriginalOut:
    """Purge, unless that was done; raises `StateConflict` while somebody works on the slide, or `Outdated`."""
    with suppress(OriginalPurged):  # the same answer as the first time
        service.archive.purge(slide.sid, caller.owner, reason, expected)
    return original_of(service, slide)


def original_of(service: Service, slide: SlideRecord) -> OriginalOut:
    """What is known of a slide's original, and whether there is anything clean."""
    purged, now = service.catalog.purged(slide.uid), service.catalog.slide(slide.sid)
    return OriginalOut(sid=slide.sid, kept=purged is None, purged=purged, clean=now.artefact is not None)
