"""The viewer alone, to be opened full size, embedded or shared, and the links it is shared by."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from coverslip.archive.records import Principal, SlideRecord
from coverslip.archive.states import READABLE
from coverslip.errors import NotFound, StateConflict
from coverslip.settings import Settings
from service.access import absent, may_look, may_see
from service.auth import Caller, Curator, VisibleSlide
from service.context import Here, Service, ask
from service.edge import CSP
from service.errors import LinkExpired
from service.facts import facts_of
from service.lent import PREFIX
from service.links import Link
from service.rendering import render
from service.schemas import LinkOut, SlideOut
from service.strict import PROGRAM

router = APIRouter(tags=["viewer"])

Sid = Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{0,64}$")]


@router.get("/slides/{sid}/viewer")
async def viewer(
    request: Request, sid: str, service: Here, caller: Caller, token: str = "", beside: Sid = ""
) -> Response:
    """The viewer on a page of its own: for whoever may look at the slide, or holds a link to it."""
    slides = await _shown(service, caller, sid, token, beside)
    return render(request, service, "viewer.html", caller, slides=slides, token=token, embedded=False)


@router.get("/embed/{sid}")
async def embed(request: Request, sid: str, service: Here, token: str = "", beside: Sid = "") -> Response:
    """The viewer to be framed by other sites' pages: whoever is signed in here is nobody in there."""
    slides = await _shown(service, None, sid, token, beside)
    page = render(request, service, "viewer.html", None, slides=slides, token=token, embedded=True)
    page.headers["Content-Security-Policy"] = CSP.replace("frame-ancestors 'none'", ancestors(service.settings))
    return page


async def _shown(service: Service, caller: Principal | None, sid: str, token: str, beside: str) -> list[SlideOut]:
    slides = [await shown_slide(service, caller, sid, token)]
    if beside:
        slides.append(await shown_slide(service, caller, beside))
    for slide in slides:
        if slide.state not in READABLE:
            raise absent(slide, await ask(service.catalog.open_job, slide.sid))
    return [await facts_of(service, slide) for slide in slides]


@router.post("/slides/{sid}/links")
async def share(slide: VisibleSlide, service: Here, caller: Curator) -> Response:
    """The slide page's Share button: leads to the viewer under an address that holds for a quarter of an hour."""
    link = await ask(make_link, service, caller, slide)
    return RedirectResponse(address(slide.sid, link), 303)


@router.post("/api/v1/slides/{sid}/links", status_code=201, dependencies=PROGRAM)
async def links(slide: VisibleSlide, service: Here, caller: Curator, response: Response) -> LinkOut:
    """A link that shows one slide to whoever holds it, for a quarter of an hour."""
    link = await ask(make_link, service, caller, slide)
    response.headers.update({"Location": address(slide.sid, link), "Cache-Control": "no-store"})
    front = f"{PREFIX}{link.token}"
    return LinkOut(
        url=address(slide.sid, link),
        dzi=f"{front}/slides/{slide.sid}.dzi",
        iiif=f"{front}/iiif/3/{slide.sid}/info.json",
        manifest=f"{front}/iiif/presentation/3/slides/{slide.sid}/manifest",
        token=link.token,
        expires=link.expires,
    )


async def shown_slide(service: Service, caller: Principal | None, sid: str, untrusted_token: str = "") -> SlideRecord:
    """A slide the caller or the link may look at; unknown, invisible and out of time are told apart by nobody.

    Also one that has nothing to look at yet or any more, for whom it exists. Raises `NotFound` or `LinkExpired`.
    """
    refused = LinkExpired if untrusted_token else NotFound
    try:
        slide: SlideRecord = await ask(service.catalog.slide, sid)
    except NotFound:
        raise refused from None
    if may_look(caller, slide) or service.links.allows(untrusted_token, sid):
        return slide
    if slide.state not in READABLE and may_see(caller, slide):
        return slide
    raise refused


def make_link(service: Service, caller: Principal, slide: SlideRecord) -> Link:
    """A link token, written down in the audit trail; raises `StateConflict` when there is nothing to look at."""
    if SlideOut.of(slide).links.dzi is None:
        raise StateConflict("A link needs a slide with tiles.")
    service.catalog.note(slide.sid, caller.owner, "link-made")
    return service.links.issue(slide.sid)


def address(sid: str, link: Link) -> str:
    """Where a link leads."""
    return f"/slides/{sid}/viewer?{urlencode({'token': link.token})}"


def ancestors(settings: Settings) -> str:
    """Who may show the viewer in a frame: nobody, unless the settings name them."""
    origins = settings.embed_origins.replace(",", " ")
    return f"frame-ancestors 'self' {origins}" if origins else "frame-ancestors 'none'"
