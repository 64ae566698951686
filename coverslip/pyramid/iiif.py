"""IIIF Image API: what an address asks for, its canonical form, and what `info.json` promises.

Source: IIIF Image API 3.0 and 2.1.1, sections 4 (parameters), 4.7/4.8 (canonical form), 5 (info.json). Level 2 without
upscaling. Where 3.0 leaves a choice: a size beyond the region is an error also for `!w,h`, as the validator asks.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from coverslip.errors import AddressInvalid, FeatureUnsupported
from coverslip.geometry import Point, Region, Size, TileIndex
from coverslip.pyramid.colour import Format
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.regions import aligned

PROTOCOL: Final = "http://iiif.io/api/image"
CONTEXTS: Final = {2: f"{PROTOCOL}/2/context.json", 3: f"{PROTOCOL}/3/context.json"}
PROFILES: Final = {2: f"{PROTOCOL}/2/level2.json", 3: f"{PROTOCOL}/3/level2.json"}
MAX_SIDE: Final = 8192
"""Longest side of an answer: also keeps a turned strip from becoming a huge square."""

_WHOLE: Final = {2: "full", 3: "max"}
_FEATURES: Final = ("canonicalLinkHeader", "mirroring", "profileLinkHeader", "rotationArbitrary")
_INTEGER: Final = r"([0-9]{1,9})"
_FLOAT: Final = r"([0-9]{1,9}(?:\.[0-9]{0,10})?|\.[0-9]{1,10})"
_PIXELS: Final = re.compile(",".join([_INTEGER] * 4), re.ASCII)
_SHARE: Final = re.compile("pct:" + ",".join([_FLOAT] * 4), re.ASCII)
_SIZE: Final = re.compile(rf"(\^)?(?:(max|full)|pct:{_FLOAT}|(!)?{_INTEGER}?,{_INTEGER}?)", re.ASCII)
_ROTATION: Final = re.compile(rf"(!)?{_FLOAT}", re.ASCII)


class Quality(StrEnum):
    """What happens to the colours."""

    DEFAULT = "default"
    COLOR = "color"
    GRAY = "gray"
    BITONAL = "bitonal"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one answer may be."""

    area: int
    side: int = MAX_SIDE

    def allow(self, size: Size) -> bool:
        """Whether an answer of that size is given."""
        return size.area <= self.area and max(size.width, size.height) <= self.side

    def within(self, size: Size) -> Size:
        """The largest size of the same proportions that is allowed."""
        scale = min(1.0, math.sqrt(self.area / size.area), self.side / size.width, self.side / size.height)
        return Size(max(1, math.floor(size.width * scale)), max(1, math.floor(size.height * scale)))


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A parsed and bounded request."""

    full: Size
    region: Region
    size: Size
    """Before rotation."""
    mirrored: bool
    rotation: float
    """Degrees clockwise, 0 ≤ rotation < 360, after mirroring."""
    quality: Quality
    format: Format

    def canonical(self, version: int) -> str:
        """The one address of this picture, from the region on (3.0 §4.7, 2.1 §4.8)."""
        turn = f"{self.rotation:.10f}".rstrip("0").rstrip(".")
        return (
            f"{self._region()}/{self._size(version)}/{'!' if self.mirrored else ''}{turn}/"
            f"{Quality.DEFAULT if self.quality is Quality.COLOR else self.quality}.{self.format}"
        )

    def _region(self) -> str:
        at, size = self.region.origin, self.region.size
        return "full" if size == self.full else f"{at.x},{at.y},{size.width},{size.height}"

    def _size(self, version: int) -> str:
        if self.size == self.region.size:
            return _WHOLE[version]
        if version == 2 and _height_for(self.region.size, self.size.width) == self.size.height:
            return f"{self.size.width},"
        return f"{self.size.width},{self.size.height}"

    def tile(self, zoom: DeepZoom) -> TileIndex | None:
        """The served tile that is exactly the answer, if there is one; `level` counts halvings here."""
        plain = self.quality in (Quality.DEFAULT, Quality.COLOR) and not self.mirrored and self.rotation == 0
        if not plain or self.format is not Format.JPG:
            return None
        reduction = aligned(zoom, self.region, self.size)
        if reduction is None:
            return None
        step = zoom.tile << reduction
        column, row = self.region.origin.x // step, self.region.origin.y // step
        on_grid = self.region.origin.x % step == 0 and self.region.origin.y % step == 0
        return (
            TileIndex(reduction, column, row) if on_grid and zoom.extent(reduction, column, row) == self.size else None
        )


def plain_tile(
    zoom: DeepZoom, version: int, region: tuple[int, int, int, int], width: int, height: int | None
) -> tuple[TileIndex, str] | None:
    """The served tile and its canonical address when region and size, as whole numbers, ask for one; None otherwise.

    What viewers ask nearly always, in a fiftieth of the time `parse` takes for the rest. `level` counts halvings.
    """
    x, y, across, down = region
    across, down = min(across, zoom.size.width - x), min(down, zoom.size.height - y)
    if width < 1 or across < 1 or down < 1:
        return None
    reduction = (-(-across // width) - 1).bit_length()
    side, reduced = zoom.tile << reduction, (-(-across >> reduction), -(-down >> reduction))
    whole = (min(side, zoom.size.width - x), min(side, zoom.size.height - y))
    if x % side or y % side or (across, down) != whole or (width, height or reduced[1]) != reduced:
        return None
    where = "full" if (across, down) == (zoom.size.width, zoom.size.height) else f"{x},{y},{across},{down}"
    size = f"{width}," if version == 2 else f"{width},{reduced[1]}"
    size = size if reduction else _WHOLE[version]
    return TileIndex(reduction, x // side, y // side), f"{where}/{size}/0/default.jpg"


def parse(version: int, full: Size, limits: Limits, untrusted: tuple[str, str, str, str, str]) -> ImageRequest:
    """Understand region, size, rotation, quality and format.

    Raises AddressInvalid for what does not parse or does not exist, FeatureUnsupported for upscaling.
    """
    region_text, size_text, rotation_text, quality_text, format_text = untrusted
    region = _region_of(region_text, full)
    size = _size_of(version, size_text, region.size, limits)
    mirrored, rotation = _rotation_of(rotation_text)
    if quality_text not in set(Quality) or format_text not in set(Format):
        raise AddressInvalid("quality is default, color, gray or bitonal; format is jpg, png or webp", where="quality")
    if rotation % 90 and (size.width + size.height) ** 2 > 4 * limits.area:
        raise AddressInvalid("turned like that the picture would be larger than allowed", where="rotation")
    return ImageRequest(full, region, size, mirrored, rotation, Quality(quality_text), Format(format_text))


def _region_of(text: str, full: Size) -> Region:
    if text == "full":
        return Region(Point(0, 0), full)
    if text == "square":
        side = min(full.width, full.height)
        return Region(Point((full.width - side) // 2, (full.height - side) // 2), Size(side, side))
    if found := _PIXELS.fullmatch(text):
        x, y, width, height = (int(number) for number in found.groups())
    elif found := _SHARE.fullmatch(text):
        left, top, across, down = (float(number) / 100 for number in found.groups())
        x, y = round(left * full.width), round(top * full.height)
        width = max(1, round(across * full.width)) if across else 0
        height = max(1, round(down * full.height)) if down else 0
    else:
        raise AddressInvalid("the region does not parse", where="region")
    if not width or not height or x >= full.width or y >= full.height:
        raise AddressInvalid("the region holds no pixel of the picture", where="region")
    return Region(Point(x, y), Size(min(width, full.width - x), min(height, full.height - y)))


def _size_of(version: int, text: str, region: Size, limits: Limits) -> Size:
    found = _SIZE.fullmatch(text)
    if found is None or (version == 3 and found[2] == "full") or (version == 2 and found[1]):
        raise AddressInvalid("the size does not parse", where="size")
    if found[1]:
        raise FeatureUnsupported("pictures are not enlarged", where="size")
    size = _asked(version, found, region, limits)
    if size.width > region.width or size.height > region.height:
        raise AddressInvalid("the size is larger than the region", where="size")
    if not limits.allow(size):
        raise AddressInvalid("the size is larger than maxArea, maxWidth or maxHeight", where="size")
    return size


def _asked(version: int, found: re.Match[str], region: Size, limits: Limits) -> Size:
    _, word, share, confined, width, height = found.groups()
    if word:
        return limits.within(region) if word == "max" else region
    if share:
        scale = float(share) / 100
        if not 0 < scale <= 1:
            raise AddressInvalid("a share of the size is above 0 and at most 100", where="size")
        return Size(max(1, round(region.width * scale)), max(1, round(region.height * scale)))
    if confined and width and height:
        return _confined(version, Size(int(width), int(height)), region, limits)
    if (
        confined
        or not (width or height)
        or "0" in {(width or "1").lstrip("0") or "0", (height or "1").lstrip("0") or "0"}
    ):
        raise AddressInvalid("the size does not parse", where="size")
    if not height:
        return Size(int(width), _height_for(region, int(width)))
    if not width:
        turned = _height_for(Size(region.height, region.width), int(height))
        return Size(turned, int(height))
    return Size(int(width), int(height))


def _confined(version: int, box: Size, region: Size, limits: Limits) -> Size:
    scale = min(box.width / region.width, box.height / region.height)
    if not scale or (scale > 1 and version == 3):
        raise AddressInvalid("the size is larger than the region, or nothing", where="size")
    scale = min(scale, 1.0)
    return limits.within(Size(max(1, round(region.width * scale)), max(1, round(region.height * scale))))


def _height_for(region: Size, width: int) -> int:
    """The height that goes with a width: for power-of-two scales what a tile at the edge has, else the nearest."""
    halvings = max(0, (region.width // max(1, width)).bit_length() - 1)
    for reduction in (halvings, halvings + 1):
        if region.halved(reduction).width == width:
            return region.halved(reduction).height
    return max(1, round(region.height * width / region.width))


def _rotation_of(text: str) -> tuple[bool, float]:
    found = _ROTATION.fullmatch(text)
    if found is None or float(found[2]) > 360:
        raise AddressInvalid("the rotation is 0 to 360, after `!` for mirrored", where="rotation")
    return bool(found[1]), float(found[2]) % 360


def info(version: int, address: str, zoom: DeepZoom, limits: Limits, rights: str = "") -> dict[str, Any]:
    """The `info.json` of a picture that lives at `address`."""
    promised = {
        "width": zoom.size.width,
        "height": zoom.size.height,
        "sizes": _sizes(zoom, limits),
        "tiles": _tiles(zoom),
    }
    limited = {"maxArea": limits.area, "maxWidth": limits.side, "maxHeight": limits.side}
    qualities = [str(quality) for quality in Quality if quality is not Quality.DEFAULT]
    if version == 3:
        found: dict[str, Any] = {"@context": CONTEXTS[3], "id": address, "type": "ImageService3", "protocol": PROTOCOL}
        found |= {"profile": "level2", **promised, **limited}
        found |= {"preferredFormats": ["jpg"], "extraFormats": ["webp"], "extraQualities": qualities}
        return found | {"extraFeatures": list(_FEATURES), **({"rights": rights} if rights else {})}
    more: dict[str, Any] = {
        "formats": [str(f) for f in Format],
        "qualities": ["default", *qualities],
        "supports": list(_FEATURES),
    }
    found = {
        "@context": CONTEXTS[2],
        "@id": address,
        "protocol": PROTOCOL,
        "profile": [PROFILES[2], {**more, **limited}],
    }
    return found | promised | ({"license": rights} if rights else {})


def _sizes(zoom: DeepZoom, limits: Limits) -> list[dict[str, int]]:
    """The whole picture at each scale factor, smallest first, as far as the limits allow."""
    sizes = [zoom.reduced(reduction) for reduction in reversed(range(_scales(zoom)))]
    return [{"width": size.width, "height": size.height} for size in sizes if limits.allow(size)]


def _tiles(zoom: DeepZoom) -> list[dict[str, Any]]:
    factors = [1 << reduction for reduction in range(_scales(zoom))]
    return [{"width": zoom.tile, "height": zoom.tile, "scaleFactors": factors}]


def _scales(zoom: DeepZoom) -> int:
    """How many scale factors are worth naming: down to the level that fits one tile."""
    return next((r + 1 for r in range(zoom.levels) if zoom.grid(r) == Size(1, 1)), zoom.levels)
