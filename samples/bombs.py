"""Small files that unpack to a lot, or make a parser work for ever; each is made from a tiny sound slide."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from PIL import Image

from coverslip.geometry import Size
from samples import broken_case, dicom, ndpi
from samples.broken_pixels import tile
from samples.codecs import packed
from samples.surgery import Patient
from samples.tiffmaker import TiffMaker, long, short, text

GREAT: Final = 64 << 20
"""Bytes a bomb unpacks to."""
LAUGHS: Final = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ZQLOL">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><OME>&j;</OME>"
)
OUTSIDE: Final = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><scn>&e;</scn>'
DEFLATED_SYNTAX: Final = b"1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, slots=True)
class Bomb:
    """One of them."""

    name: str
    write: Callable[[Path], Path]
    """Into an empty folder; gives back what is opened."""


def bombs() -> Iterator[Bomb]:
    """All of them."""
    yield Bomb("deflate-tile", _patient("deflate", tile(lambda _: _zeros(GREAT))))
    yield Bomb("deflate-every-tile", _patient("deflate", _every_tile(_zeros(16 << 20))))
    yield Bomb("lzw-tile", _lzw)
    yield Bomb("j2k-components", _patient("j2k", tile(lambda s: s[:40] + b"\x40\0" + s[42:])))
    yield Bomb("j2k-size", _patient("j2k", tile(lambda s: s[:8] + b"\x7f" * 8 + s[16:])))
    yield Bomb("jpeg-strip-size", _ndpi_frame)
    yield Bomb("jpeg-strip-size-large", _ndpi_large)
    yield Bomb("pages-60000", _pages)
    for name, words in (("laughs", LAUGHS), ("outside", OUTSIDE)):
        for encoding in ("utf-8", "utf-16", "utf-32"):
            yield Bomb(f"xml-{name}-{encoding}", _described(words.encode(encoding)))
    yield Bomb("xml-deep", _described(b"<OME>" * 100_000))
    yield Bomb("dicom-deflated", _dicom_deflated)
    yield Bomb("dicom-nested", _dicom_nested)
    yield Bomb("dicom-rows", _dicom_rows)
    yield Bomb("png", _whole("slide.png", _png))
    yield Bomb("zip", _whole("slide.zip", _zip))


def _patient(base: str, change: broken_case.Change) -> Callable[[Path], Path]:
    return lambda folder: broken_case.Case("slide", (), base, change).build(folder)


def _whole(name: str, make: Callable[[], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(make())
        return folder / name

    return write


def _zeros(length: int, wbits: int = 15) -> bytes:
    machine = zlib.compressobj(9, wbits=wbits)
    block = bytes(1 << 20)
    return b"".join(machine.compress(block) for _ in range(length >> 20)) + machine.flush()


def _every_tile(content: bytes) -> broken_case.Change:
    def change(patient: Patient) -> Patient:
        for number in range(6):
            patient.replace_tile(0, number, content)
        return patient

    return change


def _lzw(folder: Path) -> Path:
    path = folder / "slide.tiff"
    content = bytes(imagecodecs.lzw_encode(bytes(32 << 20)))
    with TiffMaker(path) as maker:
        tiles = maker.tiles()
        for _ in range(4):
            tiles.append(content)
        maker.ifd([
            long(256, 128), long(257, 128), short(258, 8, 8, 8), short(259, 5), short(262, 2), short(277, 3),
            short(322, 64), short(323, 64), maker.pointers(324, tiles.offsets), maker.pointers(325, tiles.counts),
        ])  # fmt: skip
    return path


def _ndpi_frame(folder: Path) -> Path:
    path = ndpi.write(folder / "slide.ndpi")
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    patient = Patient(bytes(data)).retype(0, 256, 4).point(0, 256, 65500).retype(0, 257, 4).point(0, 257, 65500)
    path.write_bytes(patient.data)
    return path


def _ndpi_large(folder: Path) -> Path:
    """The same beyond 4 GiB, where directories lie that only Hamamatsu's widened pointers reach; most of it a hole."""
    path = folder / "slide.ndpi"
    frame = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xda\x00\x02"
    at = (4 << 30) + 1024
    fields = (256, 65500), (257, 65500), (273, at - 512), (279, len(frame)), (65420, 1), (278, 65500)
    entries = b"".join(struct.pack("<HHII", code, 4, 1, value & 0xFFFFFFFF) for code, value in sorted(fields))
    highs = b"".join(struct.pack("<I", value >> 32) for _, value in sorted(fields))
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<Q", at))
        file.seek(at - 512)
        file.write(frame)
        file.seek(at)
        file.write(struct.pack("<H", len(fields)) + entries + struct.pack("<Q", 0) + highs)
    return path


def _pages(folder: Path) -> Path:
    path = folder / "slide.tiff"
    entry = struct.pack("<HHII", 256, 4, 1, 1)
    pages = (struct.pack("<H", 1) + entry + struct.pack("<I", 8 + 18 * (number + 1)) for number in range(60_000))
    path.write_bytes(b"II*\0\x08\0\0\0" + b"".join(pages))
    return path


def _described(words: bytes) -> Callable[[Path], Path]:
    """A generic TIFF that says so in ImageDescription."""

    def write(folder: Path) -> Path:
        path = folder / "slide.tiff"
        with TiffMaker(path) as maker:
            tiles = maker.tiles()
            tiles.append(packed(np.zeros((64, 64, 3), np.uint8), "deflate"))
            maker.ifd([
                long(256, 64), long(257, 64), short(258, 8, 8, 8), short(259, 8), short(262, 2), short(277, 3),
                text(270, words), short(322, 64), short(323, 64), maker.pointers(324, tiles.offsets),
                maker.pointers(325, tiles.counts),
            ])  # fmt: skip
        return path

    return write


def _dicom(folder: Path, edit: Callable[[bytes], bytes]) -> Path:
    dicom.write(folder, Size(192, 128))
    path = folder / "level0.dcm"
    path.write_bytes(edit(path.read_bytes()))
    return folder


def _dicom_deflated(folder: Path) -> Path:
    """The dataset after the file meta information, deflated, and much more behind it."""

    def edit(data: bytes) -> bytes:
        start = data.index(b"\x08\x00\x08\x00CS")
        syntax = data[:start].replace(b"1.2.840.10008.1.2.4.50", DEFLATED_SYNTAX)
        return syntax + _zeros(GREAT, wbits=-15)

    return _dicom(folder, edit)


def _dicom_nested(folder: Path) -> Path:
    opening = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return _dicom(folder, lambda data: data.replace(b"\x08\x00\x08\x00CS", opening * 50_000 + b"\x08\x00\x08\x00CS", 1))


def _dicom_rows(folder: Path) -> Path:
    rows, matrix = b"\x28\x00\x10\x00US\x02\x00", b"\x48\x00\x07\x00UL\x04\x00"

    def edit(data: bytes) -> bytes:
        for mark, value in ((rows, b"\xff\xff"), (matrix, b"\xff\xff\xff\x7f")):
            at = data.index(mark) + len(mark)
            data = data[:at] + value + data[at + len(value) :]
        return data

    return _dicom(folder, edit)


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("1", (5_000, 5_000)).save(out, "PNG")
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("slide.svs", bytes(16 << 20))
    return out.getvalue()
