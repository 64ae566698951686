"""Tiled pyramidal TIFF without a vendor, in every codec and both byte orders, and its cousin OME-TIFF."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coverslip.geometry import Size
from samples import plants
from samples.codecs import Encoder
from samples.icc import profile
from samples.identifiers import Encoding, Facts, Identifier, Kind, Planted, Planter, place_for
from samples.images import pixel_tags, planted_tables, subfile, tile_tags
from samples.markers import TilePlants
from samples.pyramid import Builder, Built
from samples.tiffmaker import Tag, TiffMaker, Tiles, blob, rational, short, text
from samples.tissue import Tissue

Pyramid = Literal["chain", "subifds"]
CENTIMETRE = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of TIFF."""

    encode: Encoder
    tile: Size
    downsamples: tuple[int, ...]
    pyramid: Pyramid
    mpp: float | None
    ome: bool


def write(
    path: Path,
    size: Size,
    *,
    codec: str = "jpeg-ycbcr",
    quality: int = 70,
    subsampling: str = "420",
    predictor: int = 1,
    bigtiff: bool = False,
    order: Literal["<", ">"] = "<",
    tile: int = 256,
    downsamples: Sequence[int] = (1, 2, 4),
    pyramid: Pyramid = "chain",
    mpp: float | None = 0.5,
    ome: bool = False,
    identifiers: bool = True,
    omit: Collection[str] = (),
    seed: int = 0,
    tissue_share: float = 0.5,
    repeated_blank: bool = False,
) -> Planted:
    """Write one slide and the list of what is planted in it.

    `codec` is jpeg (RGB), jpeg-ycbcr, deflate, lzw, none or j2k; `mpp` goes into the resolution tags; `ome` puts
    OME-XML into ImageDescription. `path` may be a folder, as for `aperio.write`.
    """
    planter = Planter(seed, identifiers, omit)
    path = place_for(path, seed, ".ome.tiff" if ome else ".tiff")
    steps = tuple(by for by in downsamples if min(size.width, size.height) // by >= 1)
    encode = Encoder(codec, quality, subsampling, predictor)
    options = Options(encode, Size(tile, tile), steps, pyramid, mpp, ome)
    with TiffMaker(path, big=bigtiff, order=order) as maker:
        _write(maker, options, planter, Tissue(size, seed, tissue_share, repeated_blank))
    sizes = tuple((size.width // by, size.height // by) for by in steps)
    # OpenSlide 4.0.1 does not look into SubIFDs, knows no 34712, and takes no big-endian TIFF unless it is a BigTIFF.
    opens = codec != "j2k" and (order == "<" or bigtiff)
    seen = sizes if pyramid == "chain" else sizes[:1]
    named = (
        [Identifier("file/name", path.name.split(".")[0], Encoding.ASCII, Kind.FILE_NAME)]
        if path.name.startswith("ZQ-")
        else []
    )
    facts = Facts("generic-tiff", seen, (tile, tile), codec, mpp, None, openslide_opens=opens)
    return Planted(path, (*planter.found, *named), facts).save()


def _write(maker: TiffMaker, options: Options, planter: Planter, tissue: Tissue) -> None:
    counts = tuple(
        Size(tissue.size.width // by, tissue.size.height // by).ceil_div(options.tile).area
        for by in options.downsamples
    )
    encode = options.encode
    names = tuple(_name(options, number) for number in range(len(counts)))
    decorate = TilePlants(planter, encode.codec, counts, names)
    folder = Path(str(maker.file.name)).parent
    base = maker.tiles()
    built = Builder(tissue, options.tile, options.downsamples, encode, base, folder, decorate=decorate).run()
    if options.pyramid == "chain":
        for number in range(len(built.sizes)):
            maker.ifd(_level(maker, options, planter, built, number, names[number]))
    else:
        below = [
            maker.ifd(_level(maker, options, planter, built, number, names[number]), link=False)
            for number in range(1, len(built.sizes))
        ]
        maker.ifd([*_level(maker, options, planter, built, 0, "ifd[0]"), maker.pointers(330, below)])
    if planter.wants("file/tail"):
        maker.write(planter.blob("file/tail", Kind.TEXT))


def _name(options: Options, number: int) -> str:
    if number == 0 or options.pyramid == "chain":
        return f"ifd[{number}]"
    return f"ifd[0]/SubIFDs[{number - 1}]"


def _level(maker: TiffMaker, options: Options, planter: Planter, built: Built, number: int, ifd: str) -> list[Tag]:
    tiles: Tiles = built.tiles[0] if number == 0 else maker.adopt(built.tiles[number])
    size = built.sizes[number]
    tables = planted_tables(options.encode, planter, ifd)
    found = [subfile(int(number > 0)), *pixel_tags(size, options.encode, tables)]
    found += [*tile_tags(maker, options.tile, tiles), *_resolution(options.mpp, built.sizes[0].width / size.width)]
    if options.ome and number == 0:
        found.append(text(270, ome_xml(options, built.sizes[0], planter)))
    elif planter.wants(f"{ifd}/ImageDescription"):
        found.append(text(270, planter.text(f"{ifd}/ImageDescription", Kind.PERSON)))
    if planter.active:
        found += plants.tags(planter, maker, ifd)
        found.append(blob(34675, profile(planter, f"{ifd}/ICC")))
    return found


def _resolution(mpp: float | None, downsample: float) -> list[Tag]:
    if mpp is None:
        return []
    per_centimetre = round(10_000 / (mpp * downsample) * 1000)
    return [rational(282, per_centimetre, 1000), rational(283, per_centimetre, 1000), short(296, CENTIMETRE)]


def ome_xml(options: Options, size: Size, planter: Planter) -> str:
    """OME-XML of one RGB image, an identifier in every attribute and element that can hold words."""
    place = "ifd[0]/ImageDescription/OME"

    def words(name: str, kind: Kind = Kind.STAFF) -> str:
        return planter.text(f"{place}/{name}", kind) if planter.wants(f"{place}/{name}") else ""

    mpp = f'PhysicalSizeX="{options.mpp}" PhysicalSizeY="{options.mpp}" ' if options.mpp is not None else ""
    date = f"<AcquisitionDate>{planter.date(f'{place}/AcquisitionDate', '%Y-%m-%dT%H:%M:%S')}</AcquisitionDate>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{words("UUID", Kind.NUMBER)}" Creator="{words("Creator")}">'
        f'<Experimenter ID="Experimenter:0" FirstName="{words("FirstName")}" LastName="{words("LastName")}" '
        f'Email="{words("Email")}" Institution="{words("Institution", Kind.PLACE)}" UserName="{words("UserName")}"/>'
        f'<Instrument ID="Instrument:0"><Microscope SerialNumber="{words("SerialNumber", Kind.DEVICE)}"/></Instrument>'
        f'<Image ID="Image:0" Name="{words("Image Name", Kind.PERSON)}">{date if planter.active else ""}'
        f"<Description>{words('Image Description', Kind.PERSON)}</Description>"
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{size.width}" SizeY="{size.height}" '
        f'SizeC="3" SizeZ="1" SizeT="1" {mpp}Interleaved="true"><Channel ID="Channel:0:0" SamplesPerPixel="3" '
        f'Name="{words("Channel Name", Kind.TEXT)}"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image>'
        '<StructuredAnnotations><XMLAnnotation ID="Annotation:0"><Value><OriginalMetadata><Key>Filename</Key>'
        f"<Value>{words('OriginalMetadata/Filename', Kind.FILE_NAME)}</Value></OriginalMetadata></Value>"
        "</XMLAnnotation></StructuredAnnotations></OME>"
    )
