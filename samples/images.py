"""The tags of one image in a TIFF: what every reader needs, without identifiers."""

from __future__ import annotations

from collections.abc import Sequence

from coverslip.geometry import Size
from samples.codecs import COM, COMPRESSION, Encoder, dht, dqt, segment, with_segments
from samples.identifiers import Kind, Planter
from samples.pictures import strips
from samples.tiffmaker import Tag, TiffMaker, Tiles, blob, long, short
from samples.tissue import Pixels

SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}


def dimensions(size: Size) -> list[Tag]:
    """Width and height, as short as they fit."""
    make = long if max(size.width, size.height) > 0xFFFF else short
    return [make(256, size.width), make(257, size.height)]


def pixel_tags(size: Size, encode: Encoder, tables: bytes | None = None) -> list[Tag]:
    """Dimensions, bits, compression, colour; JPEGTables when the codec has them."""
    photometric = 6 if encode.codec == "jpeg-ycbcr" else 2
    found = [*dimensions(size), short(258, 8, 8, 8), short(259, COMPRESSION[encode.codec]), short(262, photometric)]
    found += [short(277, 3), short(284, 1)]
    if encode.predictor != 1:
        found.append(short(317, encode.predictor))
    if encode.is_jpeg:
        found.append(blob(347, tables if tables is not None else encode.tables()))
        # Aperio writes 2 2 even over RGB, where it means nothing.
        found.append(short(530, *(SUBSAMPLING[encode.subsampling] if photometric == 6 else (2, 2))))
    return found


def tile_tags(maker: TiffMaker, tile: Size, tiles: Tiles) -> list[Tag]:
    """Tile size, offsets and byte counts."""
    places = [maker.pointers(324, tiles.offsets), maker.pointers(325, tiles.counts)]
    return [short(322, tile.width), short(323, tile.height), *places]


def strip_tags(maker: TiffMaker, pixels: Pixels, rows: int, encode: Encoder, planter: Planter, ifd: str) -> list[Tag]:
    """Store a picture in strips; the first strip carries a comment, or bytes behind its end."""
    stored = Tiles(maker.file)
    for index, band in enumerate(strips(pixels, rows)):
        data = encode(band)
        stored.append(_with_comment(data, encode, planter, ifd) if index == 0 else data)
    places = [maker.pointers(273, stored.offsets), maker.pointers(279, stored.counts), short(278, rows)]
    return [*pixel_tags(Size(pixels.shape[1], pixels.shape[0]), encode, planted_tables(encode, planter, ifd)), *places]


def _with_comment(data: bytes, encode: Encoder, planter: Planter, ifd: str) -> bytes:
    place = f"{ifd}/strips/{'COM' if encode.is_jpeg else 'after end'}"
    if not planter.wants(place):
        return data
    words = planter.blob(place, Kind.PERSON)
    return with_segments(data, segment(COM, words)) if encode.is_jpeg else data + words


def planted_tables(encode: Encoder, planter: Planter, ifd: str) -> bytes | None:
    """JPEGTables with a COM, an APP5, tables nobody uses and one defined anew; None for codecs without tables."""
    if not encode.is_jpeg:
        return None
    tables = encode.tables()
    for marker, name in ((COM, "COM"), (0xE5, "APP5")):
        if planter.wants(f"{ifd}/JPEGTables/{name}"):
            added = segment(marker, planter.blob(f"{ifd}/JPEGTables/{name}", Kind.TEXT))
            tables = tables[:2] + added + tables[2:]
    for name, number, make in (("unused DQT", 3, dqt), ("unused DHT", 3, dht), ("overridden DQT", 0, dqt)):
        if planter.wants(f"{ifd}/JPEGTables/{name}"):
            hidden = make(number, planter.blob(f"{ifd}/JPEGTables/{name}", Kind.NUMBER))
            tables = tables[:2] + hidden + tables[2:]
    return tables


def subfile(kind: int) -> Tag:
    """NewSubfileType: 0 full, 1 reduced (Aperio: label), 9 Aperio's macro."""
    return long(254, kind)


def without(tags: Sequence[Tag], *codes: int) -> list[Tag]:
    """The tags but for some codes."""
    return [tag for tag in tags if tag.code not in codes]
