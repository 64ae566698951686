"""One verdict for many slides: what the list's checkboxes send."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from pydantic import StringConstraints

from coverslip.archive.records import Principal
from coverslip.archive.states import State
from coverslip.errors import NotFound, StateConflict
from service.auth import Curator
from service.context import Here, Service, ask
from service.routes.slides import LARGEST_PAGE, move

router = APIRouter(tags=["pages"])

Choices = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[^@]{1,64}(@[1-9][0-9]{0,8})?$")]], Form(max_length=LARGEST_PAGE)
]
"""Ids, each with the version of its slide that the list showed; a script need not say one."""


@router.post("/slides/decisions")
async def decide_many(
    service: Here,
    caller: Curator,
    to: Annotated[State, Form()],
    sid: Choices = [],  # noqa: B006  never changed; a form without slides is a form of none
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """The list's buttons: each slide by itself; those that have moved on meanwhile stay where they are."""
    moved = sum([await ask(_moved, service, caller, one, to, reason) for one in dict.fromkeys(sid)])
    told = {"moved": moved, "stayed": len(set(sid)) - moved, "to": to.value}
    return RedirectResponse(f"/slides?{urlencode({'state': State.IN_REVIEW.value, **told})}", 303)


def _moved(service: Service, caller: Principal, choice: str, to: State, reason: str) -> bool:
    sid, _, seen = choice.partition("@")
    try:
        move(service, caller, sid, to, reason, int(seen) if seen else None)
    except (NotFound, StateConflict):
        return False
    return True
