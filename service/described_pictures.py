"""Tiles, pictures and readouts for the OpenAPI document: addresses from the modules' own lists, types from here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from service.routes import iiif, images, tiles

Json = dict[str, Any]
LINE: Final = re.compile(r"^ {4}(/(?:slides|iiif)/\S*) {2,}(.*)$", re.MULTILINE)
REFUSED: Final = (400, 401, 404, 405, 406, 409, 410, 412, 413, 422, 501, 503)

_INDEX: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 999_999}
_LEVEL: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 99}
_PLANE: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 65_534}
_PIXELS: Final[Json] = {"type": "number", "minimum": 0, "maximum": 999_999_999}
_FORMAT: Final[Json] = {"type": "string", "enum": ["jpg", "png", "webp"]}
IN_PATH: Final[dict[str, Json]] = {
    "sid": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
    "fmt": _FORMAT,
    "name": {"type": "string", "enum": ["thumbnail", "overview", "label"]},
    "region": {"type": "string", "pattern": "^(full|square|[0-9]{1,4},[0-9]{1,4},[0-9]{1,4},[0-9]{1,4})$"},
    "size": {"type": "string", "pattern": r"^(\^?max|pct:[0-9]{1,2}|!?[0-9]{1,3},[0-9]{1,3}|[0-9]{1,3},)$"},
    "rotation": {"type": "string", "pattern": "^!?[0-9]{1,3}$"},
    "quality": {"type": "string", "enum": ["default", "color", "gray", "bitonal"]},
    "dz_level": _LEVEL,
    "n": _LEVEL,
    "z": _LEVEL,
}
"""Parts of an address; what is not here counts something."""
IN_QUERY: Final[dict[str, Json]] = {
    "quality": {"type": "integer", "minimum": 1, "maximum": 100},
    "color": {"type": "string", "enum": ["raw", "srgb", "embed"]},
    "bg": {"type": "string", "pattern": "^[0-9A-Fa-f]{6}$"},
    "units": {"type": "string", "enum": ["px", "um", "mm"]},
    "level": _LEVEL,
    "width": {"type": "integer", "minimum": 16, "maximum": 1024},
    "fmt": _FORMAT,
    "channels": {"type": "string", "pattern": "^[0-9]{1,5}(,[0-9]{1,5}){0,63}$"},
    "window": {"type": "string", "pattern": "^[0-9]{1,5},[0-9]{1,5}(,[0-9]{1,5},[0-9]{1,5}){0,63}$"},
    "z": _PLANE,
    "t": _PLANE,
}
"""Parameters; what is not here is a number of pixels or micrometres."""
KINDS: Final = (
    (r".*/levels/\{n\}/.*", ("image/jpeg", "image/j2c", "application/octet-stream")),
    (r".*\{fmt\}|.*/region|.*/associated/\{name\}", ("image/jpeg", "image/png", "image/webp")),
    (r".*\.jpg|.*/thumbnail", ("image/jpeg",)),
    (r".*\.dzi|.*\.xml", ("application/xml",)),
    (r".*/info\.json", ("application/json", "application/ld+json")),
    (r".*/tissue", ("image/png",)),
    (r".*/icc", ("application/vnd.iccprofile",)),
    (r".*", ("application/json",)),
)
"""Content types by address; the first that fits counts."""
_VALIDATORS: Final = {name: {"schema": {"type": "string"}, "required": True} for name in ("ETag", "Cache-Control")}


def paths(refusals: Callable[[Iterable[int]], Json]) -> Json:
    """Every address with what it takes and answers."""
    return {address: {"get": _operation(address, text, refusals)} for address, text in _addresses()}


def _addresses() -> Iterator[tuple[str, str]]:
    for module in (tiles, images, iiif):
        for address, text in LINE.findall(module.__doc__ or ""):
            plain = address.partition("?")[0].replace("{r}.png", "{r}.{fmt}")
            yield plain, f"{text[0].upper()}{text[1:]}."


def _operation(address: str, text: str, refusals: Callable[[Iterable[int]], Json]) -> Json:
    names = re.findall(r"\{(\w+)\}", address)
    given = [{"in": "path", "name": n, "required": True, "schema": IN_PATH.get(n, _INDEX)} for n in names]
    given += [{"in": "query", "name": n, "schema": IN_QUERY.get(n, _PIXELS)} for n in sorted(_parameters(address))]
    return {
        "operationId": f"get {address}",
        "summary": text,
        "tags": ["tiles"],
        "parameters": given,
        "responses": {**_given(address), **refusals(REFUSED)},
    }


def _given(address: str) -> Json:
    if re.fullmatch(r"/iiif/\d/\{sid\}", address):
        return {"303": {"description": "Described elsewhere.", "headers": {"Location": {"schema": {"type": "string"}}}}}
    kinds = next(kinds for shape, kinds in KINDS if re.fullmatch(shape, address))
    content: Json = {kind: {"schema": {}} for kind in kinds}
    return {
        "200": {"description": "As asked.", "content": content, "headers": _VALIDATORS},
        "304": {"description": "Unchanged.", "headers": _VALIDATORS},
    }


def _parameters(address: str) -> frozenset[str]:
    """The query's names, asked of the route itself."""
    if address.endswith("{r}.jpg"):
        return frozenset()
    values = {"fmt": "png", "region": "full", "quality": "default", "name": "thumbnail"}
    filled = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "1"), address)
    routes = [route for route in images.ROUTES if route.pattern.fullmatch(filled)]
    return routes[0].parameters if routes else frozenset()
