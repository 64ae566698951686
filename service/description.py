"""The OpenAPI document: what programs may ask, and every answer they may get.

The routers describe themselves; what they cannot know (bodies that are no JSON, refusals) is said here. Pages for
people and their live stream are left out. Tiles and pictures: `service.described_pictures`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi

from service.described_pictures import paths
from service.errors import PROBLEM_TYPE

Json = dict[str, Any]

PROGRAMS: Final = re.compile(
    r"/api/.*|/uploads.*|/healthz|/readyz|/metrics|.*\.json|/slides/\{sid\}(?:/file|\.szi|\.zip)", re.ASCII
)
"""Addresses that are not only for people."""

PROBLEM: Final[Json] = {
    "type": "object",
    "description": "RFC 9457; `code` is stable and listed in docs/errors.md.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "where": {"type": "array", "items": {"type": "string"}},
    },
}
REASONS: Final = {
    400: "Malformed.",
    401: "No credential, or one that is no longer good.",
    403: "Not permitted.",
    404: "Unknown, or not for the caller to see.",
    405: "No such method here.",
    406: "The caller takes other kinds of answers only.",
    408: "No bytes for too long.",
    409: "Not possible in the present state.",
    410: "Gone.",
    412: "Not what the caller's conditions ask for, or another version of tus.",
    413: "Too large.",
    415: "Not a kind of body that is taken here.",
    416: "The file has no such range.",
    422: "A parameter or field misses its schema, or more is asked than is given at once.",
    429: "Too many; see Retry-After.",
    460: "The bytes are not what the digest says.",
    501: "A feature of the protocol that is not offered.",
    503: "Busy; see Retry-After.",
    507: "No room.",
}
USUAL: Final = (400, 401, 403, 404, 405, 406, 422, 503)
_TUS: Final = (400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 429, 460, 503, 507)
_FILE: Final = (400, 401, 404, 405, 406, 409, 410, 412, 416, 422, 503)

SENT: Final[dict[tuple[str, str], tuple[str, tuple[int, ...]]]] = {
    ("get", "/api/v1/slides/{sid}/report"): ("application/json", (200,)),
    ("get", "/slides/{sid}/certificate.json"): ("application/json", (200,)),
    ("get", "/slides/{sid}/file"): ("image/tiff", (200, 206, 304)),
    ("head", "/slides/{sid}/file"): ("", (200, 206, 304)),
    ("get", "/slides/{sid}.szi"): ("application/zip", (200, 206, 304)),
    ("head", "/slides/{sid}.szi"): ("", (200, 304)),
    ("get", "/slides/{sid}.zip"): ("application/zip", (200, 206, 304)),
    ("head", "/slides/{sid}.zip"): ("", (200, 304)),
    ("get", "/metrics"): ("text/plain", (200,)),
    ("post", "/uploads"): ("", (201,)),
    ("options", "/uploads"): ("", (204,)),
    ("options", "/uploads/{uid}"): ("", (204,)),
    ("head", "/uploads/{uid}"): ("", (200,)),
    ("patch", "/uploads/{uid}"): ("", (204,)),
    ("delete", "/uploads/{uid}"): ("", (204,)),
}
"""What routes send that are not made of a schema: content type, empty where there is no body, and statuses."""


def document(routers: tuple[APIRouter, ...]) -> Json:
    """The whole document."""
    routes = [route for router in routers for route in router.routes if PROGRAMS.fullmatch(route.path)]  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a route for GET and HEAD has one name; we give every operation its own
        found = get_openapi(title="Coverslip", version="1", openapi_version="3.1.0", routes=routes)
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(method, path, operation)
    found["paths"] |= paths(refusals)
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)  # ours are problems
    schemas["Problem"] = PROBLEM
    return found


def refusals(statuses: Iterable[int]) -> Json:
    """Responses that refuse."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": REASONS[status], "content": content} for status in sorted(statuses)}


def _complete(method: str, path: str, operation: Json) -> None:
    operation["operationId"] = f"{method} {path}"
    responses = operation["responses"]
    responses.pop("422", None)
    if (method, path) in SENT:
        kind, statuses = SENT[method, path]
        responses.clear()
        responses |= {str(status): _bytes(kind, status) for status in statuses}
    if (method, path) == ("get", "/api/v1/slides/{sid}"):
        responses["304"] = _bytes("", 304)
    responses |= refusals(_refused(method, path))


def _bytes(kind: str, status: int) -> Json:
    described: Json = {"description": "Unchanged." if status == 304 else "As asked."}
    return described if not kind or status == 304 else {**described, "content": {kind: {"schema": {}}}}


def _refused(method: str, path: str) -> tuple[int, ...]:
    if path.startswith("/uploads"):
        return _TUS
    if path.startswith("/slides/") and not path.endswith(".json"):
        return _FILE
    return (*USUAL, 409, 410, 412)
