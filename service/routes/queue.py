"""Work that waits, runs or died: pause and resume, cancel, urgency, dead letters and their replay."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse

from coverslip.archive.pauses import Scope
from coverslip.archive.records import Job, SlideRecord
from coverslip.archive.turns import Priority
from coverslip.errors import NotFound
from service.access import may_see
from service.auth import Ops, SignedIn, Staff, VisibleSlide
from service.context import Here, Service, ask
from service.schemas import (
    DeadLetterOut,
    DeadLetters,
    JobOut,
    PauseIn,
    PauseOut,
    PriorityIn,
    Replayed,
    ReplayIn,
)
from service.strict import PROGRAM

router = APIRouter(prefix="/api/v1", tags=["queue"], dependencies=PROGRAM)
pages = APIRouter(tags=["queue"])
"""What the buttons of the pages ask for; each leads back to its page."""

LETTERS = 100
LARGEST = 500
ID = Annotated[str, Form(max_length=64)]
CODE = Annotated[str, Form(max_length=64, pattern=r"^([a-z][a-z-]*)?$")]


@router.get("/jobs/{job}")
async def job(job: str, service: Here, caller: SignedIn, response: Response) -> JobOut:
    """One job, its stage and how much of that is done: for curators, ops and who sent the slide in."""
    response.headers["Cache-Control"] = "no-store"
    found = await _job(service, job)
    if not may_see(caller, await ask(service.catalog.slide, found.sid)):
        raise NotFound
    return found


@router.post("/jobs/{job}/cancel")
async def cancel(job: str, service: Here, caller: Staff) -> JobOut:
    """Stop a job: at once while it waits, within seconds while it runs."""
    await ask(service.catalog.cancel, job, caller.owner)
    return await _job(service, job)


@router.post("/jobs/{job}/priority")
async def priority(job: str, wish: PriorityIn, service: Here, caller: Staff) -> JobOut:
    """Give a waiting job another priority: `first`, `usual` or `later`."""
    await ask(service.catalog.prefer, job, Priority[wish.priority.upper()], caller.owner)
    return await _job(service, job)


@router.get("/dead-letters")
async def dead_letters(
    service: Here,
    caller: Staff,
    response: Response,
    code: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST)] = LETTERS,
) -> DeadLetters:
    """Jobs that came to no verdict and nobody queued again, newest first, of one reason or of all."""
    response.headers["Cache-Control"] = "no-store"
    return await ask(letters_of, service, code, limit)


@router.post("/dead-letters/replay")
async def replay_all(wish: ReplayIn, service: Here, caller: Staff) -> Replayed:
    """Replay the dead letters of one reason, at most 500 at once."""
    return Replayed(count=await ask(service.catalog.replay_all, wish.code, caller.owner))


@router.post("/dead-letters/{job}/replay")
async def replay(job: str, service: Here, caller: Staff) -> Replayed:
    """Do a dead letter's work again, from its last finished stage."""
    await ask(service.catalog.replay, job, caller.owner)
    return Replayed(count=1)


@router.get("/pauses")
async def pauses(service: Here, caller: Ops, response: Response) -> list[PauseOut]:
    """What is paused, longest first."""
    response.headers["Cache-Control"] = "no-store"
    return await ask(pauses_of, service)


@router.post("/pauses")
async def pause(wish: PauseIn, service: Here, caller: Ops) -> list[PauseOut]:
    """Begin no more of this work; what runs goes on."""
    await ask(service.catalog.pause, wish.scope, wish.name, caller.owner)
    return await ask(pauses_of, service)


@router.post("/pauses/resume")
async def resume(wish: PauseIn, service: Here, caller: Ops) -> list[PauseOut]:
    """Begin this work again."""
    await ask(service.catalog.resume, wish.scope, wish.name, caller.owner)
    return await ask(pauses_of, service)


@pages.post("/ops/pauses")
async def pause_or_resume(
    service: Here,
    caller: Ops,
    act: Annotated[str, Form(pattern="^(pause|resume)$")],
    scope: Annotated[Scope, Form()] = Scope.EVERYTHING,
    name: Annotated[str, Form(max_length=128)] = "",
) -> Response:
    """The operations page's pause and resume."""
    wish = PauseIn(scope=scope, name="" if scope is Scope.EVERYTHING else name)
    change = service.catalog.pause if act == "pause" else service.catalog.resume
    await ask(change, wish.scope, wish.name, caller.owner)
    return RedirectResponse("/ops", 303)


@pages.post("/ops/replay")
async def replay_some(service: Here, caller: Ops, job: ID = "", code: CODE = "") -> Response:
    """The operations page's replay, of one dead letter or of all of one reason."""
    if job:
        await ask(service.catalog.replay, job, caller.owner)
    elif code:
        await ask(service.catalog.replay_all, code, caller.owner)
    return RedirectResponse("/ops#dead", 303)


@pages.post("/slides/{sid}/cancel")
async def cancel_slide(slide: VisibleSlide, service: Here, caller: Staff) -> Response:
    """The slide page's cancel: whatever waits or runs for this slide."""
    await ask(service.catalog.cancel_slide, slide.sid, caller.owner)
    return RedirectResponse(f"/slides/{slide.sid}", 303)


def letters_of(service: Service, code: str | None, limit: int = LETTERS) -> DeadLetters:
    """Dead letters and their reasons."""
    letters = [DeadLetterOut.model_validate(letter) for letter in service.catalog.dead_letters(code, limit)]
    return DeadLetters(letters=letters, reasons=service.catalog.dead_reasons())


def pauses_of(service: Service) -> list[PauseOut]:
    """What is paused."""
    return [PauseOut.model_validate(pause) for pause in service.catalog.pauses()]


async def _job(service: Service, job: str) -> JobOut:
    return JobOut.of(*await ask(_known, service, job))


def _known(service: Service, job: str) -> tuple[Job, SlideRecord, int | None]:
    found = service.catalog.job(job)
    return found, service.catalog.slide(found.sid), service.catalog.ahead(job)
