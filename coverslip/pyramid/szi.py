"""A pyramid as one file: a zip, nothing in it compressed, that holds a DeepZoom image.

    SZI     NAME/NAME.dzi   NAME/NAME_files/<dz_level>/<column>_<row>.jpg   NAME/scan-properties.xml
    zip     NAME.dzi        NAME_files/<dz_level>/<column>_<row>.jpg

The tiles are the very bytes that are served; those of a sparse pyramid are made on the way.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from coverslip.durable import flush, sync
from coverslip.errors import OutputExists
from coverslip.pyramid.partial import storage_errors
from coverslip.pyramid.read import Pyramid
from coverslip.pyramid.thumbnail import TileSource
from coverslip.pyramid.zipped import Member, zip_chunks, zip_length, zip_range

_PROPERTIES = (
    '<?xml version="1.0"?>\n<image xmlns="http://www.pathozoom.com/szi" version="1.0"><properties>'
    '<property><name>ImageWidth</name><value type="gint">{width}</value></property>'
    '<property><name>ImageHeight</name><value type="gint">{height}</value></property>'
    "</properties></image>\n"
)


def szi_length(pyramid: Pyramid, name: str) -> int | None:
    """Bytes of the SZI, from the index alone; None when some of its tiles are made on request."""
    return zip_length(_members(pyramid, name))


def szi_chunks(pyramid: Pyramid, name: str, tile: TileSource | None = None) -> Iterator[bytes]:
    """The SZI, piece by piece; the same pyramid and name make the same bytes. `tile` gives the pyramid's tiles.

    Raises StorageFailed and PyramidInvalid while reading.
    """
    return zip_chunks(_members(pyramid, name, tile))


def szi_range(pyramid: Pyramid, name: str, start: int, stop: int) -> Iterator[bytes]:
    """Bytes `start` to `stop` of an SZI whose length is known. Raises StorageFailed and PyramidInvalid."""
    return zip_range(partial(_members, pyramid, name), start, stop)


def dzi_zip_length(pyramid: Pyramid, name: str) -> int | None:
    """Bytes of the zip, from the index alone; None when some of its tiles are made on request."""
    return zip_length(_dzi_members(pyramid, name))


def dzi_zip_chunks(pyramid: Pyramid, name: str, tile: TileSource | None = None) -> Iterator[bytes]:
    """What `export_dzi` writes, as a zip, piece by piece. Raises StorageFailed and PyramidInvalid while reading."""
    return zip_chunks(_dzi_members(pyramid, name, tile))


def dzi_zip_range(pyramid: Pyramid, name: str, start: int, stop: int) -> Iterator[bytes]:
    """Bytes `start` to `stop` of a zip whose length is known. Raises StorageFailed and PyramidInvalid."""
    return zip_range(partial(_dzi_members, pyramid, name), start, stop)


def export_szi(pyramid: Pyramid, folder: Path, name: str) -> Path:
    """Write `name.szi` into `folder` and return its path. Raises OutputExists, StorageFailed, PyramidInvalid."""
    target = folder / f"{name}.szi"
    if target.exists():
        raise OutputExists(where="export")
    partial_file = folder / f".{name}.{secrets.token_hex(4)}.part"
    try:
        with storage_errors():
            folder.mkdir(parents=True, exist_ok=True)
            with partial_file.open("xb") as file:
                file.writelines(szi_chunks(pyramid, name))
                file.flush()
                flush(file.fileno())
            partial_file.replace(target)
            sync(folder)
    finally:
        partial_file.unlink(missing_ok=True)
    return target


def _members(pyramid: Pyramid, name: str, tile: TileSource | None = None) -> Iterator[Member]:
    size = pyramid.size
    yield _text(f"{name}/scan-properties.xml", _PROPERTIES.format(width=size.width, height=size.height))
    yield from _dzi_members(pyramid, f"{name}/{name}", tile)


def _dzi_members(pyramid: Pyramid, name: str, tile: TileSource | None = None) -> Iterator[Member]:
    tile = tile or pyramid.tile
    yield _text(f"{name}.dzi", pyramid.descriptor())
    for dz_level in range(pyramid.dz_levels):
        grid = pyramid.grid.grid(pyramid.grid.largest - dz_level)
        for row in range(grid.height):
            for column in range(grid.width):
                where = (dz_level, column, row)
                path = f"{name}_files/{dz_level}/{column}_{row}.jpg"
                yield Member(path, pyramid.tile_length(*where), partial(tile, *where))


def _text(path: str, content: str) -> Member:
    encoded = content.encode()
    return Member(path, len(encoded), lambda: encoded)
