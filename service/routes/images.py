"""Tiles under other addresses, regions and readouts: a bare ASGI application beside `service.routes.tiles`.

    /slides/{sid}_files/{dz_level}/{c}_{r}.png                 a DeepZoom tile as png or webp, or with parameters
    /slides/{sid}/levels                                       the slide's own levels and grids
    /slides/{sid}/levels/{n}/tiles/{c}/{r}                     a tile of the slide's own grid, in its stored codec
    /slides/{sid}/tilejson.json                                TileJSON for Leaflet, OpenLayers and others
    /slides/{sid}/zxy/{z}/{x}/{y}.{fmt}                        a slippy-map tile; `z` 0 is one tile, edges are filled up
    /slides/{sid}/zoomify/ImageProperties.xml                  Zoomify's descriptor
    /slides/{sid}/zoomify/TileGroup{g}/{z}-{x}-{y}.jpg         a Zoomify tile
    /slides/{sid}/region                                       pixels of a rectangle, scaled down
    /slides/{sid}/pixel                                        one pixel of the largest level
    /slides/{sid}/histogram                                    how often each value occurs, per channel
    /slides/{sid}/tissue                                       where there is tissue, as a black and white png
    /slides/{sid}/icc                                          the slide's colour profile
    /slides/{sid}/associated                                   what other pictures the policy kept
    /slides/{sid}/associated/{name}                            one of them

Whoever may see a slide is decided by the same code as for tiles. Nothing here asks the catalogue by itself.
"""

from __future__ import annotations

import io
import re
from functools import partial
from typing import Final

import orjson
from PIL import Image

from coverslip.errors import NotFound
from coverslip.geometry import Point, Region, Size, TileIndex
from coverslip.pyramid import zoomify, zxy
from coverslip.pyramid.colour import Colour, Encoding, Format, encode
from coverslip.pyramid.display import Display
from coverslip.pyramid.readouts import histogram, histograms, tissue
from coverslip.pyramid.regions import decoded_tile, pixels_of_level
from coverslip.pyramid.thumbnail import thumbnail
from service.asking import Answer, Ask, How, Route, document, encoding_of, ground_of, number, served_tile, whole_number
from service.crews import FETCHING
from service.errors import Malformed, TooLarge
from service.planes import PARAMETERS, PLANES, Shown, carried, plane_of, region_of, shown_of
from service.routes import iiif
from service.thumbnails import USUAL, WIDTHS, widened

DERIVED: Final = iiif.RECODED | PARAMETERS | {"bg"}
OVERVIEW_SIDE: Final = 1024
"""Pixels of the longer side that histogram and tissue look at."""
MICROMETRES: Final = {"um": 1.0, "mm": 1000.0}
_SLIDE: Final = r"/slides/(?P<sid>[A-Za-z0-9-]{1,64})"


async def deepzoom_tile(ask: Ask) -> Answer:
    """A DeepZoom tile in another form; without parameters a JPEG is the stored one."""
    grid = ask.pyramid.grid
    tile = TileIndex(grid.largest - int(ask.part["level"]), int(ask.part["column"]), int(ask.part["row"]))
    return await _tile(ask, tile, encoding_of(ask, ask.part["fmt"]))


async def descriptor(ask: Ask) -> Answer:
    """The DeepZoom descriptor of some planes: the same document, since viewers carry its query to the tiles."""
    shown = await shown_of(ask)
    return Answer(f"dzi {shown.key}", "application/xml", ask.pyramid.descriptor().encode, How.AT_ONCE)


async def thumbnail_of(ask: Ask) -> Answer:
    """The whole slide, small: some planes of it."""
    width = widened(whole_number(ask, "width", range(WIDTHS[0], WIDTHS[-1] + 1), USUAL))
    shown = await shown_of(ask)

    def make() -> bytes:
        small = thumbnail(shown.picture.grid, shown.picture.tile, width)
        return _displayed(small, shown.display)

    return Answer(f"thumbnail {width} {shown.key}", Format.JPG.media_type, make)


def _displayed(jpeg: bytes, display: Display) -> bytes:
    if display == Display():
        return jpeg
    return encode(display.applied(Image.open(io.BytesIO(jpeg))), Encoding())


async def zxy_tile(ask: Ask) -> Answer:
    """A slippy-map tile of full size."""
    tile = zxy.tile_at(ask.pyramid.grid, int(ask.part["z"]), int(ask.part["x"]), int(ask.part["y"]))
    ground = ground_of(ask) or "#ffffff"
    encoding = encoding_of(ask, ask.part["fmt"])
    if zxy.whole(ask.pyramid.grid, tile):
        return await _tile(ask, tile, encoding)
    shown = await shown_of(ask)
    key = f"zxy {tile} {ground} {encoding.key}{shown.key}"
    return Answer(key, encoding.format.media_type, partial(_filled_up, ask, tile, ground, encoding, shown))


async def zoomify_tile(ask: Ask) -> Answer:
    """A Zoomify tile, cropped at the edge as DeepZoom's."""
    group, tier, x, y = (int(ask.part[name]) for name in ("group", "z", "x", "y"))
    return await _tile(ask, zoomify.tile_of(ask.pyramid.grid, group, tier, x, y), encoding_of(ask, "jpg"))


async def _tile(ask: Ask, tile: TileIndex, encoding: Encoding) -> Answer:
    """A served tile: bytes as they are served where nothing is done to them; a ground shows nowhere.

    Raises TileNotFound.
    """
    ground_of(ask)
    shown = await shown_of(ask)
    served = served_tile(ask, shown.picture, tile)
    if encoding.format is Format.JPG and not iiif.RECODED & set(ask.untrusted_query) and shown.display == Display():
        return served
    make = partial(_recoded, ask, tile, encoding, shown)
    return Answer(f"{served.key} {encoding.key}{shown.display.key}", encoding.format.media_type, make)


def _recoded(ask: Ask, tile: TileIndex, encoding: Encoding, shown: Shown) -> bytes:
    pixels = decoded_tile(shown.picture, tile.level, tile.column, tile.row)
    return encode(shown.display.applied(Image.fromarray(pixels)), encoding, ask.profile(encoding))


def _filled_up(ask: Ask, tile: TileIndex, ground: str, encoding: Encoding, shown: Shown) -> bytes:
    side = ask.pyramid.tile_size
    picture = Image.fromarray(decoded_tile(shown.picture, tile.level, tile.column, tile.row))
    canvas = Image.new("RGB", (side, side), ground)
    canvas.paste(shown.display.applied(picture), (0, 0))
    return encode(canvas, encoding, ask.profile(encoding))


async def tilejson(ask: Ask) -> Answer:
    """TileJSON; its addresses ask for the same planes."""
    await shown_of(ask)
    address = f"{ask.base}/slides/{ask.sid}/zxy/{{z}}/{{x}}/{{y}}.jpg{carried(ask)}"
    return document(ask, "tilejson", zxy.tilejson(ask.pyramid.grid, address))


async def zoomify_properties(ask: Ask) -> Answer:
    """Zoomify's descriptor."""
    return Answer("zoomify", "application/xml", zoomify.properties(ask.pyramid.grid).encode, How.AT_ONCE)


async def levels(ask: Ask) -> Answer:
    """The slide's own levels."""

    def make() -> bytes:
        found = [
            {
                "index": index,
                "width": level.size.width,
                "height": level.size.height,
                "downsample": level.downsample,
                "tile_w": level.tile.width,
                "tile_h": level.tile.height,
                "columns": level.grid.width,
                "rows": level.grid.height,
                "type": level.media_type,
            }
            for index, level in enumerate(ask.sources.native(ask.opened).levels)
        ]
        return orjson.dumps({"levels": found})

    return Answer("levels", "application/json", make)


async def native_tile(ask: Ask) -> Answer:
    """A stored tile, untouched; its type is known once the slide's structure is."""
    level, column, row = (int(ask.part[name]) for name in ("level", "column", "row"))
    native, plane = await FETCHING.run(ask.sources.native, ask.opened), plane_of(ask)
    media_type = await FETCHING.run(native.media_type, level, plane)
    make = partial(native.tile, level, column, row, plane)
    return Answer(f"native {plane} {level} {column} {row}", media_type, make, How.READ)


async def region(ask: Ask) -> Answer:
    """Pixels of a rectangle, scaled down to a level, a resolution or a magnification."""
    scale = await _scale(ask)
    area = _rectangle(ask)
    target = Size(max(1, round(area.size.width / scale)), max(1, round(area.size.height / scale)))
    if target.area > ask.settings.region_pixels or max(target.width, target.height) > iiif.limits(ask).side:
        raise TooLarge("The region has more pixels at that scale than are given at once.")
    encoding, shown = encoding_of(ask, ask.untrusted_query.get("fmt", "jpg")), await shown_of(ask)
    ground_of(ask)  # a region lies wholly within the slide: it shows nowhere

    def make() -> bytes:
        return encode(region_of(ask, shown, area, target), encoding, ask.profile(encoding))

    return Answer(f"region {area} {target} {encoding.key}{shown.key}", encoding.format.media_type, make)


async def _scale(ask: Ask) -> float:
    """Pixels of the largest level per pixel of the answer, 1 or more."""
    given = [name for name in ("level", "mpp", "mag") if name in ask.untrusted_query]
    slide = ask.opened.slide
    match given:
        case []:
            return 1.0
        case ["level"]:
            native = await FETCHING.run(ask.sources.native, ask.opened)
            return native.levels[whole_number(ask, "level", range(len(native.levels)))].downsample
        case ["mpp"] if slide.mpp:
            scale = number(ask, "mpp") / slide.mpp.x
        case ["mag"] if slide.magnification:
            wanted = number(ask, "mag")
            scale = slide.magnification / wanted if wanted else 0.0
        case [name]:
            raise Malformed(f"The slide does not say its own {name}.")
        case _:
            raise Malformed("Give one of level, mpp and mag.")
    if scale < 1 - 1e-9:
        raise Malformed("Pictures are not enlarged.")
    return max(1.0, scale)


def _rectangle(ask: Ask) -> Region:
    """x, y, w, h in pixels of the largest level, or in micrometres or millimetres from the top left."""
    units, slide = ask.untrusted_query.get("units", "px"), ask.opened.slide
    if units not in ("px", *MICROMETRES):
        raise Malformed("units is px, um or mm.")
    if units != "px" and not slide.mpp:
        raise Malformed("The slide does not say its own resolution.")
    step = (
        (1.0, 1.0)
        if units == "px" or not slide.mpp
        else tuple(m / MICROMETRES[units] for m in (slide.mpp.x, slide.mpp.y))
    )
    x, width = (round(number(ask, name) / step[0]) for name in "xw")
    y, height = (round(number(ask, name) / step[1]) for name in "yh")
    full = ask.pyramid.size
    if not (width and height) or x + width > full.width or y + height > full.height:
        raise Malformed("The rectangle lies partly outside of the slide, or is empty.")
    return Region(Point(x, y), Size(width, height))


async def pixel(ask: Ask) -> Answer:
    """The colour of one pixel."""
    full, side, shown = ask.pyramid.size, ask.pyramid.tile_size, await shown_of(ask)
    x, y = whole_number(ask, "x", range(full.width)), whole_number(ask, "y", range(full.height))

    def make() -> bytes:
        tile = decoded_tile(shown.picture, 0, x // side, y // side)[y % side, x % side].reshape(1, 1, 3)
        rgb = list(shown.display.applied(Image.fromarray(tile)).tobytes())
        return orjson.dumps({"x": x, "y": y, "rgb": rgb})

    return Answer(f"pixel {x} {y} {shown.key}", "application/json", make)


async def histogram_of(ask: Ask) -> Answer:
    """A histogram of the whole slide at overview size: of the three samples, or of each channel."""
    shown = await shown_of(ask)

    def make() -> bytes:
        if not ask.pyramid.stack.joined:
            return orjson.dumps(histogram(pixels_of_level(shown.picture, OVERVIEW_SIDE)))
        grey = ((channel, ask.pyramid.plane(shown.z, channel, shown.t)) for channel in shown.channels)
        pixels = {channel: pixels_of_level(plane, OVERVIEW_SIDE)[..., 0] for channel, plane in grey}
        return orjson.dumps(histograms(ask.pyramid.stack, pixels))

    return Answer(f"histogram {shown.key}", "application/json", make)


async def tissue_of(ask: Ask) -> Answer:
    """Where there is tissue."""
    width = whole_number(ask, "width", range(16, OVERVIEW_SIDE + 1), OVERVIEW_SIDE)
    encoding, shown = Encoding(Format.PNG), await shown_of(ask)
    light = ask.pyramid.stack.of_light
    return Answer(
        f"tissue {width} {shown.key}",
        encoding.format.media_type,
        lambda: encode(tissue(pixels_of_level(shown.picture, width), light=light), encoding),
    )


async def icc(ask: Ask) -> Answer:
    """The colour profile; not found where the slide has none."""

    def make() -> bytes:
        found = ask.sources.profile(ask.opened)
        if found is None:
            raise NotFound
        return found

    return Answer("icc", "application/vnd.iccprofile", make)


async def associated(ask: Ask) -> Answer:
    """The names and sizes of the other pictures in the clean slide; what the policy removed is not there."""
    here = f"{ask.base}/slides/{ask.sid}/associated"

    def make() -> bytes:
        kept = ask.sources.associated(ask.opened)
        found = [{"name": n, "width": p.width, "height": p.height, "address": f"{here}/{n}"} for n, p in kept.items()]
        return orjson.dumps({"associated": found})

    return Answer(f"associated {ask.base}", "application/json", make)


async def associated_picture(ask: Ask) -> Answer:
    """One other picture."""
    name, encoding = ask.part["name"], encoding_of(ask, ask.untrusted_query.get("fmt", "jpg"))

    def make() -> bytes:
        kept = ask.sources.associated(ask.opened)
        if name not in kept:
            raise NotFound
        return encode(kept[name], Encoding(encoding.format, encoding.quality, Colour.RAW))

    return Answer(f"associated {name} {encoding.key}", encoding.format.media_type, make)


def _route(path: str) -> re.Pattern[str]:
    return re.compile(_SLIDE + path)


_N6, _FMT = "[0-9]{1,6}", "(?P<fmt>jpg|jpeg|png|webp)"
_XY = f"(?P<column>{_N6})/(?P<row>{_N6})"
ROUTES: Final = (
    Route(_route(r"\.dzi"), descriptor, PARAMETERS),
    Route(_route("/thumbnail"), thumbnail_of, PARAMETERS | {"width"}),
    Route(_route(rf"_files/(?P<level>[0-9]{{1,2}})/(?P<column>{_N6})_(?P<row>{_N6})\.{_FMT}"), deepzoom_tile, DERIVED),
    Route(_route(rf"/zxy/(?P<z>[0-9]{{1,2}})/(?P<x>{_N6})/(?P<y>{_N6})\.{_FMT}"), zxy_tile, DERIVED),
    Route(_route(rf"/levels/(?P<level>[0-9]{{1,3}})/tiles/{_XY}"), native_tile, PLANES | {"channels"}),
    Route(
        _route(rf"/zoomify/TileGroup(?P<group>[0-9]{{1,9}})/(?P<z>[0-9]{{1,2}})-(?P<x>{_N6})-(?P<y>{_N6})\.jpg"),
        zoomify_tile,
        DERIVED,
    ),
    *iiif.ROUTES,
    Route(_route("/region"), region, DERIVED | {"x", "y", "w", "h", "units", "level", "mpp", "mag", "fmt"}),
    Route(_route("/pixel"), pixel, PARAMETERS | {"x", "y"}),
    Route(_route("/tilejson.json"), tilejson, PARAMETERS),
    Route(_route("/zoomify/ImageProperties.xml"), zoomify_properties),
    Route(_route("/levels"), levels),
    Route(_route("/histogram"), histogram_of, PLANES | {"channels"}),
    Route(_route("/tissue"), tissue_of, PARAMETERS | {"width"}),
    Route(_route("/icc"), icc),
    Route(_route("/associated"), associated),
    Route(_route("/associated/(?P<name>[a-z]{1,16})"), associated_picture, iiif.RECODED | {"fmt"}),
)
