"""One verdict for many slides: what the list's checkboxes send."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from coverslip.archive.records import Principal
from coverslip.archive.states import State
from coverslip.errors import NotFound, StateConflict
from service.auth import Curator
from service.context import Here, Service, ask
from service.routes.slides import LARGEST_PAGE, move

router = APIRouter(tags=["pages"])

Sids = Annotated[list[str], Form(max_length=LARGEST_PAGE)]


@router.post("/slides/decisions")
async def decide_many(
    service: Here,
    caller: Curator,
    to: Annotated[State, Form()],
    sid: Sids = [],  # noqa: B006  never changed; a form without slides is a form of none
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """The list's buttons: each slide by itself; those that have moved on meanwhile stay where they are."""
    moved = sum([await ask(_moved, service, caller, one, to, reason) for one in dict.fromkeys(sid)])
    told = {"moved": moved, "stayed": len(set(sid)) - moved, "to": to.value}
    return RedirectResponse(f"/slides?{urlencode({'state': State.IN_REVIEW.value, **told})}", 303)


def _moved(service: Service, caller: Principal, sid: str, to: State, reason: str) -> bool:
    try:
        move(service, caller, sid, to, reason)
    except (NotFound, StateConflict):
        return False
    return True
