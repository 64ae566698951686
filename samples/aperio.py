"""Aperio SVS: base, thumbnail, further levels, label, macro, in the order and with the tags the scanner writes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from coverslip.geometry import Size
from samples import description, pictures, plants
from samples.codecs import Encoder
from samples.description import TRAPS, Scan
from samples.icc import profile
from samples.identifiers import Encoding, Facts, Identifier, Kind, Planted, Planter, place_for
from samples.images import pixel_tags, planted_tables, strip_tags, subfile, tile_tags
from samples.markers import TilePlants
from samples.pyramid import Builder, Built, Decorate
from samples.tiffmaker import Tag, TiffMaker, Tiles, blob, long, text
from samples.tissue import Pixels, Tissue

Variant = Literal["classic", "gt450"]

ASSOCIATED = ("label", "macro", "thumbnail")

BIG_FROM = 6_000_000_000
"""Pixels from which a file may pass 4 GiB."""


def write(
    path: Path,
    size: Size,
    *,
    codec: str = "jpeg",
    variant: Variant = "classic",
    bigtiff: bool | None = None,
    tile: int = 256,
    quality: int = 50,
    subsampling: str = "422",
    downsamples: Sequence[int] = (1, 4, 16),
    magnification: int = 40,
    identifiers: bool = True,
    omit: Collection[str] = (),
    traps: Collection[str] = TRAPS,
    seed: int = 0,
    tissue_share: float = 0.5,
    repeated_blank: bool = False,
) -> Planted:
    """Write one slide and the list of what is planted in it.

    `path` may be a folder: then the file's name is an identifier too. `codec` is jpeg, jpeg-ycbcr, j2k-ycbcr (33003) or
    j2k-rgb (33005). `omit` names parts of places where nothing is planted. `downsamples` below one pixel are left out.
    """
    planter = Planter(seed, identifiers, omit)
    path = place_for(path, seed, ".svs")
    scan = Scan(variant, size, Size(tile, tile), codec, quality, magnification, traps if identifiers else ())
    encode = Encoder(codec, quality, subsampling)
    big = size.area > BIG_FROM if bigtiff is None else bigtiff
    steps = tuple(by for by in downsamples if min(size.width, size.height) // by >= 1)
    with TiffMaker(path, big=big) as maker:
        _Slide(maker, scan, planter, encode, Tissue(size, seed, tissue_share, repeated_blank), steps).write()
        sizes = tuple((size.width // by, size.height // by) for by in steps)
        facts = Facts("aperio", sizes, (tile, tile), codec, float(scan.mpp), magnification, ASSOCIATED)
    return Planted(path, (*planter.found, *_names(path)), facts, tuple(scan.traps)).save()


def _names(path: Path) -> list[Identifier]:
    return (
        [Identifier("file/name", path.name.split(".")[0], Encoding.ASCII, Kind.FILE_NAME)]
        if path.name.startswith("ZQ-")
        else []
    )


class _Slide:
    """One file in the making."""

    def __init__(
        self, maker: TiffMaker, scan: Scan, planter: Planter, encode: Encoder, tissue: Tissue, steps: Sequence[int]
    ) -> None:
        self.maker, self.scan, self.planter, self.encode = maker, scan, planter, encode
        self.tissue, self.steps = tissue, steps
        self.count = 0

    def write(self) -> None:
        """Everything, front to back."""
        self.orphan("after header")
        built = self.build()
        self.orphan("before the first IFD")
        self.level(built, 0)
        self.thumbnail(built.miniature)
        for number in range(1, len(built.sizes)):
            self.level(built, number)
        self.label()
        self.macro(built.miniature)
        self.orphan_ifd()
        if self.planter.wants("file/tail"):
            self.maker.write(self.planter.blob("file/tail", Kind.TEXT))

    def build(self) -> Built:
        """Encode all tiles; those of the base level are in the file afterwards."""
        base = self.maker.tiles()
        builder = Builder(
            self.tissue, self.scan.tile, self.steps, self.encode, base, Path(str(self.maker.file.name)).parent,
            decorate=self.decorate(),
        )  # fmt: skip
        return builder.run()

    def decorate(self) -> Decorate:
        """What goes into the first tiles of each level."""
        sizes = [Size(self.scan.size.width // by, self.scan.size.height // by) for by in self.steps]
        counts = tuple(size.ceil_div(self.scan.tile).area for size in sizes)
        # The thumbnail is IFD 1, so reduced levels begin at 2.
        ifds = tuple(f"ifd[{number + 1 if number else 0}]" for number in range(len(sizes)))
        return TilePlants(self.planter, self.encode.codec, counts, ifds)

    def level(self, built: Built, number: int) -> None:
        """One tiled level."""
        ifd, size = self.ifd(), built.sizes[number]
        tiles: Tiles = built.tiles[number] if number == 0 else self.maker.adopt(built.tiles[number])
        found = [subfile(0), *pixel_tags(size, self.encode, planted_tables(self.encode, self.planter, ifd))]
        found += tile_tags(self.maker, self.scan.tile, tiles)
        found.append(text(270, description.level(self.scan, size, self.planter, ifd)))
        if number == 0:
            found += plants.hidden_image(self.planter, self.maker, ifd)
        self.close([*found, blob(34675, profile(self.planter, f"{ifd}/ICC"))], ifd)

    def thumbnail(self, pixels: Pixels) -> None:
        """JPEG strips of sixteen rows."""
        ifd, size = self.ifd(), Size(pixels.shape[1], pixels.shape[0])
        found = strip_tags(self.maker, pixels, 16, Encoder("jpeg", 75), self.planter, ifd)
        self.close([subfile(0), *found, text(270, description.thumbnail(self.scan, size, self.planter, ifd))], ifd)

    def label(self) -> None:
        """LZW strips with differences along the row; the words are in the pixels."""
        ifd = self.ifd()
        pixels = pictures.label(self.drawn(ifd))
        encode = Encoder("lzw", predictor=2)
        found = [subfile(1), *strip_tags(self.maker, pixels, 7, encode, self.planter, ifd)]
        self.close(found + self.name("label", pixels), ifd)

    def macro(self, miniature: Pixels) -> None:
        """JPEG strips; the label is in the picture."""
        ifd = self.ifd()
        pixels = pictures.macro(self.drawn(ifd), miniature)
        found = [subfile(9), *strip_tags(self.maker, pixels, 16, Encoder("jpeg", 75), self.planter, ifd)]
        self.close(found + self.name("macro", pixels), ifd)

    def name(self, name: str, pixels: Pixels) -> list[Tag]:
        """The description that says what a picture is, unless this scanner writes none."""
        silent = name == "label" and "label-without-description" in self.scan.traps
        if self.scan.variant == "gt450" or silent:
            return []
        return [text(270, description.associated(self.scan, name, Size(pixels.shape[1], pixels.shape[0])))]

    def drawn(self, ifd: str) -> list[str]:
        """What is written on the label."""
        if not self.planter.wants(f"{ifd}/image"):
            return ["no words"]
        return [self.planter.text(f"{ifd}/image", Kind.PERSON, Encoding.PIXELS) for _ in range(2)]

    def ifd(self) -> str:
        """The name of the IFD that comes next."""
        self.count += 1
        return f"ifd[{self.count - 1}]"

    def close(self, tags: list[Tag], ifd: str) -> None:
        """Add every identifier tag and write the IFD."""
        planted = plants.tags(self.planter, self.maker, ifd) if self.planter.active else []
        self.maker.ifd([*tags, *planted, long(32997, 1)])
        self.orphan(f"behind {ifd}")

    def orphan(self, where: str) -> None:
        """Bytes no structure owns."""
        place = f"file/orphan[{where}]"
        if self.planter.wants(place):
            self.maker.write(self.planter.blob(place, Kind.PERSON))

    def orphan_ifd(self) -> None:
        """An IFD nothing points to, as editors leave behind."""
        place = "file/orphan IFD/ImageDescription"
        if self.planter.wants(place):
            self.maker.ifd([long(254, 0), text(270, self.planter.text(place, Kind.PERSON))], link=False)
