"""A small MIRAX slide: X.mrxs, which is a picture, and the folder X with Slidedat.ini, Index.dat and Data0000.dat.

Index.dat: version, slide identifier, then two pointers, to the table of zoom levels and to the table of other records.
Each table entry points to a page list head (0, page); a page of tiles is (count, next page) and (image, offset, length,
file) each; a page of another record is (1, 0, 0, 0, offset, length, file).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from coverslip.geometry import Size
from samples.codecs import COM, jpeg_ycbcr, segment, with_segments
from samples.identifiers import Encoding, Facts, Identifier, Kind, Planted, Planter, place_for
from samples.pictures import label, macro
from samples.tissue import Pixels, Tissue, shrunk

VERSION = b"01.02"
CAMERA = 256
"""Pixels per side of one stored picture."""
MPP, MAGNIFICATION = 0.325, 20
IMAGES = (
    ("ScanDataLayer_SlideThumbnail", "THUMBNAIL_IMAGE"),
    ("ScanDataLayer_SlideBarcode", "BARCODE_IMAGE"),
    ("ScanDataLayer_SlidePreview", "PREVIEW_IMAGE"),
)
"""OpenSlide's macro, label and thumbnail, in that order."""
SECTIONS = ("NONHIERLAYER_0_LEVEL_0_SECTION", "NONHIERLAYER_0_LEVEL_1_SECTION", "NONHIERLAYER_0_LEVEL_2_SECTION")


def write(
    path: Path, *, columns: int = 8, rows: int = 6, levels: int = 3, identifiers: bool = True, seed: int = 0
) -> Planted:
    """Write one slide of `columns` × `rows` pictures of 256 pixels in at most three levels.

    `path` ends in `.mrxs`, or is a folder: then the slide's name is an identifier too.
    """
    planter = Planter(seed, identifiers)
    path = place_for(path, seed, ".mrxs")
    slide = _Slide(planter, Tissue(Size(columns * CAMERA, rows * CAMERA), seed, 0.6), columns, rows, levels)
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    pointers = slide.store()
    (folder / "Data0000.dat").write_bytes(bytes(slide.data))
    (folder / "Index.dat").write_bytes(slide.index(pointers))
    (folder / "Slidedat.ini").write_text(slide.ini(), newline="\r\n")
    path.write_bytes(slide.picture("X.mrxs", shrunk(slide.tissue.crop(0, 0, 512, 512), 2)))
    sizes = tuple((columns * CAMERA >> level, rows * CAMERA >> level) for level in range(levels))
    facts = Facts("mirax", sizes, (CAMERA, CAMERA), "jpeg", MPP, MAGNIFICATION, ("label", "macro", "thumbnail"))
    named = (
        [Identifier("file/name", path.name.split(".")[0], Encoding.ASCII, Kind.FILE_NAME)]
        if path.name.startswith("ZQ-")
        else []
    )
    return Planted(path, (*planter.found, *named), facts).save()


@dataclass(frozen=True, slots=True)
class _Pointer:
    """A stored picture or record."""

    image: int
    offset: int
    length: int


@dataclass(slots=True)
class _Slide:
    """One slide in the making."""

    planter: Planter
    tissue: Tissue
    columns: int
    rows: int
    levels: int
    data: bytearray = field(default_factory=bytearray)
    identity: str = field(init=False)
    """SLIDE_ID: 32 characters, in the INI file, in Index.dat and at the start of each data file."""

    def __post_init__(self) -> None:
        """Name the slide."""
        number = (
            self.planter.raw("Slidedat.ini/GENERAL/SLIDE_ID", 16, Kind.NUMBER) if self.planter.active else bytes(16)
        )
        self.identity = number.hex().upper()
        if self.planter.active:
            self.planter.found[-1] = Identifier(
                "Slidedat.ini/GENERAL/SLIDE_ID", self.identity, Encoding.ASCII, Kind.NUMBER
            )

    def store(self) -> tuple[list[list[_Pointer]], list[_Pointer]]:
        """Fill the data file; pictures of each level, and the other records."""
        self.data += VERSION + self.identity.encode()
        levels = [[self.tile(level, x, y) for y, x in self.places(level)] for level in range(self.levels)]
        return levels, self.records()

    def places(self, level: int) -> list[tuple[int, int]]:
        """Row and column of each picture of a level, in base pictures."""
        step = 1 << level
        return [(y, x) for y in range(0, self.rows, step) for x in range(0, self.columns, step)]

    def tile(self, level: int, column: int, row: int) -> _Pointer:
        """One picture: a bigger crop, shrunk."""
        extent = CAMERA << level
        pixels = self.tissue.crop(column * CAMERA, row * CAMERA, extent, extent)
        return self.put(row * self.columns + column, jpeg_ycbcr(shrunk(pixels, 1 << level), 80))

    def put(self, image: int, content: bytes) -> _Pointer:
        """Append to the data file."""
        self.data += content
        return _Pointer(image, len(self.data) - len(content), len(content))

    def records(self) -> list[_Pointer]:
        """Macro, label, preview, and the profile XML with a name in it."""
        small = shrunk(self.tissue.crop(0, 0, 1024, 1024), 4)
        pictures = {
            "macro": macro(self.drawn("macro"), small, 640, 240),
            "label": label(self.drawn("label")),
            "": small,
        }
        found = [self.put(0, self.picture(name, pixels)) for name, pixels in pictures.items()]
        profile = self.words("Data0000.dat/profile XML", Encoding.ASCII)
        wide = self.words("Data0000.dat/comment", Encoding.UTF16LE)
        xml = b'<?xml version="1.0"?><Profile ProfileName="' + profile + b'"/>' + wide
        return [*found, self.put(0, xml)]

    def words(self, place: str, encoding: Encoding) -> bytes:
        """A planted text as it stands in the file."""
        return self.planter.blob(place, Kind.STAFF, encoding) if self.planter.active else b"standard"

    def drawn(self, name: str) -> list[str]:
        """What is written on the label."""
        return (
            [self.planter.text(f"{name}/image", Kind.PERSON, Encoding.PIXELS)] if self.planter.active else ["no words"]
        )

    def picture(self, name: str, pixels: Pixels) -> bytes:
        """A JPEG with a comment in it."""
        stream = jpeg_ycbcr(pixels, 85)
        if not self.planter.active:
            return stream
        comment = self.planter.blob(f"{name or 'preview'}/COM", Kind.PERSON)
        return with_segments(stream, segment(COM, comment))

    def index(self, pointers: tuple[list[list[_Pointer]], list[_Pointer]]) -> bytes:
        """Index.dat."""
        levels, records = pointers
        out = bytearray(VERSION + self.identity.encode() + bytes(8))
        root = len(out) - 8
        pages = [_tile_page(level) for level in levels], [_record_page(record) for record in records]
        for number, table in enumerate(pages):
            heads = []
            for page in table:
                heads.append(len(out))
                out += struct.pack("<2i", 0, len(out) + 8) + page
            struct.pack_into("<i", out, root + 4 * number, len(out))
            out += struct.pack(f"<{len(heads)}i", *heads)
        return bytes(out)

    def ini(self) -> str:
        """Slidedat.ini."""
        sections = {"GENERAL": self.general(), "HIERARCHICAL": self.hierarchy(), "DATAFILE": _datafile()}
        sections |= {f"LAYER_0_LEVEL_{level}_SECTION": _level(level) for level in range(self.levels)}
        for section, (_, key) in zip(SECTIONS, IMAGES, strict=True):
            sections[section] = {f"{key}_TYPE": "JPEG", f"{key}_WIDTH": "387", f"{key}_HEIGHT": "463"}
        sections["NONHIERLAYER_0_LEVEL_3_SECTION"] = {"BARCODE_VALUE": self.value("NONHIER/BARCODE_VALUE")}
        sections["NONHIERLAYER_0_SECTION"] = {"SCANNER_HARDWARE_ID": self.value("NONHIER/SCANNER_HARDWARE_ID")}
        # Newer scanners write a byte order mark; readers have to skip it.
        return "\ufeff" + "\n".join(_section(name, pairs) for name, pairs in sections.items()) + "\n"

    def value(self, name: str) -> str:
        """A planted value of the INI file."""
        return self.planter.text(f"Slidedat.ini/{name}", Kind.NUMBER) if self.planter.active else "none"

    def general(self) -> dict[str, str]:
        """What the slide is called and how it was scanned."""
        found = {
            "SLIDE_VERSION": "01.02", "SLIDE_ID": self.identity, "IMAGENUMBER_X": str(self.columns),
            "IMAGENUMBER_Y": str(self.rows), "OBJECTIVE_MAGNIFICATION": str(MAGNIFICATION),
            "CameraImageDivisionsPerSide": "1", "SLIDE_TYPE": "SLIDE_TYPE_BRIGHTFIELD",
        }  # fmt: skip
        if self.planter.active:
            found |= {
                key: self.value(f"GENERAL/{key}") for key in ("SLIDE_NAME", "PROJECT_NAME", "SCANNER_HARDWARE_ID")
            }
            dates = ("SLIDE_CREATIONDATETIME", "SLIDE_UTC_CREATIONDATETIME")
            found |= {k: self.planter.date(f"Slidedat.ini/GENERAL/{k}", "%d/%m/%Y %H:%M:%S") for k in dates}
        return found

    def hierarchy(self) -> dict[str, str]:
        """Which levels and records there are, in the order of Index.dat."""
        found = {"INDEXFILE": "Index.dat", "HIER_COUNT": "1", "NONHIER_COUNT": "1"}
        found |= {"HIER_0_NAME": "Slide zoom level", "HIER_0_COUNT": str(self.levels)}
        for level in range(self.levels):
            found[f"HIER_0_VAL_{level}"] = f"ZoomLevel_{level}"
            found[f"HIER_0_VAL_{level}_SECTION"] = f"LAYER_0_LEVEL_{level}_SECTION"
        found |= {"NONHIER_0_NAME": "Scan data layer", "NONHIER_0_COUNT": "4"}
        found["NONHIER_0_SECTION"] = "NONHIERLAYER_0_SECTION"
        for number, name in enumerate([*(name for name, _ in IMAGES), "ProfileXML"]):
            found[f"NONHIER_0_VAL_{number}"] = name
            found[f"NONHIER_0_VAL_{number}_SECTION"] = f"NONHIERLAYER_0_LEVEL_{number}_SECTION"
        return found


def _section(name: str, pairs: dict[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in pairs.items())])


def _datafile() -> dict[str, str]:
    return {"FILE_COUNT": "1", "FILE_0": "Data0000.dat"}


def _level(level: int) -> dict[str, str]:
    return {
        "OVERLAP_X": "0", "OVERLAP_Y": "0", "MICROMETER_PER_PIXEL_X": str(MPP * 2**level),
        "MICROMETER_PER_PIXEL_Y": str(MPP * 2**level), "IMAGE_FORMAT": "JPEG", "IMAGE_FILL_COLOR_BGR": "16777215",
        "DIGITIZER_WIDTH": str(CAMERA), "DIGITIZER_HEIGHT": str(CAMERA), "IMAGE_CONCAT_FACTOR": str(min(level, 1)),
    }  # fmt: skip


def _tile_page(pointers: list[_Pointer]) -> bytes:
    head = struct.pack("<2i", len(pointers), 0)
    return head + b"".join(struct.pack("<4i", each.image, each.offset, each.length, 0) for each in pointers)


def _record_page(pointer: _Pointer) -> bytes:
    return struct.pack("<7i", 1, 0, 0, 0, pointer.offset, pointer.length, 0)
