"""The front end. `create_app` is its table of contents; `python -m service` runs it."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING

from coverslip.archive.archive import Archive
from coverslip.settings import Settings
from service.cors import Outward
from service.derived import Workshop
from service.edge import App, Edge
from service.forgetting import Forgetting
from service.later import Later
from service.links import LinkTokens
from service.making import Making
from service.packing import Packing
from service.parts import Service
from service.pulse import Pulse
from service.receiving import Floor
from service.routes.tiles import Tiles
from service.safety import demo_key, principal_of_key, require_safe_start, session_key
from service.sessions import Sessions
from service.shelf import Shelf

if TYPE_CHECKING:
    from service.pictures import Pictures
    from service.sources import Sources


def create_app(settings: Settings | None = None) -> Edge:
    """The whole front end as one ASGI application; raises `UnsafeStart` rather than run open."""
    service = assemble(settings or Settings())
    return Edge(
        Later(partial(website, service)),
        service.tiles,
        Later(partial(pictures, service)),
        outward(service),
        secure=service.sessions.secure,
        beside=Forgetting(service.catalog, lambda: (service.shelf, service.sources())).run,
        ended=partial(_close, service),
    )


def assemble(settings: Settings) -> Service:
    """Connect the parts a front end is made of."""
    archive = Archive.open(settings, with_vault=True)
    require_safe_start(settings, archive.catalog)
    secure = settings.public_base_url.startswith("https:")
    key = session_key(settings, archive)
    links = LinkTokens(key)
    catalog, mark = archive.catalog, archive.revocations.mark
    sessions = Sessions(key, partial(principal_of_key, catalog), catalog.principal, mark, secure=secure)
    making = Making(settings)
    shelf = Shelf(archive, making)
    workshop = Workshop(settings.derived_workers, settings.derived_waiting, settings.derived_cache_bytes)
    return Service(
        settings=settings,
        archive=archive,
        sessions=sessions,
        links=links,
        shelf=shelf,
        making=making,
        workshop=workshop,
        packing=Packing(workshop),
        sources=Later(partial(_sources, archive, settings)),
        tiles=Tiles(shelf, sessions, links, workshop, settings),
        floor=Floor(),
        pulse=Pulse(partial(_appearance, archive)),
        demo_key=demo_key(settings, archive),
    )


def _close(service: Service) -> None:
    service.making.close()
    service.archive.close()


def website(service: Service) -> App:
    """Pages and API; loaded later, see `service.later`."""
    from service.website import website

    return website(service)


def pictures(service: Service) -> Pictures:
    """Tiles under other addresses and derived pictures; loaded later."""
    from service.pictures import Pictures

    return Pictures(service.tiles.opened, service.sources(), service.workshop, service.settings)


def _sources(archive: Archive, settings: Settings) -> Sources:
    from service.copies import Copies
    from service.sources import Sources

    return Sources(archive, Copies(archive.storage.root / "copies", settings.copies_bytes))


def outward(service: Service) -> Outward:
    """What answers about slides tell others; the tiles' short way tells it too."""
    had = service.settings
    found = Outward(had.cors_origins, had.license_url, had.cite_as, had.pinned_lifetime.total_seconds())
    service.tiles.quick.cors, service.tiles.quick.links = found.cors, found.lines
    return found


def _appearance(archive: Archive) -> Hashable:
    """What a list of slides shows: equal while nobody would see a difference."""
    newest = archive.catalog.slides(limit=50).slides
    rows = tuple((slide.sid, slide.version, slide.stage, slide.done) for slide in newest)
    return rows, tuple(archive.catalog.counts().values())
