"""Aperio's ImageDescription: header line, `|key = value` pairs, an identifier behind every key that can hold one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from coverslip.geometry import Size
from samples.identifiers import Encoding, Kind, Planter

TRAPS = (
    "slide-3", "title-with-macro", "barcode-last", "two-equals", "unknown-key", "label-without-description",
    "day-first-date",
)  # fmt: skip
"""`slide-3`: a value so short that replacing it as a string damages MPP; `title-with-macro`: words that name a role."""

IDENTITY = (
    "Filename", "Title", "Barcode", "Accession", "Patient", "ImageID", "DSR ID", "Slide", "Rack", "CustomField.1",
    "CustomField.2", "Webslide Files", "CompressedFile",
)  # fmt: skip
STAFF = ("User", "ScanScope ID", "Scanner ID", "HostComputer", "Copyright", "Parmset", "Session Mode")
SOFTWARE = {"classic": "Aperio Image Library v12.0.15 ", "gt450": "Aperio Leica Biosystems GT450 v1.0.1 "}
CODEC_WORDS = {"jpeg": "JPEG/RGB", "jpeg-ycbcr": "JPEG/YCC", "j2k-ycbcr": "J2K/YUV16", "j2k-rgb": "J2K/KDU"}
MPP = {20: "0.4990", 40: "0.2533"}


@dataclass(frozen=True, slots=True)
class Scan:
    """What the header lines and technical pairs say."""

    variant: str
    size: Size
    tile: Size
    codec: str
    quality: int
    magnification: int
    traps: Collection[str]

    @property
    def software(self) -> str:
        """First line."""
        return SOFTWARE[self.variant]

    @property
    def mpp(self) -> str:
        """Micrometres per pixel as Aperio prints it."""
        return MPP[self.magnification]

    @property
    def words(self) -> str:
        """Codec and quality."""
        return f"{CODEC_WORDS[self.codec]} Q={self.quality}"

    @property
    def area(self) -> str:
        """The scanned area and where it lies."""
        return f"{self.size.width + 240}x{self.size.height + 100} [0,100 {self.size.width}x{self.size.height}]"


def level(scan: Scan, size: Size, planter: Planter, ifd: str) -> str:
    """The description of a pyramid level."""
    arrow = "" if size == scan.size else f" -> {size.width}x{size.height}"
    line = f"{scan.area} ({scan.tile.width}x{scan.tile.height}){arrow} {scan.words}"
    return f"{scan.software}\r\n{line}{_path(planter, ifd)}{_pairs(scan, planter, ifd)}"


def thumbnail(scan: Scan, size: Size, planter: Planter, ifd: str) -> str:
    """The description of the thumbnail."""
    line = f"{scan.size.width}x{scan.size.height} -> {size.width}x{size.height} - "
    return f"{scan.software}\r\n{line}{_path(planter, ifd)}{_pairs(scan, planter, ifd)}"


def associated(scan: Scan, name: str, size: Size) -> str:
    """The description of label and macro where the scanner writes one."""
    return f"{scan.software}\r\n{name} {size.width}x{size.height}"


def _path(planter: Planter, ifd: str) -> str:
    """A path before the first `|`, as re-encoded slides have it."""
    place = f"{ifd}/ImageDescription/header"
    return f";X:\\scans\\{planter.text(place, Kind.FILE_NAME)}.svs" if planter.wants(place) else ""


def _pairs(scan: Scan, planter: Planter, ifd: str) -> str:
    pairs = _technical(scan)
    if planter.active:
        pairs += _dates(scan, planter, ifd) + _named(scan, planter, ifd)
    if scan.variant == "gt450":
        pairs.sort()
    last = [pair for pair in pairs if pair[0] == "Barcode" and "barcode-last" in scan.traps]
    return "".join(f"|{key} = {value}" for key, value in [pair for pair in pairs if pair not in last] + last)


def _technical(scan: Scan) -> list[tuple[str, str]]:
    pairs = {
        "AppMag": str(scan.magnification), "StripeWidth": "2040", "MPP": scan.mpp, "Left": "25.691574",
        "Top": "23.449873", "LineCameraSkew": "-0.000424", "LineAreaXOffset": "0.019265",
        "LineAreaYOffset": "-0.000313", "Focus Offset": "0.000000", "DisplayColor": "0", "Exposure Time": "45",
        "Exposure Scale": "0.000001", "Gamma": "2.2", "OriginalWidth": str(scan.size.width + 240),
        "Originalheight": str(scan.size.height + 100), "ICC Profile": "AT2", "Filtered": "5", "Offset": "12",
    }  # fmt: skip
    if scan.variant == "gt450":
        return [
            pair for pair in pairs.items() if pair[0] not in ("LineCameraSkew", "LineAreaXOffset", "LineAreaYOffset")
        ]
    return [*pairs.items(), ("ScannerType", "AT2")]


def _dates(scan: Scan, planter: Planter, ifd: str) -> list[tuple[str, str]]:
    form = "%d/%m/%Y" if "day-first-date" in scan.traps else "%m/%d/%y"
    places = {"Date": form, "Time": "%H:%M:%S", "Time Zone": "GMT-%H%M"}
    found = [(key, f"{ifd}/ImageDescription/{key}", form) for key, form in places.items()]
    return [(key, planter.date(place, form)) for key, place, form in found if planter.wants(place)]


def _named(scan: Scan, planter: Planter, ifd: str) -> list[tuple[str, str]]:
    keys = [*((key, Kind.NUMBER) for key in IDENTITY), *((key, Kind.STAFF) for key in STAFF)]
    if "unknown-key" in scan.traps:
        keys.append(("Fixative Lot", Kind.TEXT))
    places = [(key, f"{ifd}/ImageDescription/{key}", kind) for key, kind in keys]
    return [(key, _value(scan, planter, key, place, kind)) for key, place, kind in places if planter.wants(place)]


def _value(scan: Scan, planter: Planter, key: str, place: str, kind: Kind) -> str:
    if key == "Slide" and "slide-3" in scan.traps:
        return planter.record(place, "3", Encoding.ASCII, kind, searchable=False)
    value = planter.text(place, kind)
    if key == "Title" and "title-with-macro" in scan.traps:
        return f"relabel of macro study {value}"
    if key == "CustomField.2" and "two-equals" in scan.traps:
        return f"case = {value} = repeat"
    return value
