"""API keys, for administrators: who has one, a new one, the end of one. A secret is shown once, when it is made."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from coverslip.errors import NotPermitted
from service.auth import Admin, Caller
from service.context import Here, Service, ask
from service.rendering import render
from service.roles import Role, has
from service.schemas import KeyOut
from service.strict import PROGRAM

router = APIRouter(tags=["keys"])

Name = Annotated[str, Form(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]*$")]


@router.get("/keys")
async def keys(request: Request, service: Here, caller: Caller) -> Response:
    """Who has a key, for which roles, and the form for another; for administrators."""
    if caller is None:
        return RedirectResponse(f"/signin?next={quote('/keys')}", 303)
    if not has(caller, Role.ADMIN):
        raise NotPermitted
    found = await ask(keys_of, service)
    return render(request, service, "keys.html", caller, keys=found, roles=list(Role), secret=None)


@router.get("/keys.json", dependencies=PROGRAM)
async def keys_json(service: Here, caller: Admin) -> list[KeyOut]:
    """The same as JSON, without secrets: nobody has those."""
    return await ask(keys_of, service)


@router.post("/keys")
async def create(
    request: Request,
    service: Here,
    caller: Admin,
    owner: Name,
    roles: Annotated[list[Role], Form()],
    label: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Make a key and show its secret, this once."""
    _, secret = await ask(service.catalog.create_key, label, [str(role) for role in roles], owner, caller.owner)
    found = await ask(keys_of, service)
    return render(request, service, "keys.html", caller, keys=found, roles=list(Role), secret=secret)


@router.post("/keys/{key}/revoke")
async def revoke(key: str, service: Here, caller: Admin) -> Response:
    """End a key, effective on the next request."""
    await ask(service.catalog.revoke_key, key, caller.owner)
    return RedirectResponse("/keys", 303)


def keys_of(service: Service) -> list[KeyOut]:
    """All keys, those in force first."""
    every = service.catalog.keys()
    return sorted((KeyOut.of(key) for key in every), key=lambda key: key.revoked is not None)
