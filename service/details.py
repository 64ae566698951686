"""All that is told of one slide: what the catalogue knows, and what only its files can say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from starlette.concurrency import run_in_threadpool

from coverslip.archive.records import SlideRecord
from coverslip.archive.states import READABLE
from coverslip.errors import NotFound, StorageFailed
from coverslip.geometry import Size
from coverslip.pyramid import Pyramid
from coverslip.pyramid.native import Native
from service.parts import Service
from service.schemas import LevelOut, PlanesOut, SlideDetail
from service.shelf import Opened, file_of

CODECS: Final = {"image/jpeg": "jpeg", "image/j2c": "jpeg2000"}
"""Media type of a stored tile → what its codec is called."""


async def detail_of(service: Service, slide: SlideRecord) -> SlideDetail:
    """The slide with its levels, codec and colour profile; without them while it has no files."""
    settings = service.settings
    told = {"licence": settings.license_url or None, "doi": settings.cite_as or None}
    if slide.state not in READABLE:
        return SlideDetail.of(slide, **told)
    try:
        opened = await service.shelf.find(slide.sid)
        facts = await run_in_threadpool(_facts, service, opened)
    except (NotFound, StorageFailed):  # it is being moved: the rest is true all the same
        return SlideDetail.of(slide, **told)
    return SlideDetail.of(slide, **told, **facts)


def _facts(service: Service, opened: Opened) -> dict[str, object]:
    """What the files say; a clean slide in a bucket is not fetched for it, so that only its pyramid speaks."""
    pyramid = opened.pyramid
    if pyramid is None:
        return {}
    told: dict[str, object] = {"planes": PlanesOut.of(pyramid.stack), "tile_size": pyramid.tile_size}
    if file_of(service.archive, opened.slide, opened.slide.clean_name).path is None:
        return {**told, "levels": list(_served(pyramid, frozenset()))}
    sources = service.sources()
    native = sources.native(opened)
    return {
        **told,
        "levels": sorted([*_own(native), *_made(pyramid, native)], key=lambda level: -level.width),
        "codec": CODECS.get(native.levels[0].media_type),
        "icc": sources.profile(opened) is not None,
    }


def _own(native: Native) -> Iterator[LevelOut]:
    for index, level in enumerate(native.levels):
        yield _level(index, level.size, level.tile, level.downsample, native=True, count=level.bytes)


def _made(pyramid: Pyramid, native: Native) -> Iterator[LevelOut]:
    return _served(pyramid, frozenset(level.size for level in native.levels))


def _served(pyramid: Pyramid, others: frozenset[Size]) -> Iterator[LevelOut]:
    """Deep zoom's levels but for `others`, which a slide's own may miss by a pixel."""
    zoom, tile = pyramid.grid, Size(pyramid.tile_size, pyramid.tile_size)
    for reduction in range(zoom.levels):
        size = zoom.reduced(reduction)
        near = any(abs(size.width - o.width) <= 1 and abs(size.height - o.height) <= 1 for o in others)
        if not near:
            own = pyramid.stored(zoom.largest - reduction, 0, 0)
            yield _level(None, size, tile, zoom.size.width / size.width, native=own, count=None)


def _level(
    index: int | None, size: Size, tile: Size, downsample: float, *, native: bool, count: int | None
) -> LevelOut:
    return LevelOut(
        index=index,
        width=size.width,
        height=size.height,
        downsample=downsample,
        tile_w=tile.width,
        tile_h=tile.height,
        native=native,
        bytes=count,
    )
