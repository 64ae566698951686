"""What programs ask is taken at its word: an unknown parameter or an impossible Accept is refused, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.accept import require_accepted
from service.errors import Malformed


async def strict(request: Request) -> None:
    """Raise `Malformed` for a query parameter the route does not know."""
    known = parameters_of(request.scope["route"])
    if not known.issuperset(request.query_params):
        raise Malformed(f"Parameters here: {', '.join(sorted(known)) or 'none'}.")


async def json_taken(request: Request) -> None:
    """Raise `NotAcceptable` for somebody who takes no JSON."""
    if request.method == "GET":
        require_accepted(request.headers.get("accept", ""), "application/json")


STRICT = Depends(strict)
PROGRAM = [STRICT, Depends(json_taken)]
"""For routers that answer in JSON."""


def parameters_of(route: APIRoute) -> frozenset[str]:
    """Names a route's query may have."""
    return frozenset(_names(route.dependant))


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names(inner)
