"""OME-TIFFs whose block contradicts the pages, itself or the rules of XML."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from samples.broken_case import DAMAGED, LIMIT, OK, UNKNOWN, UNSUPPORTED, Case, Change
from samples.surgery import Patient

DESCRIPTION, WIDTH, LENGTH, BITS, COMPRESSION, TILE_WIDTH, SUB_IFDS = 270, 256, 257, 258, 259, 322, 330
Rewrite = Callable[[bytes], bytes]

STACK, EACH, COLOUR = "ome", "ome-each", "ome-rgb"
"""Two focal planes of two channels, told of at once or one by one; an RGB picture with label and macro."""


def cases() -> Iterator[Case]:
    """All of this table."""
    for name, codes, base, change in (*_xml(), *_sizes(), *_places(), *_images(), *_pages()):
        yield Case(f"ome-{name}", codes, base, change)


MODULO = (
    '<StructuredAnnotations><XMLAnnotation ID="Annotation:0" Namespace="openmicroscopy.org/omero/dimension/modulo">'
    '<Value><Modulo><ModuloAlongZ Type="angle" Start="0" End="1"/></Modulo></Value></XMLAnnotation>'
    "</StructuredAnnotations>"
)
"""A further axis, folded into z."""

Row = tuple[str, tuple[str, ...], str, Change]


def _rewritten(rewrite: Rewrite) -> Change:
    """Another block in place of the one there is."""

    def change(patient: Patient) -> Patient:
        entry = patient.entry(0, DESCRIPTION)
        old = bytes(patient.data[entry.value_at : entry.value_at + entry.count])
        new = rewrite(old.rstrip(b"\0")) + b"\0"
        if new == old:
            raise RuntimeError("this edit breaks nothing")
        at = patient.append(new)
        return patient.point(0, DESCRIPTION, at).recount(0, DESCRIPTION, len(new))

    return change


def _told(old: str, new: str, times: int = -1) -> Change:
    """Other words."""
    return _rewritten(lambda block: block.replace(old.encode(), new.encode(), times))


def _root(before: bytes = b"", inside: bytes = b"", after: bytes = b"") -> Change:
    """More in front of the root element, right inside it, or behind it."""

    def rewrite(block: bytes) -> bytes:
        at = block.index(b"<OME")
        end = block.index(b">", at) + 1
        return block[:at] + before + block[at:end] + inside + block[end:] + after

    return _rewritten(rewrite)


def _xml() -> Iterator[Row]:
    laughs = b'<!DOCTYPE OME [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
    yield "xml-bomb", (LIMIT,), STACK, _root(before=laughs, inside=b"<Rights>&c;</Rights>")
    yield "xml-doctype", (LIMIT,), STACK, _root(before=b"<!DOCTYPE OME>")
    yield "xml-external", (LIMIT,), STACK, _root(before=b'<!DOCTYPE OME SYSTEM "file:///etc/passwd">')
    yield "xml-deep", (LIMIT,), STACK, _root(inside=b"<Union>" * 100 + b"</Union>" * 100)
    yield "xml-many", (LIMIT,), STACK, _root(inside=b"<M/>" * 120_000)
    yield "xml-many-values", (LIMIT,), STACK, _root(inside=b'<M K="1" A="2" B="3" C="4" D="5"/>' * 90_000)
    yield "xml-cut", (DAMAGED,), STACK, _rewritten(lambda block: block[: len(block) // 2])
    yield "xml-behind", (DAMAGED,), STACK, _root(after=b"<More/>")
    yield "xml-open", (DAMAGED,), STACK, _told("</Pixels>", "", 1)
    yield "xml-twice", (DAMAGED,), STACK, _told('SizeZ="2"', 'SizeZ="2" SizeZ="2"')
    yield "xml-not-utf8", (DAMAGED,), STACK, _root(inside=b"<Rights>\xff\xfe\xfa</Rights>")
    yield "xml-null", (DAMAGED,), STACK, _root(inside=b"<Rights>\0</Rights>")
    yield "xml-entity", (DAMAGED,), STACK, _root(inside=b"<Rights>&jane;</Rights>")
    for name in ("utf-7", "ebcdic-cp-us", "x-made-up"):
        yield f"xml-encoding-{name}", (DAMAGED,), STACK, _told('encoding="UTF-8"', f'encoding="{name}"')
    yield "xml-says-utf16", (UNKNOWN,), STACK, _told('encoding="UTF-8"', 'encoding="UTF-16"')
    yield "xml-ascii", (DAMAGED,), STACK, _told('encoding="UTF-8"', 'encoding="US-ASCII"')
    yield (
        "xml-latin",
        (OK,),
        STACK,
        _rewritten(lambda block: block.replace(b"UTF-8", b"ISO-8859-1").replace("µ".encode(), b"\xb5")),
    )
    yield (
        "xml-utf16",
        (DAMAGED,),
        STACK,
        _rewritten(lambda block: block.decode().replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16")),
    )
    yield "xml-prefixed", (OK,), STACK, _rewritten(_prefixed)
    yield "xml-old", (OK,), STACK, _told("OME/2016-06", "OME/2012-06")
    yield "xml-other-namespace", (UNKNOWN,), STACK, _told("http://www.openmicroscopy.org/Schemas/OME/2016-06", "urn:x")


def _prefixed(block: bytes) -> bytes:
    names = (b"OME", b"Image", b"Pixels", b"Channel", b"TiffData", b"Instrument", b"Objective", b"Microscope")
    for name in (*names, b"Laser", b"Detector", b"DetectorSettings", b"Filter"):
        for front in (b"<", b"</"):
            for end in (b" ", b">", b"/>"):
                block = block.replace(front + name + end, front + b"o:" + name + end)
    return block.replace(b"xmlns=", b"xmlns:o=")


def _sizes() -> Iterator[Row]:
    for axis, size in (("X", 150), ("Y", 100)):
        yield f"size-{axis}", (DAMAGED,), STACK, _told(f'Size{axis}="{size}"', f'Size{axis}="{size + 1}"')
    for axis, old, values in (("Z", 2, (1, 3, 0, -2, "two")), ("C", 2, (1, 3, 0, "")), ("T", 1, (2, 0, "1.0"))):
        for value in values:
            codes = (DAMAGED, UNKNOWN) if value == 1 else (DAMAGED,)
            yield f"size-{axis}-{value}", codes, STACK, _told(f'Size{axis}="{old}"', f'Size{axis}="{value}"')
    yield "size-Z-huge", (LIMIT,), STACK, _told('SizeZ="2"', 'SizeZ="60000"')
    yield "size-Z-endless", (DAMAGED,), STACK, _told('SizeZ="2"', f'SizeZ="{"9" * 5000}"')
    yield "size-gone", (DAMAGED,), STACK, _told(' SizeT="1"', "")
    for kind in ("uint8", "word"):
        yield f"type-{kind}", (DAMAGED,), STACK, _told('Type="uint16"', f'Type="{kind}"')
    for kind in ("int16", "float", "bit"):
        yield f"type-{kind}", (UNSUPPORTED,), STACK, _told('Type="uint16"', f'Type="{kind}"')
    yield "order", (DAMAGED,), STACK, _told("XYCZT", "XYCZZ")
    yield "order-short", (DAMAGED,), STACK, _told("XYCZT", "XY")
    yield "channels-one-less", (DAMAGED,), STACK, _told("</Channel>", "</Channel><!--", 1)
    yield "samples", (DAMAGED,), STACK, _told('SamplesPerPixel="1"', 'SamplesPerPixel="2"')
    yield "samples-differ", (UNKNOWN,), STACK, _told('SamplesPerPixel="1"', 'SamplesPerPixel="2"', 1)
    yield "samples-of-rgb", (DAMAGED,), COLOUR, _told('SamplesPerPixel="3"', 'SamplesPerPixel="1"', 1)


def _places() -> Iterator[Row]:
    one = 'IFD="0" PlaneCount="4"'
    for name, told in {
        "ifd-beyond": 'IFD="4" PlaneCount="4"', "ifd-late": 'IFD="1" PlaneCount="4"', "ifd-negative": 'IFD="-1"',
        "ifd-word": 'IFD="first"', "ifd-endless": f'IFD="{"9" * 5000}"', "count-more": 'IFD="0" PlaneCount="5"',
        "count-less": 'IFD="0" PlaneCount="3"', "count-none": 'IFD="0" PlaneCount="0"', "first-beyond": 'FirstZ="2"',
        "first-channel-beyond": 'FirstC="2"', "first-late": f'FirstZ="1" {one}', "count-huge": 'PlaneCount="65536"',
        "alone": 'IFD="0"',
    }.items():  # fmt: skip
        yield f"place-{name}", (DAMAGED,), STACK, _told(one, told)
    yield "place-everything", (OK,), STACK, _told(f" {one}", "")
    yield "place-nowhere", (DAMAGED,), STACK, _told(f"<TiffData {one}/>", "")
    yield "place-metadata-only", (DAMAGED,), STACK, _told(f"<TiffData {one}/>", "<MetadataOnly/>")
    yield (
        "place-plane-twice",
        (DAMAGED,),
        EACH,
        _told('FirstC="1" FirstT="0" FirstZ="0"', 'FirstC="0" FirstT="0" FirstZ="0"'),
    )
    yield "place-page-twice", (DAMAGED,), EACH, _told('IFD="2"', 'IFD="1"')
    yield "place-swapped", (OK,), EACH, _rewritten(_swapped)
    yield "place-elsewhere", (UNSUPPORTED,), EACH, _told("</UUID>", "0</UUID>", 1)
    yield (
        "place-binary-only",
        (UNSUPPORTED,),
        STACK,
        _root(inside=b'<BinaryOnly MetadataFile="ZQ-BIN-0001.companion.ome" UUID="urn:uuid:1"/>'),
    )
    yield "place-in-the-text", (UNSUPPORTED,), STACK, _told(f"<TiffData {one}/>", '<BinData Length="1">AA==</BinData>')
    yield "axes", (UNKNOWN,), STACK, _told("</OME>", f"{MODULO}</OME>")


def _swapped(block: bytes) -> bytes:
    return block.replace(b'IFD="1"', b'IFD="x"').replace(b'IFD="2"', b'IFD="1"').replace(b'IFD="x"', b'IFD="2"')


def _images() -> Iterator[Row]:
    yield "image-none", (DAMAGED,), STACK, _rewritten(lambda block: block[: block.index(b"<Image")] + b"</OME>")
    yield "image-without-pixels", (DAMAGED,), STACK, _told("</OME>", '<Image ID="Image:9"/></OME>')
    yield "image-shares-a-page", (DAMAGED,), COLOUR, _told('IFD="2"', 'IFD="1"')
    yield "image-page-beyond", (DAMAGED,), COLOUR, _told('IFD="2"', 'IFD="3"')
    yield (
        "image-is-a-scene",
        (UNKNOWN,),
        COLOUR,
        _told('SizeX="50" ', 'SizeX="50" PhysicalSizeX="0.6" PhysicalSizeY="0.6" ', 1),
    )
    yield "image-has-two-planes", (DAMAGED, UNKNOWN), COLOUR, _told('SizeZ="1"', 'SizeZ="2"')
    many = "".join(f'<Image ID="Image:{number}"/>' for number in range(100))
    yield "images-too-many", (LIMIT,), STACK, _told("</OME>", f"{many}</OME>")
    yield "image-from-afar", (OK,), COLOUR, _told('SizeX="50" ', 'SizeX="50" PhysicalSizeX="9" PhysicalSizeY="9" ', 1)
    yield "image-of-16-bits", (UNKNOWN,), COLOUR, _rewritten(_of_16_bits)
    yield "page-of-no-image", (UNKNOWN,), COLOUR, _rewritten(lambda block: block[: block.rindex(b"<Image")] + b"</OME>")


def _of_16_bits(block: bytes) -> bytes:
    at = block.index(b'ID="Image:1"')
    return block[:at] + block[at:].replace(b'Type="uint8"', b'Type="uint16"', 1)


def _pages() -> Iterator[Row]:
    yield "page-other-size", (DAMAGED,), STACK, lambda p: p.set(1, WIDTH, 140)
    yield "page-other-height", (DAMAGED,), STACK, lambda p: p.set(3, LENGTH, 99)
    yield "page-other-bits", (DAMAGED,), STACK, lambda p: p.set(2, BITS, 8)
    yield "page-other-tiles", (DAMAGED,), STACK, lambda p: p.set(2, TILE_WIDTH, 80)
    yield "page-other-codec", (UNSUPPORTED, DAMAGED), STACK, lambda p: p.set(1, COMPRESSION, 50_000)
    yield "page-without-levels", (DAMAGED,), STACK, lambda p: p.recode(1, SUB_IFDS, 65_330)
    yield "page-missing", (DAMAGED,), STACK, lambda p: p.next_ifd(2, 0)
    yield "page-loop", (DAMAGED,), STACK, lambda p: p.next_ifd(3, p.pages[1][0])
    yield "page-twice", (DAMAGED,), STACK, lambda p: p.next_ifd(1, p.pages[3][0])
    yield "page-no-tiles", (UNSUPPORTED,), STACK, lambda p: p.recode(3, TILE_WIDTH, 65_322)
    yield "page-tile-cut", (DAMAGED,), STACK, lambda p: p.set(3, 325, 5, 1)
    yield "block-gone", (UNKNOWN,), STACK, lambda p: p.recode(0, DESCRIPTION, 65_270)
    yield "block-empty", (UNKNOWN,), STACK, lambda p: p.recount(0, DESCRIPTION, 1)
