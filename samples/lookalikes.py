"""Small slides of scanners that write nearly what Aperio writes, with an identifier in every place each of them has.

Source: the PHI map §3.2; for the forms, descriptions quoted in OpenSlide's issues 228 (Motic) and 260 (Huron) and
opentile's issue 105 (Grundium), ARGOS' own description of .avs, and Bio-Formats' of QPTIFF. Which picture stands where
follows those; what nobody has described is written as Aperio writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from coverslip.geometry import Size
from samples import pictures, plants
from samples.codecs import COM, Encoder, segment, with_segments
from samples.identifiers import Encoding, Facts, Identifier, Kind, Planted, Planter, place_for
from samples.images import pixel_tags, planted_tables, strip_tags, subfile
from samples.tiffmaker import ASCII, BYTE, Tag, TiffMaker, rational, short, text
from samples.tissue import Pixels, Tissue, shrunk

SIZE, STEP, TILE = Size(768, 512), 4, 128
MPP, MAGNIFICATION = "0.2500", 40
BASE, LEVEL, THUMBNAIL, LABEL, MACRO = "base", "level", "thumbnail", "label", "macro"
TILED = (BASE, LEVEL)
CLASSIC: Final = (BASE, THUMBNAIL, LEVEL, LABEL, MACRO)
PRIVATE_XML: Final = 65000


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes the words of one page, an identifier wherever there is room for one."""

    planter: Planter
    ifd: str
    kind: str
    size: Size

    def words(self, name: str, kind: Kind = Kind.NUMBER) -> str:
        """A canary of its own for this page and key."""
        place = f"{self.ifd}/{name}"
        return self.planter.text(place, kind) if self.planter.wants(place) else ""

    def date(self, name: str, form: str) -> str:
        """A date of the last century."""
        place = f"{self.ifd}/{name}"
        return self.planter.date(place, form) if self.planter.wants(place) else ""

    def packed(self, name: str) -> str:
        """A canary in base64."""
        place = f"{self.ifd}/{name}"
        wanted = self.planter.wants(place)
        return self.planter.blob(place, Kind.NUMBER, Encoding.BASE64).decode() if wanted else ""

    @property
    def geometry(self) -> str:
        """Aperio's second header line."""
        whole = f"{SIZE.width}x{SIZE.height}"
        if self.kind in (LABEL, MACRO):
            return f"{self.kind} {self.size.width}x{self.size.height}"
        arrow = "" if self.kind == BASE else f" -> {self.size.width}x{self.size.height}"
        return f"{whole} [0,0 {whole}] ({TILE}x{TILE}){arrow} JPEG/RGB Q=70"


@dataclass(frozen=True, slots=True)
class Look:
    """How one vendor's slides look."""

    suffix: str
    pages: tuple[str, ...]
    describe: Callable[[Pen], list[Tag]]
    """The tags of one page that hold words."""
    make: str = ""
    """What tag 271 begins with."""
    big: bool = False
    omit: tuple[str, ...] = ()
    """Places where the vendor's own words stand instead."""
    sort: bool = True
    """Whether tags stand in order, as TIFF wants them."""


def _described(words: str) -> list[Tag]:
    return [text(270, words)]


def _aperio_pairs(pen: Pen) -> str:
    """What all of them have in common: scale, and who, when and what."""
    return (
        f"|AppMag = {MAGNIFICATION}|MPP = {MPP}"
        f"|Filename = {pen.words('Filename')}|User = {pen.words('User', Kind.STAFF)}"
        f"|Date = {pen.date('Date', '%m/%d/%y')}|Time = {pen.date('Time', '%H:%M:%S')}|Title = {pen.words('Title')}"
    )


def _kfbio(pen: Pen) -> list[Tag]:
    """Aperio's header, and a barcode at the very end."""
    if pen.kind in (LABEL, MACRO):
        return _described(f"Aperio Image Library v10.0.51\r\n{pen.geometry}")
    pairs = (
        f"{_aperio_pairs(pen)}|ScanScope ID = {pen.words('ScanScope ID', Kind.DEVICE)}|Barcode = {pen.words('Barcode')}"
    )
    return _described(f"Aperio Image Library v10.0.51\r\n{pen.geometry}{pairs}")


def _motic(pen: Pen) -> list[Tag]:
    """One line, `Q = 75`, scale, and `Barcode` as the last key; labels are told by subfile type only."""
    if pen.kind in (LABEL, MACRO):
        return []
    whole = f"{pen.size.width}x{pen.size.height}"
    return _described(
        f"Motic V1.0.0 {whole} [0,0 {whole}] [{TILE}x{TILE}] JPEG/RGB Q = 75|AppMag = {MAGNIFICATION}|MPP = {MPP}"
        f"|Date = {pen.date('Date', '%Y-%m-%d')}|Barcode = {pen.words('Barcode')}"
    )


def _mikroscan(pen: Pen) -> list[Tag]:
    """A serial number under a key with a number sign."""
    if pen.kind in (LABEL, MACRO):
        return _described(f"Aperio Image Library v11.2.1 \r\n{pen.geometry}")
    pairs = f"{_aperio_pairs(pen)}|SL5 SERIAL # = {pen.words('SL5 SERIAL', Kind.DEVICE)}"
    pairs += f"|SL5 OPERATOR = {pen.words('SL5 OPERATOR', Kind.STAFF)}"
    return _described(f"Aperio Image Library v11.2.1 \r\n{pen.geometry}{pairs}")


def _three_d_histech(pen: Pen) -> list[Tag]:
    """Exported by the converter: dates with the day first, and a path in the header."""
    if pen.kind in (LABEL, MACRO):
        return _described(f"Aperio Image Library v10.0.50\r\n{pen.geometry}")
    path = f"C:\\Slides\\{pen.words('header', Kind.FILE_NAME)}.mrxs"
    dates = f"|Date = {pen.date('Date', '%d/%m/%Y')}|Time = {pen.date('Time', '%H:%M')}"
    pairs = f"|AppMag = {MAGNIFICATION}|MPP = {MPP}{dates}"
    return _described(f"Aperio Image Library v10.0.50;{path}\r\n{pen.geometry}{pairs}|Slide = {pen.words('Slide')}")


def _grundium(pen: Pen) -> list[Tag]:
    """Another first line, no space before an equals sign, and levels that say their size only."""
    if pen.kind == BASE:
        pairs = f"|MPP ={MPP}|AppMag={MAGNIFICATION}|Serial={pen.words('Serial', Kind.DEVICE)}|Name={pen.words('Name')}"
        return _described(f"Aperio Image, Grundium Ocus {pen.words('header', Kind.DEVICE)}\n{pairs}")
    size = f"{pen.size.width}x{pen.size.height}"
    return _described(f"Aperio Image\n{'' if pen.kind == LEVEL else pen.kind} {size}|Note={pen.words('Note')}")


def _huron(pen: Pen) -> list[Tag]:
    """Lines, not pairs; the barcode in base64."""
    if pen.kind in (LABEL, MACRO):
        return _described(f"{pen.kind}\nBarcode = {pen.packed('Barcode')}")
    return _described(
        f"Source = Bright Field\nScan Started = {pen.date('Scan Started', '%Y-%m-%d %H:%M:%S')}\n"
        f"Resolution = {MPP} um\nDeviceID = {pen.words('DeviceID', Kind.DEVICE)}\n"
        f"Barcode = {pen.packed('Barcode')}\nObjective = {MAGNIFICATION}\n"
        f"SlideID = {pen.words('SlideID')}\nUser = {pen.words('User', Kind.STAFF)}"
    )


def _argos(pen: Pen) -> list[Tag]:
    """Everything in XML under a private tag of the first page."""
    if pen.kind != BASE:
        return []
    xml = (
        f"<Argos.Scan.Metadata><ObjectiveMagnification>{MAGNIFICATION}</ObjectiveMagnification>"
        f"<AcquisitionDate>{pen.date('AcquisitionDate', '%m.%d.%Y')}</AcquisitionDate>"
        f"<AcquisitionTime>{pen.date('AcquisitionTime', '%H:%M:%S')}</AcquisitionTime><MinZ>0</MinZ><MaxZ>0</MaxZ>"
        f"<Barcode>{pen.words('Barcode')}</Barcode><Scanner>{pen.words('Scanner', Kind.DEVICE)}</Scanner>"
        f"<Operator>{pen.words('Operator', Kind.STAFF)}</Operator></Argos.Scan.Metadata>"
    )
    return [Tag(PRIVATE_XML, ASCII, xml.encode() + b"\0")]


def _qptiff(pen: Pen) -> list[Tag]:
    """XML on every page; the thumbnail's in UTF-16, as Windows programs write it."""
    shows = {
        BASE: "FullResolution",
        LEVEL: "ReducedResolution",
        THUMBNAIL: "Thumbnail",
        LABEL: "Label",
        MACRO: "Overview",
    }
    wide = Encoding.UTF16LE if pen.kind == THUMBNAIL else Encoding.ASCII

    def words(name: str, kind: Kind) -> str:
        place = f"{pen.ifd}/{name}"
        return pen.planter.text(place, kind, wide) if pen.planter.wants(place) else ""

    kinds = {
        "SlideID": Kind.NUMBER, "Barcode": Kind.NUMBER, "ComputerName": Kind.PLACE, "OperatorName": Kind.STAFF,
        "Identifier": Kind.NUMBER, "ScanProfile": Kind.TEXT, "StudyName": Kind.TEXT,
    }  # fmt: skip
    inside = "".join(f"<{name}>{words(name, kind)}</{name}>" for name, kind in kinds.items())
    root = "PerkinElmer-QPI-ImageDescription"
    xml = f'<?xml version="1.0"?><{root}><ImageType>{shows[pen.kind]}</ImageType>{inside}</{root}>'
    if wide is Encoding.UTF16LE:
        return [Tag(270, BYTE, b"\xff\xfe" + xml.encode("utf-16-le") + b"\0\0")]
    return [text(270, xml)]


LOOKS: Final[dict[str, Look]] = {
    "kfbio": Look(".svs", CLASSIC, _kfbio),
    "motic": Look(".svs", CLASSIC, _motic, sort=False),
    "mikroscan": Look(".svs", CLASSIC, _mikroscan),
    "3dhistech": Look(".tif", CLASSIC, _three_d_histech),
    "grundium": Look(".svs", (BASE, THUMBNAIL, LEVEL, MACRO), _grundium),
    "huron": Look(".tif", (BASE, LEVEL, THUMBNAIL, LABEL, MACRO), _huron, make="Huron "),
    "argos": Look(".avs", (BASE, LEVEL, THUMBNAIL, MACRO), _argos, big=True, omit=("ifd[0]/65000",)),
    "qptiff": Look(".qptiff", (BASE, THUMBNAIL, LEVEL, MACRO, LABEL), _qptiff),
}


def write(path: Path, name: str, *, beside: bool = True, seed: int = 0) -> Planted:
    """Write one slide and the list of what is planted in it.

    `name` is one of `LOOKS`; without `beside` there are levels only, so that the words alone decide what becomes of it.
    """
    look = LOOKS[name]
    planter = Planter(seed, omit=look.omit)
    path = place_for(path, seed, look.suffix)
    with TiffMaker(path, big=look.big) as maker:
        _Slide(maker, look, planter, Tissue(SIZE, seed, 0.6)).write(beside=beside)
    named = path.name.startswith("ZQ-")
    names = [Identifier("file/name", path.name.split(".")[0], Encoding.ASCII, Kind.FILE_NAME)] if named else []
    levels = ((SIZE.width, SIZE.height), (SIZE.width // STEP, SIZE.height // STEP))
    facts = Facts(name, levels, (TILE, TILE), "jpeg", float(MPP), MAGNIFICATION)
    return Planted(path, (*planter.found, *names), facts).save()


class _Slide:
    """One file in the making."""

    def __init__(self, maker: TiffMaker, look: Look, planter: Planter, tissue: Tissue) -> None:
        self.maker, self.look, self.planter = maker, look, planter
        self.whole = tissue.crop(0, 0, SIZE.width, SIZE.height)
        self.small = shrunk(self.whole, STEP)

    def write(self, *, beside: bool) -> None:
        """Every page, and bytes at the end that belong to nobody."""
        kinds = self.look.pages if beside else tuple(kind for kind in self.look.pages if kind in TILED)
        for number, kind in enumerate(kinds):
            self.page(f"ifd[{number}]", kind)
        self.maker.write(self.planter.blob("file/tail", Kind.TEXT))

    def page(self, ifd: str, kind: str) -> None:
        """One page with its words, and every tag that can hold an identifier."""
        pixels = self.pixels(ifd, kind)
        size = Size(pixels.shape[1], pixels.shape[0])
        aperio = self.look.describe(Pen(Planter(0, active=False), ifd, BASE, size))
        plain = "Aperio" not in repr(aperio)
        # Of subfile type 1 are Aperio's labels and everybody else's reduced levels.
        types = {LABEL: 1, MACRO: 9, LEVEL: int(plain)}
        found = [subfile(types.get(kind, 0)), *(self.tiled(pixels, ifd) if kind in TILED else self.strips(pixels, ifd))]
        words = self.look.describe(Pen(self.planter, ifd, kind, size))
        taken = {tag.code for tag in words}
        planted = [tag for tag in plants.tags(self.planter, self.maker, ifd) if tag.code not in taken]
        self.maker.ifd([*found, *words, *map(self.renamed, planted), *self.scale()], sort=self.look.sort)

    def renamed(self, tag: Tag) -> Tag:
        """Make begins with the vendor's name where readers know the vendor by it."""
        if tag.code != 271 or not self.look.make or not isinstance(tag.values, bytes):
            return tag
        return Tag(271, ASCII, self.look.make.encode() + tag.values)

    def scale(self) -> list[Tag]:
        """Pixels per centimetre."""
        per_centimetre = round(10_000 / float(MPP))
        return [rational(282, per_centimetre, 1), rational(283, per_centimetre, 1), short(296, 3)]

    def pixels(self, ifd: str, kind: str) -> Pixels:
        """What the page shows; words that are drawn are identifiers too."""
        if kind in TILED:
            return self.whole if kind == BASE else self.small
        if kind == THUMBNAIL:
            return self.small
        lines = [self.planter.text(f"{ifd}/image", Kind.PERSON, Encoding.PIXELS)]
        return pictures.label(lines, 200, 240) if kind == LABEL else pictures.macro(lines, self.small, 400, 160)

    def tiled(self, pixels: Pixels, ifd: str) -> list[Tag]:
        """Tiles, a comment in the first of them."""
        encode, tiles = Encoder("jpeg", 80), self.maker.tiles()
        for top in range(0, pixels.shape[0], TILE):
            for left in range(0, pixels.shape[1], TILE):
                data = encode(_padded(pixels[top : top + TILE, left : left + TILE]))
                if not tiles.offsets:
                    words = self.planter.blob(f"{ifd}/tiles/COM", Kind.PERSON)
                    data = with_segments(data, segment(COM, words))
                tiles.append(data)
        size = Size(pixels.shape[1], pixels.shape[0])
        places = [self.maker.pointers(324, tiles.offsets), self.maker.pointers(325, tiles.counts)]
        tables = planted_tables(encode, self.planter, ifd)
        return [*pixel_tags(size, encode, tables), short(322, TILE), short(323, TILE), *places]

    def strips(self, pixels: Pixels, ifd: str) -> list[Tag]:
        """A picture beside the levels."""
        return strip_tags(self.maker, pixels, 16, Encoder("jpeg", 75), self.planter, ifd)


def _padded(pixels: Pixels) -> Pixels:
    missing = ((0, TILE - pixels.shape[0]), (0, TILE - pixels.shape[1]), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, missing, mode="edge"))
