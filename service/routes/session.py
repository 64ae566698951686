"""Signing in with an API key, and out again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from service.auth import Caller, require_own_page
from service.context import Here, ask
from service.rendering import render, set_session
from service.schemas import Me
from service.sessions import SECRET_LIMIT
from service.strict import PROGRAM

router = APIRouter(tags=["session"])

HOME = "/slides"


@router.get("/signin")
async def form(request: Request, service: Here, caller: Caller, next: str = HOME) -> Response:
    """Where a key is asked for."""
    return render(request, service, "signin.html", caller, next=own_page(next), refused=False)


@router.get("/signin.json", dependencies=PROGRAM)
async def me(service: Here, caller: Caller) -> Me:
    """Who is signed in."""
    if caller is None:
        return Me(signed_in=False, demo=service.demo_key is not None)
    demo = service.demo_key is not None
    return Me(signed_in=True, owner=caller.owner, roles=sorted(caller.roles), demo=demo)


@router.post("/signin")
async def sign_in(
    request: Request, service: Here, key: Annotated[str, Form()], next: Annotated[str, Form()] = HOME
) -> Response:
    """Trade a key for a cookie."""
    require_own_page(request)
    secret = key.strip()
    principal = await ask(service.catalog.principal, secret) if len(secret) <= SECRET_LIMIT else None
    if principal is None:
        page = render(request, service, "signin.html", None, next=own_page(next), refused=True)
        page.status_code = 401
        return page
    response = RedirectResponse(own_page(next), 303)
    set_session(response, service, principal)
    return response


@router.post("/signout")
async def sign_out(request: Request, service: Here) -> Response:
    """Take the cookie back."""
    require_own_page(request)
    response = RedirectResponse("/signin", 303)
    response.delete_cookie(service.sessions.cookie, secure=service.sessions.secure, httponly=True, samesite="lax")
    return response


def own_page(untrusted_path: str) -> str:
    """A path on this site, or home: a sign-in never sends anybody elsewhere."""
    plain = untrusted_path.startswith("/") and not untrusted_path.startswith(("//", "/\\"))
    return untrusted_path if plain and untrusted_path.isprintable() and len(untrusted_path) <= 512 else HOME
