"""Identifiers inside stored tiles: marker segments, bytes behind the end of the picture, bytes between tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from samples.codecs import APP0, COM, segment, with_j2k_comment, with_segments
from samples.identifiers import Kind, Planter
from samples.plants import exif_segment

EXIF_TILE, AFTER_END_TILE, GAP_TILE = 1, 17, 18
"""Tile 1 carries the Exif APP1; tile n the APPn; tile 16 a COM; these carry bytes behind EOI and behind the tile."""


@dataclass(slots=True)
class TilePlants:
    """Decorates the first tiles of each level; a slide with fewer tiles gets several plants in one."""

    planter: Planter
    is_jpeg: bool
    is_j2k: bool
    tiles: tuple[int, ...]
    """Tiles per level."""
    ifds: tuple[int, ...]
    """IFD number of each level."""
    _byte_tail: bytes = field(default=b"", init=False)

    def __call__(self, level: int, index: int, tile: bytes) -> tuple[bytes, bytes]:
        """The tile with whatever belongs into it, and the bytes after it."""
        place = f"ifd[{self.ifds[level]}]/tiles"
        if index >= min(19, self.tiles[level]) or not self.planter.active:
            return tile, b""
        for number in range(index, 19, self.tiles[level]):
            tile = self._inside(place, number, tile)
        after = any(number == AFTER_END_TILE for number in range(index, 19, self.tiles[level]))
        if after and self.planter.wants(f"{place}/after end"):
            tile += self.planter.blob(f"{place}/after end", Kind.TEXT)
        gap = any(number == GAP_TILE for number in range(index, 19, self.tiles[level]))
        return tile, self._gap(f"{place}/gap") if gap else b""

    def _gap(self, place: str) -> bytes:
        return self.planter.blob(place, Kind.TEXT) if self.planter.wants(place) else b""

    def _inside(self, place: str, number: int, tile: bytes) -> bytes:
        if self.is_jpeg and number <= 16:
            return self._jpeg(place, number, tile)
        if self.is_j2k and number in (0, 1):
            name = f"{place}/{('COM', 'tile-part COM')[number]}"
            if self.planter.wants(name):
                return with_j2k_comment(tile, self.planter.blob(name, Kind.PERSON), tile_part=number == 1)
        return tile

    def _jpeg(self, place: str, number: int, tile: bytes) -> bytes:
        name = f"{place}/COM" if number == 16 else f"{place}/APP{number}"
        if not self.planter.wants(name):
            return tile
        make: Callable[[Planter, str], bytes] = exif_segment if number == EXIF_TILE else Planter.blob
        marker = COM if number == 16 else APP0 + number
        return with_segments(tile, segment(marker, make(self.planter, name)), before_sos=number % 2 == 0)
