"""What one running front end holds, handed to every route as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from coverslip.archive.archive import Archive
from coverslip.archive.catalog import Catalog
from coverslip.archive.storage import Storage
from coverslip.settings import Settings
from service.derived import Workshop
from service.links import LinkTokens
from service.pulse import Pulse
from service.receiving import Floor
from service.routes.tiles import Tiles
from service.sessions import Sessions
from service.shelf import Shelf

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """Settings, what exists and where it lies, cookies, opened pyramids, who makes pictures, what drives live pages."""

    settings: Settings
    archive: Archive
    sessions: Sessions
    links: LinkTokens
    shelf: Shelf
    workshop: Workshop
    tiles: Tiles
    floor: Floor
    pulse: Pulse
    demo_key: str | None
    """Id of the key a loopback demo made for itself; None otherwise."""

    @property
    def catalog(self) -> Catalog:
        """The record of what exists."""
        return self.archive.catalog

    @property
    def storage(self) -> Storage:
        """The zones of the disk."""
        return self.archive.storage


def service_of(request: Request) -> Service:
    """The one value the application was created with."""
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(service_of)]


async def ask(call: Callable[..., T], *args: object, **named: object) -> T:
    """Run one blocking catalogue or disk call beside the event loop."""
    return await run_in_threadpool(call, *args, **named)
