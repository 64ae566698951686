"""The clean slide's own levels and tiles, as they are stored: for readers that want the scanner's grid."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverslip.errors import StorageFailed, TileNotFound
from coverslip.geometry import Size
from coverslip.pyramid.scene import scene_of
from coverslip.pyramid.source import StoredLevel, pread
from coverslip.tiff.structure import open_tiff

MEDIA_TYPES: Final = {7: "image/jpeg", 33003: "image/j2c", 33005: "image/j2c", 34712: "image/j2c"}
"""TIFF compression → what a tile is by itself."""
UNNAMED: Final = "application/octet-stream"
_REMEMBERED: Final = 64
"""Planes whose tables are kept."""


@dataclass(frozen=True, slots=True)
class NativeLevel:
    """One stored level; number 0 is the largest."""

    size: Size
    tile: Size
    grid: Size
    downsample: float
    media_type: str
    bytes: int
    """Of all its tiles as stored."""


class Native:
    """Stored tiles of one clean slide. Safe to share between threads; the file closes with the last user."""

    def __init__(self, clean: Path) -> None:
        """Parse the slide's directories. Raises what opening a TIFF raises, StorageFailed when it cannot be read."""
        try:
            tiff = open_tiff(clean)
        except OSError as error:
            raise StorageFailed("the slide cannot be opened", where="slide") from error
        weakref.finalize(self, os.close, tiff.fd)
        self.scene: Final = scene_of(tiff)
        """What the planes are, and where they lie."""
        self.fd: Final = tiff.fd
        self._planes: dict[int, tuple[StoredLevel, ...]] = {}
        base = self.plane(0)[0].size
        self.levels: Final = tuple(_described(level, base) for level in self.plane(0))

    def plane(self, number: int) -> tuple[StoredLevel, ...]:
        """The stored levels of one plane, largest first. Raises DamagedSlide when a tile table lies."""
        found = self._planes.get(number)
        if found is None:
            found = tuple(sorted(self.scene.levels(number), key=lambda level: -level.size.width))
            self._planes[number] = found
            if len(self._planes) > _REMEMBERED:
                self._planes.pop(next(iter(self._planes)), None)
        return found

    def media_type(self, level: int, plane: int = 0) -> str:
        """What a tile of a level is by itself. Raises TileNotFound for a level that is not there."""
        return _media_type(self._level(level, plane))

    def tile(self, level: int, column: int, row: int, plane: int = 0) -> bytes:
        """The stored bytes; a JPEG with the tables its directory keeps apart in front, so that it is a whole file.

        Raises TileNotFound outside the grid and for a tile the scanner never wrote.
        """
        stored = self._level(level, plane)
        if not (0 <= column < stored.grid.width and 0 <= row < stored.grid.height):
            raise TileNotFound
        offset, length = stored.at(column, row)
        if not length:
            raise TileNotFound
        found = pread(self.fd, length, offset, stored.where)
        return stored.jpeg.blob + found[stored.jpeg.skip :] if stored.jpeg else found

    def _level(self, level: int, plane: int) -> StoredLevel:
        levels = self.plane(plane)
        if not 0 <= level < len(levels):
            raise TileNotFound
        return levels[level]


def _described(level: StoredLevel, base: Size) -> NativeLevel:
    count = int(level.counts.sum())
    return NativeLevel(level.size, level.tile, level.grid, base.width / level.size.width, _media_type(level), count)


def _media_type(level: StoredLevel) -> str:
    showable = MEDIA_TYPES.get(level.directory.compression, UNNAMED)
    return UNNAMED if showable == "image/jpeg" and level.jpeg is None else showable
