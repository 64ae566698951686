"""IIIF: pictures (Image API 3.0 and 2.1, level 2) and manifests (Presentation API 3.0).

    /iiif/3/{sid}                                              the picture's base address: see info.json
    /iiif/3/{sid}/info.json                                    IIIF Image 3.0: sizes, tiles, limits
    /iiif/3/{sid}/{region}/{size}/{rotation}/{quality}.{fmt}   IIIF Image 3.0: jpg, png or webp
    /iiif/2/{sid}                                              the same for version 2.1
    /iiif/2/{sid}/info.json                                    IIIF Image 2.1: sizes, tiles, limits
    /iiif/2/{sid}/{region}/{size}/{rotation}/{quality}.{fmt}   IIIF Image 2.1: jpg, png or webp
    /iiif/presentation/3/slides/{sid}/manifest                 IIIF Presentation 3.0: one canvas with the slide

A request for one of the announced tiles is answered with the stored bytes; everything else is derived.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from PIL import Image, ImageColor, ImageOps

from coverslip.pyramid import iiif
from coverslip.pyramid.colour import Encoding, Format, encode
from coverslip.pyramid.display import Display
from service.asking import Answer, Ask, How, Route, SeeOther, document, encoding_of, ground_of, served_tile
from service.planes import PARAMETERS, Shown, region_of, shown_of

LD_JSON: Final = "application/ld+json"
RECODED: Final = frozenset({"quality", "color"})
_SID = r"(?P<sid>[A-Za-z0-9-]{1,64})"
_TURNS: Final = {
    90: Image.Transpose.ROTATE_270,  # Pillow turns against the clock, IIIF with it
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


def limits(ask: Ask) -> iiif.Limits:
    """What one picture may be."""
    return iiif.Limits(ask.settings.region_pixels)


def _address(ask: Ask, version: int) -> str:
    return f"{ask.base}/iiif/{version}/{ask.sid}"


async def base(ask: Ask) -> SeeOther:
    """The base address describes nothing itself (Image API 3.0, 2.1)."""
    return SeeOther(f"{_address(ask, int(ask.part['version']))}/info.json")


async def info(ask: Ask) -> Answer:
    """`info.json`, as JSON-LD for who asks for it."""
    version = int(ask.part["version"])
    content = iiif.info(version, _address(ask, version), ask.pyramid.grid, limits(ask), ask.settings.license_url)
    linked = LD_JSON in ask.accept
    media_type = f'{LD_JSON};profile="{iiif.CONTEXTS[version]}"' if linked else "application/json"
    found = document(ask, f"info-{version}-{linked}", content, media_type)
    return Answer(found.key, found.media_type, found.make, found.how, (("vary", "Accept"),))


async def image(ask: Ask) -> Answer:
    """A picture: stored bytes where a tile is exactly what was asked for."""
    version, last = int(ask.part["version"]), ask.part["last"]
    quality, _, untrusted_format = last.rpartition(".")
    asked = (ask.part["region"], ask.part["size"], ask.part["rotation"], quality, untrusted_format)
    request = iiif.parse(version, ask.pyramid.size, limits(ask), asked)
    canonical = request.canonical(version)
    links = f'<{iiif.PROFILES[version]}>; rel="profile", <{_address(ask, version)}/{canonical}>; rel="canonical"'
    headers = (("link", links),)
    tile = request.tile(ask.pyramid.grid)
    shown, ground = await shown_of(ask), ground_of(ask)
    if tile is not None and not RECODED & set(ask.untrusted_query) and shown.display == Display():
        return served_tile(ask, shown.picture, tile, headers)
    encoding = encoding_of(ask, str(request.format))
    bare = ground if request.rotation % 90 else None  # where nothing is left bare a ground shows nowhere
    made = partial(_drawn, ask, request, encoding, shown, bare)
    key = f"{canonical} {encoding.key}{shown.key}{bare or ''}"
    return Answer(key, request.format.media_type, made, How.DERIVE, headers)


def _drawn(ask: Ask, request: iiif.ImageRequest, encoding: Encoding, shown: Shown, ground: str | None) -> bytes:
    picture = region_of(ask, shown, request.region, request.size)
    picture = _turned(ImageOps.mirror(picture) if request.mirrored else picture, request, ground)
    match request.quality:
        case iiif.Quality.GRAY:
            picture = picture.convert("LA" if picture.mode == "RGBA" else "L")
        case iiif.Quality.BITONAL:
            picture = picture.convert("L").point(lambda value: 255 if value > 127 else 0).convert("1")
        case _:
            pass
    return encode(picture, encoding, ask.profile(encoding))


def _turned(picture: Image.Image, request: iiif.ImageRequest, ground: str | None) -> Image.Image:
    """Turned clockwise: by right angles without touching a pixel, else on the ground asked for.

    Where none was: on nothing where that exists, or on black, because the corners are then no glass, and because the
    validator of the protocol expects it.
    """
    if request.rotation in _TURNS:
        return picture.transpose(_TURNS[int(request.rotation)])
    if not request.rotation:
        return picture
    clear = ground is None and request.format is not Format.JPG and request.quality is not iiif.Quality.BITONAL
    ready = picture.convert("RGBA") if clear else picture
    bare = (0, 0, 0, 0) if clear else ImageColor.getrgb(ground or "#000000")
    return ready.rotate(-request.rotation, Image.Resampling.BICUBIC, expand=True, fillcolor=bare)


async def manifest(ask: Ask) -> Answer:
    """A manifest that Mirador and other viewers open: the slide, its size, its scale."""
    here = f"{ask.base}/iiif/presentation/3/slides/{ask.sid}"
    content: dict[str, Any] = {
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "id": f"{here}/manifest",
        "type": "Manifest",
        "label": {"none": [ask.sid]},
        "metadata": _metadata(ask),
        "thumbnail": [{"id": f"{ask.base}/slides/{ask.sid}/thumbnail", "type": "Image", "format": "image/jpeg"}],
        "items": [_canvas(ask, here)],
    }
    if ask.settings.license_url:
        content["rights"] = ask.settings.license_url
    return document(ask, "manifest", content)


def _canvas(ask: Ask, here: str) -> dict[str, Any]:
    size = {"width": ask.pyramid.size.width, "height": ask.pyramid.size.height}
    service = {"id": _address(ask, 3), "type": "ImageService3", "profile": "level2"}
    picture = {"id": f"{_address(ask, 3)}/full/max/0/default.jpg", "type": "Image", "format": "image/jpeg"}
    painting = {
        "id": f"{here}/annotation/1",
        "type": "Annotation",
        "motivation": "painting",
        "target": f"{here}/canvas/1",
    }
    painting |= {"body": {**picture, **size, "service": [service]}}  # type: ignore[dict-item]
    page = {"id": f"{here}/page/1", "type": "AnnotationPage", "items": [painting]}
    return {"id": f"{here}/canvas/1", "type": "Canvas", **size, "items": [page]}


def _metadata(ask: Ask) -> list[dict[str, Any]]:
    slide = ask.opened.slide
    facts = [
        ("Micrometres per pixel", f"{slide.mpp_x:g} × {slide.mpp_y:g}" if slide.mpp else None),
        ("Magnification", f"{slide.magnification:g}×" if slide.magnification else None),
        ("Cite as", ask.settings.cite_as or None),
    ]
    return [{"label": {"en": [name]}, "value": {"none": [value]}} for name, value in facts if value]


ROUTES: Final = (
    Route(re.compile(rf"/iiif/(?P<version>[23])/{_SID}"), base),
    Route(re.compile(rf"/iiif/(?P<version>[23])/{_SID}/info\.json"), info),
    Route(
        re.compile(
            rf"/iiif/(?P<version>[23])/{_SID}/(?P<region>[^/]{{1,80}})/(?P<size>[^/]{{1,80}})"
            r"/(?P<rotation>[^/]{1,40})/(?P<last>[^/]{1,80})"
        ),
        image,
        RECODED | PARAMETERS | {"bg"},
    ),
    Route(re.compile(rf"/iiif/presentation/3/slides/{_SID}/manifest"), manifest),
)
