"""What one running front end holds, handed to every route as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from coverslip.archive.catalog import Catalog
from coverslip.settings import Settings
from service.pulse import Pulse
from service.sessions import Sessions
from service.shelf import Shelf

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """Settings, the catalogue, sign-in cookies, opened pyramids, and the pulse that drives live pages."""

    settings: Settings
    catalog: Catalog
    sessions: Sessions
    shelf: Shelf
    pulse: Pulse
    demo_secret: str | None
    """The key a loopback demo made for itself; None otherwise."""


def service_of(request: Request) -> Service:
    """The one value the application was created with."""
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(service_of)]


async def ask(call: Callable[..., T], *args: object, **named: object) -> T:
    """Run one blocking catalogue or disk call beside the event loop."""
    return await run_in_threadpool(call, *args, **named)
