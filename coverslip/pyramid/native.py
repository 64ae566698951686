"""The clean slide's own levels and tiles, as they are stored: for readers that want the scanner's grid."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverslip.errors import StorageFailed, TileNotFound
from coverslip.geometry import Size
from coverslip.pyramid.source import StoredLevel, levels_of, pread
from coverslip.tiff.structure import open_tiff

MEDIA_TYPES: Final = {7: "image/jpeg", 33003: "image/j2c", 33005: "image/j2c", 34712: "image/j2c"}
"""TIFF compression → what a tile is by itself."""
UNNAMED: Final = "application/octet-stream"


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
            try:
                self._stored = sorted(levels_of(tiff), key=lambda level: -level.size.width)
            finally:
                tiff.close()
            self._fd = os.open(clean, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageFailed("the slide cannot be opened", where="slide") from error
        weakref.finalize(self, os.close, self._fd)
        base = self._stored[0].size
        self.levels: Final = tuple(_described(level, base) for level in self._stored)

    def tile(self, level: int, column: int, row: int) -> bytes:
        """The stored bytes; a JPEG with the tables its directory keeps apart in front, so that it is a whole file.

        Raises TileNotFound outside the grid and for a tile the scanner never wrote.
        """
        if not 0 <= level < len(self._stored):
            raise TileNotFound
        stored = self._stored[level]
        if not (0 <= column < stored.grid.width and 0 <= row < stored.grid.height):
            raise TileNotFound
        offset, length = stored.at(column, row)
        if not length:
            raise TileNotFound
        found = pread(self._fd, length, offset, stored.where)
        return stored.jpeg.blob + found[stored.jpeg.skip :] if stored.jpeg else found


def _described(level: StoredLevel, base: Size) -> NativeLevel:
    showable = MEDIA_TYPES.get(level.directory.compression, UNNAMED)
    media_type = UNNAMED if showable == "image/jpeg" and level.jpeg is None else showable
    count = int(level.counts.sum())
    return NativeLevel(level.size, level.tile, level.grid, base.width / level.size.width, media_type, count)
