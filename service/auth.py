"""Who is asking and what they may do. Runs on headers alone, before a byte of any body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from coverslip.archive.records import Principal, SlideRecord
from coverslip.archive.states import State
from coverslip.errors import NotFound, NotPermitted
from service.context import Here, Service, ask
from service.errors import ForeignOrigin, SignInNeeded
from service.sessions import cookie_in


class Role(StrEnum):
    """What a key may be for; `admin` may do everything the others may."""

    SUBMITTER = "submitter"
    CURATOR = "curator"
    VIEWER = "viewer"
    OPS = "ops"
    ADMIN = "admin"


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SECRET_LIMIT = 256
"""Characters of a bearer token we are willing to look at."""


def has(principal: Principal | None, *roles: Role) -> bool:
    """Whether somebody holds one of `roles` (or is admin)."""
    return principal is not None and not principal.roles.isdisjoint({Role.ADMIN, *roles})


async def principal_of(request: Request, service: Here) -> Principal | None:
    """The caller, or None for anonymous; raises `SignInNeeded` for a bearer token that is not good."""
    header = request.headers.get("authorization")
    if header is not None:
        return await _bearer(header, service)
    token = cookie_in(request.headers.get("cookie", ""), service.sessions.cookie)
    principal = await ask(service.sessions.verify, token) if token else None
    if principal and request.method not in SAFE_METHODS:
        require_own_page(request)
    return principal


async def _bearer(header: str, service: Service) -> Principal:
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or len(secret) > SECRET_LIMIT:
        raise SignInNeeded
    principal = await ask(service.catalog.principal, secret.strip())
    if principal is None:
        raise SignInNeeded
    return principal


def require_own_page(request: Request) -> None:
    """A change that a cookie authorises must start on one of our own pages (beside SameSite=Lax)."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForeignOrigin
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
        raise ForeignOrigin


Caller = Annotated[Principal | None, Depends(principal_of)]


def require(*roles: Role) -> Callable[..., Awaitable[Principal]]:
    """A dependency: a caller with one of `roles`, else 401 for nobody and 403 for somebody."""

    async def check(caller: Caller) -> Principal:
        if caller is None:
            raise SignInNeeded
        if not has(caller, *roles):
            raise NotPermitted
        return caller

    return check


Submitter = Annotated[Principal, Depends(require(Role.SUBMITTER))]
Curator = Annotated[Principal, Depends(require(Role.CURATOR))]
Ops = Annotated[Principal, Depends(require(Role.OPS))]
SignedIn = Annotated[Principal, Depends(require(*Role))]


def may_see(caller: Principal | None, slide: SlideRecord) -> bool:
    """Whether a slide exists for the caller: released for everyone, the rest for curators and who sent it in."""
    if slide.state in (State.RELEASED, State.WITHDRAWN) or has(caller, Role.CURATOR):
        return True
    return caller is not None and caller.owner == slide.owner and has(caller, Role.SUBMITTER)


def may_look(caller: Principal | None, slide: SlideRecord) -> bool:
    """Whether the caller may see pixels: released for everyone, in review for curators only."""
    return slide.state is State.RELEASED or has(caller, Role.CURATOR)


async def visible_slide(sid: str, service: Here, caller: Caller) -> SlideRecord:
    """The slide of the address; raises `NotFound` for unknown and for invisible alike."""
    slide = await ask(service.catalog.slide, sid)
    if not may_see(caller, slide):
        raise NotFound
    return slide


VisibleSlide = Annotated[SlideRecord, Depends(visible_slide)]
