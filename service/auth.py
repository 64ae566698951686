"""Who is asking and what they may do. Runs on headers alone, before a byte of any body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from coverslip.archive.records import Principal, SlideRecord
from coverslip.errors import NotFound, NotPermitted
from service.access import may_see
from service.addresses import is_loopback
from service.context import Here, Service, ask
from service.errors import ForeignOrigin, KeyRefused, SignInNeeded
from service.roles import Role, has
from service.sessions import SECRET_LIMIT, cookie_in, secret_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def principal_of(request: Request, service: Here) -> Principal | None:
    """The caller, or None for anonymous; raises `KeyRefused` for a bearer token that is not good."""
    caller = request.state.caller = await _principal_of(request, service)  # a refusal's page is for somebody, too
    return caller


async def _principal_of(request: Request, service: Service) -> Principal | None:
    header = request.headers.get("authorization")
    if header is not None:
        return await _bearer(header, service)
    token = cookie_in(request.headers.get("cookie", ""), service.sessions.cookie)
    looks = request.method in SAFE_METHODS
    principal = service.sessions.remembered(token) if token and looks else None
    if token and principal is None:
        principal = await ask(service.sessions.verify, token)
    if principal is None and service.demo_key and wants_demo(request):
        request.state.sign_in = True
        return await ask(service.sessions.current, service.demo_key)
    if principal and not looks:
        require_own_page(request)
    return principal


async def _bearer(header: str, service: Service) -> Principal:
    secret = secret_of(header)
    if secret is None:
        raise SignInNeeded
    principal = await ask(service.catalog.principal, secret) if len(secret) <= SECRET_LIMIT else None
    if principal is None:
        raise KeyRefused
    return principal


def wants_demo(request: Request) -> bool:
    """A browser on this machine that opens a page of a demo; the Host check keeps rebound names out."""
    here = request.client is not None and is_loopback(request.client.host)
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    return here and page and is_loopback(host)


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
Staff = Annotated[Principal, Depends(require(Role.CURATOR, Role.OPS))]
Admin = Annotated[Principal, Depends(require(Role.ADMIN))]
Ops = Annotated[Principal, Depends(require(Role.OPS))]
SignedIn = Annotated[Principal, Depends(require(*Role))]


async def visible_slide(sid: str, service: Here, caller: Caller) -> SlideRecord:
    """The slide of the address; raises `NotFound` for unknown and for invisible alike."""
    slide = await ask(service.catalog.slide, sid)
    if not may_see(caller, slide):
        raise NotFound
    return slide


VisibleSlide = Annotated[SlideRecord, Depends(visible_slide)]
