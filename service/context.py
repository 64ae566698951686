"""How a route reaches what the running front end holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from service.parts import Service

__all__ = ["Here", "Service", "ask", "service_of"]

T = TypeVar("T")


async def service_of(request: Request) -> Service:
    """The one value the application was created with; a plain function would be run in a thread for each request."""
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(service_of)]


async def ask(call: Callable[..., T], *args: object, **named: object) -> T:
    """Run one blocking catalogue or disk call beside the event loop."""
    return await run_in_threadpool(call, *args, **named)
