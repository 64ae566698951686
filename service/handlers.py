"""How the website refuses: a page for somebody who reads, problem+json for a program."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from coverslip.errors import CoverslipError
from service.context import ask
from service.errors import PROBLEM_TYPE, ROUTING_CODES, RequestRefused, answer, body_of, crashed, sentence_of

Page = Callable[[Request, int, str, str], Response]
"""Draws a refusal for somebody who reads: request, status, code, sentence."""


async def refused(page: Page, request: Request, error: Exception) -> Response:
    """Handler for everything in our own tree; a page is drawn in a thread, for which a program need not wait."""
    assert isinstance(error, CoverslipError)
    problem = answer(error)
    if not for_reader(request):
        return problem
    shown = await ask(page, request, problem.status_code, error.code, sentence_of(error))
    if "Retry-After" in problem.headers:
        shown.headers["Retry-After"] = problem.headers["Retry-After"]
    return shown


def for_reader(request: Request) -> bool:
    """Whether a browser opens a page, as opposed to a program asking."""
    programs = request.url.path.startswith(("/api/", "/uploads", "/metrics")) or request.url.path.endswith(".json")
    return not programs and "text/html" in request.headers.get("accept", "")


async def unroutable(page: Page, request: Request, error: Exception) -> Response:
    """Handler for what the router refuses; the same body as our own not-found, so existence does not leak."""
    assert isinstance(error, HTTPException)
    code, detail = ROUTING_CODES.get(error.status_code, ("request-refused", RequestRefused.summary))
    if for_reader(request):
        return await ask(page, request, error.status_code, code, detail)
    headers = {"Cache-Control": "no-store", **(error.headers or {})}
    return Response(body_of(code, error.status_code, detail), error.status_code, headers, PROBLEM_TYPE)


async def invalid(request: Request, error: Exception) -> Response:
    """Handler for a body or parameter that misses its schema: says where, never what stood there."""
    assert isinstance(error, RequestValidationError)
    places = [".".join(str(part) for part in problem["loc"] if isinstance(part, str)) for problem in error.errors()]
    known = [place for place in places if len(place) <= 64]
    body = body_of("invalid-parameter", 422, "A parameter or field is missing or not of its kind.", where=known)
    return Response(body, 422, {"Cache-Control": "no-store"}, PROBLEM_TYPE)


async def unexpected(request: Request, error: Exception) -> Response:
    """Handler for what nobody foresaw."""
    return crashed(error)


def install(app: FastAPI, page: Page) -> None:
    """Give the application these handlers."""
    app.add_exception_handler(CoverslipError, partial(refused, page))
    app.add_exception_handler(HTTPException, partial(unroutable, page))
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)
