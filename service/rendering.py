"""HTML from templates: autoescaped, with the few filters that put units on numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coverslip.archive import keeping
from coverslip.archive.records import Principal
from coverslip.archive.states import State
from service.context import Service
from service.reasons import meaning
from service.roles import Role, has
from service.sessions import LIFETIME

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"

STATES: dict[State, tuple[str, str, str]] = {
    State.RECEIVED: ("received", "↓", "The file has arrived. Its job is being written down."),
    State.QUEUED: ("queued", "◌", "Waiting for a worker."),
    State.PROCESSING: ("processing", "◐", "A worker is on it."),
    State.IN_REVIEW: ("in review", "◉", "De-identified and verified. A curator decides whether it is released."),
    State.RELEASED: ("released", "●", "Anybody with the address can see it."),
    State.QUARANTINED: ("quarantined", "▲", "Something could not be proved. A curator has to look at the reason."),
    State.REJECTED: ("rejected", "✕", "This file goes no further."),
    State.FAILED: ("failed", "!", "No attempt came to an end. Somebody has to queue it again or reject it."),
    State.WITHDRAWN: ("withdrawn", "–", "It was public once and is no longer."),
}
"""One name, one icon, one sentence per state, everywhere."""

STAGES = {"open": "reading", "plan": "planning", "write": "writing", "verify": "verifying", "pyramid": "tiling"}


def render(request: Request, service: Service, name: str, caller: Principal | None, **facts: object) -> Response:
    """One page for one caller; a demo's first page also signs the browser in."""
    page = (
        _environment()
        .get_template(name)
        .render(
            caller=caller,
            can=lambda *roles: has(caller, *map(Role, roles)),
            path=request.url.path,
            demo=service.demo_key is not None,
            **facts,
        )
    )
    response = Response(page, media_type="text/html", headers={"Cache-Control": "no-store", "Vary": "Cookie"})
    if getattr(request.state, "sign_in", False) and caller is not None:
        set_session(response, service, caller)
    return response


def refusal_page(request: Request, status: int, code: str, detail: str) -> Response:
    """A refusal for somebody who reads; who is not signed in gets the way in."""
    service: Service = request.app.state.service
    if status == 401:
        return RedirectResponse(f"/signin?next={quote(request.url.path)}", 303)
    caller: Principal | None = getattr(request.state, "caller", None)
    page = render(request, service, "problem.html", caller, status=status, code=code, detail=detail)
    page.status_code = status
    return page


def set_session(response: Response, service: Service, principal: Principal) -> None:
    """Give the browser its cookie."""
    response.set_cookie(
        service.sessions.cookie,
        service.sessions.issue(principal),
        max_age=LIFETIME,
        secure=service.sessions.secure,
        httponly=True,
        samesite="lax",
        path="/",
    )


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.tests.update(several=lambda slide: slide.planes is not None and slide.planes.several)
    found.filters.update(
        commands=commands, meaning=meaning, size=size, number=number, age=age, moment=moment, percent=percent
    )
    found.globals.update(STATES=STATES, STAGES=STAGES, State=State, OVER=keeping.OVER)
    return found


def commands(text: str) -> Markup:
    """Our own words with what stands in backticks as code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def size(count: float | None) -> str:
    """Bytes with a unit: `1.9 MB`."""
    if count is None:
        return "–"
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 100 else f"{value:.1f} {units[0]}"


def number(value: float | None) -> str:
    """A number with thin spaces between thousands."""
    return "–" if value is None else f"{value:,.10g}".replace(",", " ")


def age(value: float | datetime | None) -> str:
    """How long: seconds, or since a moment, in the largest unit that fits twice."""
    if value is None:
        return "–"
    seconds = (datetime.now(UTC) - value).total_seconds() if isinstance(value, datetime) else value
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s" if seconds >= 10 or seconds == 0 else f"{max(0, seconds):.1f} s"


def moment(value: datetime) -> str:
    """A moment in UTC, as a machine reads it."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def percent(value: float | None) -> int:
    """0…1 as whole per cent."""
    return round(100 * min(1.0, max(0.0, value or 0.0)))
