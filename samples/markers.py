"""Identifiers inside stored tiles: marker segments, bytes behind the end of the picture, bytes between tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from samples.codecs import APP0, COM, behind_scan, dht, dqt, segment, with_j2k_comment, with_segments
from samples.identifiers import Kind, Planter
from samples.plants import exif_segment

EXIF_TILE, AFTER_END_TILE, GAP_TILE = 1, 17, 18
"""Tile 1 carries the Exif APP1; tile n the APPn; tile 16 a COM; these carry bytes behind EOI and behind the tile."""
HIDDEN: dict[int, tuple[str, Callable[..., bytes]]] = {
    2: ("unused DQT", with_segments), 3: ("unused DHT", with_segments), 4: ("late DHT", behind_scan),
    5: ("late COM", behind_scan), 6: ("late DQT", behind_scan),
}  # fmt: skip
"""What else some tiles carry: a name, and where its segment goes."""


@dataclass(slots=True)
class TilePlants:
    """Decorates the first tiles of each level; a slide with fewer tiles gets several plants in one."""

    planter: Planter
    codec: str
    tiles: tuple[int, ...]
    """Tiles per level."""
    ifds: tuple[str, ...]
    """What the IFD of each level is called."""

    def __call__(self, level: int, index: int, tile: bytes) -> tuple[bytes, bytes]:
        """The tile with whatever belongs into it, and the bytes after it."""
        place = f"{self.ifds[level]}/tiles"
        if index >= min(19, self.tiles[level]) or not self.planter.active:
            return tile, b""
        for number in range(index, 19, self.tiles[level]):
            tile = self._inside(place, number, tile)
        if self._falls(AFTER_END_TILE, level, index) and self._may_end_late(place):
            tile += self.planter.blob(f"{place}/after end", Kind.TEXT)
        gap = self._falls(GAP_TILE, level, index) and self.planter.wants(f"{place}/gap")
        return tile, self.planter.blob(f"{place}/gap", Kind.TEXT) if gap else b""

    def _falls(self, number: int, level: int, index: int) -> bool:
        return number % self.tiles[level] == index % self.tiles[level] and index <= number

    def _may_end_late(self, place: str) -> bool:
        """Raw pixels have no end: a byte more and libtiff refuses the tile."""
        return self.codec != "none" and self.planter.wants(f"{place}/after end")

    def _inside(self, place: str, number: int, tile: bytes) -> bytes:
        if self.codec in ("jpeg", "jpeg-ycbcr") and number <= 16:
            return self._hidden(place, number, self._jpeg(place, number, tile))
        if self.codec.startswith("j2k") and number in (0, 1):
            name = f"{place}/{('COM', 'tile-part COM')[number]}"
            if self.planter.wants(name):
                return with_j2k_comment(tile, self.planter.blob(name, Kind.PERSON), tile_part=number == 1)
        return tile

    def _hidden(self, place: str, number: int, tile: bytes) -> bytes:
        """Words where a decoder sees tables it does not need, and segments behind the scan."""
        name, put = HIDDEN.get(number, ("", with_segments))
        if not name or not self.planter.wants(f"{place}/{name}"):
            return tile
        words = self.planter.blob(f"{place}/{name}", Kind.NUMBER)
        made = {"DQT": partial(dqt, 2), "DHT": partial(dht, 2), "COM": partial(segment, COM)}[name.split()[-1]](words)
        return put(tile, made)

    def _jpeg(self, place: str, number: int, tile: bytes) -> bytes:
        name = f"{place}/COM" if number == 16 else f"{place}/APP{number}"
        if not self.planter.wants(name):
            return tile
        make: Callable[[Planter, str], bytes] = exif_segment if number == EXIF_TILE else Planter.blob
        marker = COM if number == 16 else APP0 + number
        return with_segments(tile, segment(marker, make(self.planter, name)), before_sos=number % 2 == 0)
