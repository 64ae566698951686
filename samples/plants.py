"""Tags that carry identifiers: every place of the PHI map's table for any TIFF, in any IFD."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from samples.codecs import COM, jpeg_rgb, numbered, segment, with_segments
from samples.identifiers import Encoding, Kind, Planter
from samples.pictures import label
from samples.tiffmaker import ASCII, BYTE, DOUBLE, LONG, RATIONAL, SHORT, UNDEFINED, Tag, TiffMaker, long, text

TEXTS: dict[int, tuple[str, Kind]] = {
    269: ("DocumentName", Kind.NUMBER),
    271: ("Make", Kind.DEVICE),
    272: ("Model", Kind.DEVICE),
    285: ("PageName", Kind.TEXT),
    305: ("Software", Kind.DEVICE),
    315: ("Artist", Kind.STAFF),
    316: ("HostComputer", Kind.PLACE),
    333: ("InkNames", Kind.TEXT),
    337: ("TargetPrinter", Kind.DEVICE),
    32781: ("ImageID", Kind.NUMBER),
    33448: ("MDLabName", Kind.PLACE),
    33449: ("MDSampleInfo", Kind.PERSON),
    33432: ("Copyright", Kind.STAFF),
    34737: ("GeoAsciiParams", Kind.PLACE),
    42112: ("GDALMetadata", Kind.TEXT),
    42113: ("GDALNoData", Kind.TEXT),
    65000: ("65000", Kind.NUMBER),
    55500: ("55500", Kind.TEXT),
}
DATES: dict[int, tuple[str, str]] = {
    306: ("DateTime", "%Y:%m:%d %H:%M:%S"),
    33450: ("MDPrepDate", "%Y:%m:%d"),
    33451: ("MDPrepTime", "%H:%M:%S"),
}
BLOBS: dict[int, tuple[str, int, Kind]] = {
    32932: ("WangAnnotation", BYTE, Kind.TEXT),
    33445: ("MDFileTag", UNDEFINED, Kind.NUMBER),
    33446: ("MDScalePixel", UNDEFINED, Kind.NUMBER),
    33447: ("MDColorTable", UNDEFINED, Kind.NUMBER),
    33452: ("MDFileUnits", UNDEFINED, Kind.TEXT),
    37724: ("ImageSourceData", UNDEFINED, Kind.PERSON),
    37500: ("MakerNote", UNDEFINED, Kind.DEVICE),
    50740: ("DNGPrivateData", BYTE, Kind.TEXT),
    50839: ("IJMetadata", BYTE, Kind.TEXT),
    51123: ("MicroManagerMetadata", ASCII, Kind.STAFF),
    65001: ("65001", UNDEFINED, Kind.NUMBER),
}
WIDE: dict[int, str] = {65002: "65002", 50839: "IJMetadata"}
"""Tags whose text is UTF-16, as Windows programs leave it."""


def tags(planter: Planter, maker: TiffMaker, ifd: str) -> list[Tag]:
    """Every tag that can hold an identifier, for the IFD called `ifd`; the IFDs some point to are written at once."""
    found = [*_texts(planter, ifd), *_blobs(planter, ifd), *_structured(planter, maker, ifd), *_geo(planter, ifd)]
    found += _fractions(planter, ifd)
    found += [*_exif(planter, maker, ifd), *_gps(planter, maker, ifd), *_interoperability(planter, maker, ifd)]
    return [*found, *_pointed(planter, maker, ifd)]


def _texts(planter: Planter, ifd: str) -> Iterator[Tag]:
    for code, (name, kind) in TEXTS.items():
        if planter.wants(f"{ifd}/{name}"):
            yield text(code, planter.text(f"{ifd}/{name}", kind))
    for code, (name, form) in DATES.items():
        if planter.wants(f"{ifd}/{name}"):
            yield text(code, planter.date(f"{ifd}/{name}", form))


def _blobs(planter: Planter, ifd: str) -> Iterator[Tag]:
    for code, (name, type_, kind) in BLOBS.items():
        if code not in WIDE and planter.wants(f"{ifd}/{name}"):
            yield Tag(code, type_, planter.blob(f"{ifd}/{name}", kind) + (b"\0" if type_ == ASCII else b""))
    for code, name in WIDE.items():
        if planter.wants(f"{ifd}/{name}"):
            content = planter.blob(f"{ifd}/{name}", Kind.TEXT, Encoding.UTF16LE)
            yield Tag(code, BYTE, content)
            if name == "IJMetadata":
                yield Tag(50838, LONG, (len(content),))


def _structured(planter: Planter, maker: TiffMaker, ifd: str) -> Iterator[Tag]:
    if planter.wants(f"{ifd}/XMP"):
        yield Tag(700, BYTE, _xmp(planter, ifd))
    if planter.wants(f"{ifd}/IPTC"):
        content = _iptc(planter, f"{ifd}/IPTC")
        padded = content + bytes(-len(content) % 4)
        yield Tag(33723, LONG, struct.unpack(f"{maker.order}{len(padded) // 4}I", padded))
    if planter.wants(f"{ifd}/Photoshop"):
        yield Tag(34377, BYTE, _photoshop(planter, f"{ifd}/Photoshop"))


def _xmp(planter: Planter, ifd: str) -> bytes:
    words = planter.text(f"{ifd}/XMP", Kind.PERSON)
    barcode = planter.blob(f"{ifd}/XMP/Barcode", Kind.NUMBER, Encoding.BASE64).decode()
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>'
        f"{words}</dc:title><dc:identifier>{barcode}</dc:identifier></rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def _iptc(planter: Planter, place: str) -> bytes:
    records = {120: ("Caption", Kind.PERSON), 80: ("By-line", Kind.STAFF), 25: ("Keywords", Kind.TEXT)}
    content = b"".join(_iptc_record(number, planter.blob(f"{place}/{n}", k)) for number, (n, k) in records.items())
    return content + _iptc_record(55, planter.date(f"{place}/DateCreated", "%Y%m%d").encode())


def _iptc_record(number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, 2, number, len(value)) + value


def _photoshop(planter: Planter, place: str) -> bytes:
    picture = numbered(jpeg_rgb(label([planter.text(f"{place}/thumbnail", Kind.PERSON, Encoding.PIXELS)], 96, 96), 60))
    thumbnail = struct.pack(">IIIIIIHH", 1, 96, 96, 288, 96 * 288, len(picture), 24, 1) + picture
    caption = b"".join([planter.blob(f"{place}/caption", Kind.PERSON)])
    return b"".join(
        _irb(n, c) for n, c in ((0x0404, _iptc(planter, f"{place}/IPTC")), (0x03F0, caption), (0x040C, thumbnail))
    )


def _irb(number: int, content: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + bytes(len(content) % 2)


def _geo(planter: Planter, ifd: str) -> Iterator[Tag]:
    for code, name in ((33550, "ModelPixelScale"), (33922, "ModelTiepoint"), (34736, "GeoDoubleParams")):
        if planter.wants(f"{ifd}/{name}"):
            yield Tag(code, DOUBLE, planter.raw(f"{ifd}/{name}", 24, Kind.PLACE))
    if planter.wants(f"{ifd}/GeoKeyDirectory"):
        yield Tag(34735, SHORT, planter.raw(f"{ifd}/GeoKeyDirectory", 16, Kind.PLACE))


def _fractions(planter: Planter, ifd: str) -> Iterator[Tag]:
    """How luma and chroma become colours, where every decoder knows it without being told: room for letters."""
    for code, name, length in ((529, "YCbCrCoefficients", 24), (532, "ReferenceBlackWhite", 48)):
        if planter.wants(f"{ifd}/{name}"):
            yield Tag(code, RATIONAL, planter.raw(f"{ifd}/{name}", length, Kind.NUMBER))


def _exif(planter: Planter, maker: TiffMaker, ifd: str) -> Iterator[Tag]:
    if not planter.wants(f"{ifd}/EXIF"):
        return
    place = f"{ifd}/EXIF"
    found = [text(code, planter.date(f"{place}/{code}", "%Y:%m:%d %H:%M:%S")) for code in (36867, 36868)]
    found += [text(code, planter.date(f"{place}/{code}", "+%H:%M")) for code in (36880, 36881, 36882)]
    found += [text(code, planter.text(f"{place}/{code}", Kind.DATE)) for code in (37520, 37521, 37522)]
    found += [text(code, planter.text(f"{place}/{code}", Kind.DEVICE)) for code in (42016, 42033, 42035, 42036, 42037)]
    found.append(text(42032, planter.text(f"{place}/42032", Kind.STAFF)))
    found.append(Tag(37500, UNDEFINED, planter.blob(f"{place}/37500", Kind.DEVICE)))
    comment = planter.blob(f"{place}/37510", Kind.PERSON, Encoding.UTF16LE)
    found.append(Tag(37510, UNDEFINED, b"UNICODE\0" + comment))
    yield long(34665, maker.ifd(found, link=False))


def _gps(planter: Planter, maker: TiffMaker, ifd: str) -> Iterator[Tag]:
    if not planter.wants(f"{ifd}/GPS"):
        return
    place = f"{ifd}/GPS"
    found = [Tag(0, BYTE, b"\2\3\0\0"), text(1, "N"), text(3, "W")]
    found += [Tag(code, RATIONAL, planter.raw(f"{place}/{code}", 24, Kind.PLACE)) for code in (2, 4)]
    found.append(Tag(27, UNDEFINED, b"ASCII\0\0\0" + planter.blob(f"{place}/27", Kind.PLACE)))
    found.append(Tag(28, UNDEFINED, b"ASCII\0\0\0" + planter.blob(f"{place}/28", Kind.PLACE)))
    found.append(text(29, planter.date(f"{place}/29", "%Y:%m:%d")))
    yield long(34853, maker.ifd(found, link=False))


def _interoperability(planter: Planter, maker: TiffMaker, ifd: str) -> Iterator[Tag]:
    if planter.wants(f"{ifd}/Interoperability"):
        found = [text(1, "R98"), text(4096, planter.text(f"{ifd}/Interoperability/4096", Kind.TEXT))]
        yield long(40965, maker.ifd(found, link=False))


def _pointed(planter: Planter, maker: TiffMaker, ifd: str) -> Iterator[Tag]:
    """Bytes that fields point to and no picture needs: an old-style JPEG, space an editor gave up (TIFF 6.0 §22)."""
    place = f"{ifd}/JPEGInterchangeFormat"
    if planter.wants(place):
        picture = numbered(jpeg_rgb(label([planter.text(f"{place}/image", Kind.PERSON, Encoding.PIXELS)], 96, 96), 60))
        picture = with_segments(picture, segment(COM, planter.blob(f"{place}/COM", Kind.PERSON)))
        yield maker.pointers(513, [maker.write(picture)])
        yield long(514, len(picture))
    place = f"{ifd}/FreeOffsets"
    if planter.wants(place):
        given_up = [planter.blob(f"{place}[{number}]", Kind.PERSON) for number in range(2)]
        yield maker.pointers(288, [maker.write(words) for words in given_up])
        yield maker.pointers(289, [len(words) for words in given_up])


def hidden_image(planter: Planter, maker: TiffMaker, ifd: str) -> Iterator[Tag]:
    """SubIFDs (330): a whole picture of the label and tags of its own, which no viewer shows."""
    place = f"{ifd}/SubIFDs[0]"
    if not planter.wants(place):
        return
    words = planter.text(f"{place}/image", Kind.PERSON, Encoding.PIXELS)
    data = zlib.compress(label([words], 200, 120).tobytes())
    offset = maker.write(data)
    found = [
        long(254, 1), long(256, 200), long(257, 120), Tag(258, SHORT, (8, 8, 8)), Tag(259, SHORT, (8,)),
        Tag(262, SHORT, (2,)), maker.pointers(273, [offset]), Tag(277, SHORT, (3,)), long(278, 120),
        maker.pointers(279, [len(data)]), Tag(284, SHORT, (1,)),
        text(270, planter.text(f"{place}/ImageDescription", Kind.PERSON)), *_texts(planter, place),
    ]  # fmt: skip
    yield maker.pointers(330, [maker.ifd(found, link=False)])


def exif_segment(planter: Planter, place: str) -> bytes:
    """The payload of an Exif APP1: two IFDs, the second with a thumbnail of the label, which carries a COM itself."""
    inner = numbered(jpeg_rgb(label([planter.text(f"{place}/thumbnail", Kind.PERSON, Encoding.PIXELS)], 96, 96), 60))
    inner = with_segments(inner, segment(COM, planter.blob(f"{place}/thumbnail/COM", Kind.PERSON)))
    words = planter.blob(f"{place}/ImageDescription", Kind.PERSON) + b"\0"
    first = struct.pack("<HHHIII", 1, 270, ASCII, len(words), 26, 26 + len(words))
    second_at = 26 + len(words)
    second = struct.pack("<H", 3) + struct.pack("<HHII", 259, SHORT, 1, 6)
    second += struct.pack("<HHII", 513, LONG, 1, second_at + 42) + struct.pack("<HHII", 514, LONG, 1, len(inner))
    return b"Exif\0\0" + b"II*\0\x08\0\0\0" + first + words + second + bytes(4) + inner
