"""The front end. `create_app` is its table of contents; `python -m service` runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from coverslip.archive.archive import Archive
from coverslip.settings import Settings
from service import errors
from service.context import Service
from service.cors import Outward
from service.derived import Workshop
from service.edge import Edge
from service.links import LinkTokens
from service.pictures import Pictures
from service.pulse import Pulse
from service.receiving import Floor
from service.rendering import STATIC, refusal_page
from service.routes import exports, ops, pages, session, slides, uploads, viewer
from service.routes.tiles import Tiles
from service.safety import demo_key, principal_of_key, require_safe_start, session_key
from service.sessions import Sessions
from service.shelf import Shelf
from service.sources import Sources

ROUTERS = (
    *(uploads.router, slides.router, slides.files, exports.router),
    *(viewer.router, pages.router, session.router, ops.router),
)


def create_app(settings: Settings | None = None) -> Edge:
    """The whole front end as one ASGI application; raises `UnsafeStart` rather than run open."""
    service = assemble(settings or Settings())
    app = FastAPI(title="Coverslip", lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service = service
    errors.install(app, refusal_page)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return Edge(app, service.tiles, pictures(service), outward(service), secure=service.sessions.secure)


def assemble(settings: Settings) -> Service:
    """Connect the parts a front end is made of."""
    archive = Archive.open(settings, with_vault=True)
    require_safe_start(settings, archive.catalog)
    secure = settings.public_base_url.startswith("https:")
    key = session_key(settings, archive)
    links = LinkTokens(key)
    sessions = Sessions(key, partial(principal_of_key, archive.catalog), secure=secure)
    shelf = Shelf(archive)
    workshop = Workshop(settings.derived_workers, settings.derived_waiting, settings.derived_cache_bytes)
    return Service(
        settings=settings,
        archive=archive,
        sessions=sessions,
        links=links,
        shelf=shelf,
        workshop=workshop,
        tiles=Tiles(shelf, sessions, links, archive.catalog, workshop),
        floor=Floor(),
        pulse=Pulse(partial(_appearance, archive)),
        demo_key=demo_key(settings, archive),
    )


def pictures(service: Service) -> Pictures:
    """Tiles under other addresses and derived pictures."""
    return Pictures(service.tiles.opened, Sources(service.archive), service.workshop, service.settings)


def outward(service: Service) -> Outward:
    """What answers about slides tell others; the tiles' short way tells it too."""
    had = service.settings
    found = Outward(had.cors_origins, had.license_url, had.cite_as, had.pinned_lifetime.total_seconds())
    service.tiles.cors = found.cors
    return found


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.service.archive.close()


def _appearance(archive: Archive) -> Hashable:
    """What a list of slides shows: equal while nobody would see a difference."""
    newest = archive.catalog.slides(limit=50).slides
    rows = tuple((slide.sid, slide.version, slide.stage, slide.done) for slide in newest)
    return rows, tuple(archive.catalog.counts().values())
