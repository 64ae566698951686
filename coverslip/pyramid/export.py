"""A pyramid as a folder any web server can hand out: tiles are copied, never decoded."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from coverslip.durable import sync
from coverslip.errors import OutputExists
from coverslip.pyramid.partial import storage_errors
from coverslip.pyramid.read import Pyramid


def export_dzi(pyramid: Pyramid, folder: Path, name: str) -> Path:
    """Write `name.dzi` and `name_files/<dz_level>/<column>_<row>.jpg` into `folder`; return the descriptor's path.

    The tiles appear under their name when all are there, the descriptor after them. Raises OutputExists, StorageFailed.
    """
    descriptor, tiles = folder / f"{name}.dzi", folder / f"{name}_files"
    if descriptor.exists() or tiles.exists():
        raise OutputExists(where="export")
    partial = folder / f".{name}_files.{secrets.token_hex(4)}.part"
    try:
        with storage_errors():
            partial.mkdir(parents=True)
        _write_tiles(pyramid, partial)
        with storage_errors():
            partial.replace(tiles)
            descriptor.write_text(pyramid.descriptor(), encoding="utf-8")
            sync(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return descriptor


def _write_tiles(pyramid: Pyramid, folder: Path) -> None:
    for dz_level in range(pyramid.dz_levels):
        level = folder / str(dz_level)
        grid = pyramid.grid.grid(pyramid.grid.largest - dz_level)
        with storage_errors():
            level.mkdir()
            for row in range(grid.height):
                for column in range(grid.width):
                    (level / f"{column}_{row}.jpg").write_bytes(pyramid.tile(dz_level, column, row))
