"""OME-TIFF: z-stacks, channels and moments as pages, levels as SubIFDs, pictures of the glass as further images."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
import numpy.typing as npt

from coverslip.geometry import Size
from coverslip.slide import Plane
from samples import ome_words, plants
from samples.codecs import COMPRESSION, Encoder, j2k, jpeg_ycbcr, packed, split
from samples.icc import profile
from samples.identifiers import Encoding, Facts, Identifier, Kind, Planted, Planter, place_for
from samples.images import dimensions, subfile, tile_tags
from samples.markers import TilePlants
from samples.pictures import label, macro
from samples.tiffmaker import Tag, TiffMaker, Tiles, blob, rational, short, text
from samples.tissue import Tissue

Array = npt.NDArray[Any]
"""8 or 16 bits unsigned, height × width, or × 3."""
Style = Literal["one", "each", "bare"]
CENTIMETRE = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of slide."""

    size: Size
    codec: str
    bits: int
    rgb: bool
    tile: Size
    downsamples: tuple[int, ...]
    mpp: float | None
    order: str
    """Byte order: `<` or `>`."""
    seed: int

    @property
    def samples(self) -> int:
        """Per pixel."""
        return 3 if self.rgb else 1


def write(
    path: Path,
    size: Size,
    *,
    z: int = 1,
    channels: int = 1,
    t: int = 1,
    rgb: bool = False,
    bits: int = 16,
    codec: str = "deflate",
    dimensions: str = "XYCZT",
    style: Style = "one",
    beside: Collection[str] = (),
    beside_first: bool = False,
    bigtiff: bool = False,
    order: Literal["<", ">"] = "<",
    tile: int = 256,
    downsamples: Sequence[int] = (1, 2, 4),
    mpp: float | None = 0.5,
    z_step: float | None = 1.5,
    identifiers: bool = True,
    omit: Collection[str] = (),
    seed: int = 0,
) -> Planted:
    """Write one slide and the list of what is planted in it.

    `codec` is jpeg (8 bits), deflate, lzw, none or j2k; `dimensions` the order of the pages' axes, fastest first;
    `style` how TiffData tells of them; `beside` names pictures of the glass (label, macro), in front of the planes if
    `beside_first`. `path` may be a folder.
    """
    planter = Planter(seed, identifiers, omit)
    path = place_for(path, seed, ".ome.tiff")
    steps = tuple(by for by in downsamples if min(size.width, size.height) // by >= 1)
    options = Options(size, codec, 8 if rgb else bits, rgb, Size(tile, tile), steps, mpp, order, seed)
    planes = in_order(dimensions, z, channels, t)
    first = len(beside) if beside_first else 0
    told = ome_words.Told(
        size, planes, first, dimensions, f"uint{options.bits}", options.samples, mpp, z_step if z > 1 else None, style,
        order == "<",
    )  # fmt: skip
    with TiffMaker(path, big=bigtiff, order=order) as maker:
        _Writer(maker, options, planter, told, tuple(beside), path.name).run(beside_first=beside_first)
    named = [Identifier("file/name", path.stem, Encoding.ASCII, Kind.FILE_NAME)] if path.stem.startswith("ZQ-") else []
    opens = codec != "j2k" and (order == "<" or bigtiff) and not beside_first
    sizes = tuple((size.width // by, size.height // by) for by in steps)
    seen = sizes[:1] if opens else sizes  # OpenSlide 4.0.1 does not look into SubIFDs
    facts = Facts("generic-tiff", seen, (tile, tile), codec, mpp, None, openslide_opens=opens)
    return Planted(path, (*planter.found, *named), facts).save()


def in_order(dimensions: str, z: int, channels: int, t: int) -> tuple[Plane, ...]:
    """All planes, the first axis after X and Y fastest."""
    counts = {"Z": z, "C": channels, "T": t}
    axes = dimensions[2:][::-1]
    found = (dict(zip(axes, at, strict=True)) for at in product(*(range(counts[axis]) for axis in axes)))
    return tuple(Plane(at["Z"], at["C"], at["T"]) for at in found)


def pixels(options_size: Size, plane: Plane, *, bits: int = 16, rgb: bool = False, seed: int = 0) -> Array:
    """What one plane shows at full size: the same tissue, shifted and scaled so that no two planes are alike."""
    tissue = Tissue(options_size, seed, 0.6)
    rows = [
        np.hstack([tissue.crop(x, y, min(1024, options_size.width - x), min(1024, options_size.height - y))
                   for x in range(0, options_size.width, 1024)])
        for y in range(0, options_size.height, 1024)
    ]  # fmt: skip
    colour = np.roll(np.vstack(rows), (7 * plane.z, 11 * plane.t), (0, 1))
    if rgb:
        return colour
    light = 255 - colour[..., plane.channel % 3]
    if bits == 8:
        return np.asarray(np.minimum(light.astype(np.uint16) * (10 - plane.z % 5) // 10, 255), dtype=np.uint8)
    return np.asarray(
        light.astype(np.uint16) * (9 + plane.channel) + 100 * (plane.channel + 1) + 13 * plane.z, np.uint16
    )


def reduced(array: Array, factor: int) -> Array:
    """The mean of `factor` × `factor` pixels; what does not fill one is cut off."""
    height, width = (side // factor for side in array.shape[:2])
    cut = array[: height * factor, : width * factor].astype(np.float64)
    blocks = cut.reshape(height, factor, width, factor, *array.shape[2:])
    return np.asarray(np.rint(blocks.mean(axis=(1, 3))), dtype=array.dtype)


class _Writer:
    """Writes the planes with their levels, and the pictures beside them."""

    def __init__(
        self, maker: TiffMaker, options: Options, planter: Planter, told: ome_words.Told, beside: tuple[str, ...],
        name: str,
    ) -> None:  # fmt: skip
        self._maker, self._options, self._planter, self._told, self._beside = maker, options, planter, told, beside
        self._encode = Encoder("jpeg-ycbcr" if options.codec == "jpeg" else options.codec)
        own = 0 if told.first == 0 else len(beside)
        self._words = ome_words.Words(planter, name, own)
        self._name = name

    def run(self, *, beside_first: bool) -> None:
        """All pages in order; the block stands in the first of them."""
        told, first = self._told, self._told.first
        pictures = [
            self._picture(kind, at + (0 if beside_first else len(told.planes))) for at, kind in enumerate(self._beside)
        ]
        images = [
            ome_words.beside(
                at if beside_first else at + 1, ifd, Size(array.shape[1], array.shape[0]), name, self._words.uuid
            )
            for at, (ifd, array, name) in enumerate(pictures)
        ]
        block = self._words.block(told, () if beside_first else images, images if beside_first else ())
        description = text(270, block)
        if beside_first:
            self._strips(pictures, description)
        for at, plane in enumerate(told.planes):
            self._plane(plane, first + at, description if first + at == 0 else None)
        if not beside_first:
            self._strips(pictures, None)
        if self._planter.wants("file/tail"):
            self._maker.write(self._planter.blob("file/tail", Kind.TEXT))

    def _picture(self, kind: str, ifd: int) -> tuple[int, Array, str]:
        words = [
            self._planter.text(f"ifd[{ifd}]/image", Kind.PERSON, Encoding.PIXELS) if self._planter.active else kind
        ]
        size = self._options.size
        tissue = Tissue(size, self._options.seed, 0.6).crop(0, 0, 300, 200)
        wide, high = size.width // 3, size.height // 2
        paper = label(words, min(150, wide), min(180, high)) if kind == "label" else None
        shown = macro(words, tissue, min(420, 2 * wide), min(140, size.height * 3 // 4)) if paper is None else paper
        return ifd, shown, f"{kind} image" if kind in ("label", "macro") else kind

    def _strips(self, pictures: Sequence[tuple[int, Array, str]], description: Tag | None) -> None:
        """Each picture as one deflated strip."""
        for number, (ifd, array, _) in enumerate(pictures):
            stored = Tiles(self._maker.file)
            stored.append(zlib.compress(array.tobytes()))
            size = Size(array.shape[1], array.shape[0])
            places = [self._maker.pointers(273, stored.offsets), self._maker.pointers(279, stored.counts)]
            found = [subfile(0), *dimensions(size), short(258, 8, 8, 8), short(259, 8), short(262, 2), short(277, 3)]
            own = [description] if description and number == 0 else []
            more = plants.tags(self._planter, self._maker, f"ifd[{ifd}]") if self._planter.active else []
            self._maker.ifd([*found, short(278, size.height), short(284, 1), *places, *own, *more])

    def _plane(self, plane: Plane, ifd: int, description: Tag | None) -> None:
        options = self._options
        full = pixels(options.size, plane, bits=options.bits, rgb=options.rgb, seed=options.seed)
        levels = [reduced(full, by) if by > 1 else full for by in options.downsamples]
        names = [f"ifd[{ifd}]", *(f"ifd[{ifd}]/SubIFDs[{number}]" for number in range(len(levels) - 1))]
        grids = [Size(level.shape[1], level.shape[0]).ceil_div(options.tile).area for level in levels]
        decorate = TilePlants(self._planter, self._encode.codec, tuple(grids), tuple(names))
        tiles = [self._tiles(level, number, decorate) for number, level in enumerate(levels)]
        below = [
            self._maker.ifd(self._tags(levels[number], tiles[number], number, names[number]), link=False)
            for number in range(1, len(levels))
        ]
        own = [description] if description else []
        pointers = [self._maker.pointers(330, below)] if below else []
        self._maker.ifd([*self._tags(levels[0], tiles[0], 0, names[0]), *pointers, *own])

    def _tiles(self, level: Array, number: int, decorate: TilePlants) -> Tiles:
        stored, side = Tiles(self._maker.file), self._options.tile.width
        height, width = level.shape[:2]
        wide = ((0, -height % side), (0, -width % side), *[(0, 0)] * (level.ndim - 2))
        padded = np.pad(level, wide, mode="edge")
        for y in range(0, height, side):
            for x in range(0, width, side):
                data = self._encoded(np.ascontiguousarray(padded[y : y + side, x : x + side]))
                stored.append(*decorate(number, len(stored.offsets), data))
        return stored

    def _encoded(self, tile: Array) -> bytes:
        match self._options.codec:
            case "jpeg":
                return split(_jpeg(tile))[1]
            case "j2k":
                return j2k(tile, 60 if tile.dtype == np.uint8 else 80, mct=self._options.rgb)
            case codec:
                wide = tile if tile.dtype == np.uint8 else tile.astype(f"{self._options.order}u2")
                return packed(wide, codec)

    def _tags(self, level: Array, tiles: Tiles, number: int, ifd: str) -> list[Tag]:
        options, samples = self._options, self._options.samples
        jpeg = options.codec == "jpeg"
        photometric = (6 if jpeg else 2) if options.rgb else 1
        found = [subfile(int(number > 0)), *dimensions(Size(level.shape[1], level.shape[0]))]
        found += [
            short(258, *[options.bits] * samples),
            short(259, COMPRESSION[options.codec]),
            short(262, photometric),
        ]
        found += [short(277, samples), short(284, 1), short(339, *[1] * samples)]
        found += [*tile_tags(self._maker, options.tile, tiles), *_resolution(options, number)]
        if jpeg:
            found.append(blob(347, split(_jpeg(np.zeros((16, 16, 3)[: 2 + options.rgb], np.uint8)))[0]))
            found += [short(530, 2, 2)] if options.rgb else []
        if self._planter.active:
            found += plants.tags(self._planter, self._maker, ifd)
            found += [blob(34675, profile(self._planter, f"{ifd}/ICC"))] if options.rgb else []
        return found


def _jpeg(tile: Array) -> bytes:
    return jpeg_ycbcr(tile, 80) if tile.ndim == 3 else bytes(imagecodecs.jpeg8_encode(tile, 80))


def _resolution(options: Options, number: int) -> list[Tag]:
    if options.mpp is None:
        return []
    per_centimetre = round(10_000 / (options.mpp * options.downsamples[number]) * 1000)
    return [rational(282, per_centimetre, 1000), rational(283, per_centimetre, 1000), short(296, CENTIMETRE)]
