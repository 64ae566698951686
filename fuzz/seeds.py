"""Where fuzzing begins: sound bytes out of the samples' generators, per target."""

from __future__ import annotations

import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import tifffile

from coverslip.geometry import Size
from samples import archives, broken, codecs, dicom, mirax, ndpi, ome, sakura, vms, zeiss
from samples.icc import profile
from samples.identifiers import Planter


def corpus(target: str) -> tuple[bytes, ...]:
    """Sound inputs of a target; a few are enough, the fuzzer makes the rest."""
    make: Callable[[], list[bytes]] = _MAKERS[target]
    return tuple(make())


def _tiffs() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        hamamatsu = ndpi.write(Path(folder) / "x.ndpi").read_bytes()
    return [*(broken.sound(base) for base in ("svs", "big", "tiff", "deflate", "j2k")), hamamatsu]


def _dicoms() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        made = dicom.write(Path(folder) / "x")
        return [file.read_bytes()[132:] for file in sorted(made.iterdir())]


def _containers() -> list[bytes]:
    """One of each container that is no TIFF and no DICOM; a VMS set without its pictures."""
    with tempfile.TemporaryDirectory() as folder:
        made = (
            zeiss.write(Path(folder) / "x.czi"),
            sakura.write(Path(folder) / "x.db"),
            vms.write(Path(folder) / "x.vms"),
        )
        return [*(path.read_bytes() for path in made), *_tiffs()[-1:], bytes(128) + b"DICM" + _dicoms()[0]]


def _settings() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        mirax.write(Path(folder) / "x.mrxs", columns=1, rows=1, levels=1)
        return [(Path(folder) / "x" / "Slidedat.ini").read_bytes()]


def _zips() -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as made:
            made.writestr("slide/Slidedat.ini", "[GENERAL]\n" * 20)
            made.writestr("slide.mrxs", b"\xff\xd8\xff")
        found.append(buffer.getvalue())
    return found


def _attacks() -> list[bytes]:
    return [raw for attack in archives.attacks("x") if len(raw := attack.make()) < 10_000]


def _pixels() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)


def _jpegs() -> list[bytes]:
    sound = codecs.jpeg_ycbcr(_pixels(), 30)
    return [sound, codecs.with_segments(sound, codecs.segment(0xFE, b"words")), *codecs.split(sound)]


def _j2ks() -> list[bytes]:
    sound = codecs.j2k(_pixels(), 20, mct=True)
    return [sound, codecs.with_j2k_comment(sound, b"words"), codecs.with_j2k_comment(sound, b"words", tile_part=True)]


def _descriptions() -> list[bytes]:
    return [b"Aperio Image Library v11.2.1\r\n150x100 [0,0 150x100] (64x64) "
            b"JPEG/RGB Q=70|AppMag = 20|MPP = 0.499|Slide = 3|Title = a = b|Key|CustomField.1 = x"]  # fmt: skip


def _blocks() -> list[bytes]:
    """OME-XML of two focal planes of two channels: bare, with a word in every place, and one by one."""
    size, found = Size(150, 100), []
    with tempfile.TemporaryDirectory() as folder:
        for style, planted in (("one", False), ("one", True), ("each", False)):
            path = Path(folder) / f"{style}{planted}.tiff"
            ome.write(path, size, z=2, channels=2, tile=64, downsamples=(1, 2), identifiers=planted, style=style)  # type: ignore[arg-type]
            found.append(tifffile.TiffFile(path).pages.first.tags[270].value.encode())
    return found


_MAKERS: Final[dict[str, Callable[[], list[bytes]]]] = {
    "tiff": _tiffs,
    "verify_tiff": _tiffs,
    "dicom_header": _dicoms,
    "zip_archive": _zips,
    "slide_in_archive": lambda: [*_zips(), *_attacks()],
    "settings_names": lambda: [b"[A]\r\nFile = x.jpg \n= \n\xef\xbb\xbf", b"a=b" * 50],
    "xml_text": lambda: [b'<?xml version="1.0" encoding="UTF-8"?><OME a="b"><x>&lt;</x></OME>', b"<a><!DOCTYPE b></a>"],
    "name": lambda: [b"a/b.dat", b"../x", b"con", "\u202ea".encode()],
    "jpeg_stream": _jpegs,
    "j2k_stream": _j2ks,
    "profile": lambda: [profile(Planter(0, True), "x")],
    "lzw": lambda: [codecs.packed(_pixels(), "lzw")],
    "packed": lambda: [
        zlib.compress(b"words " * 50),
        b"d29yZHMgd29yZHMgd29yZHM=",
        b"776f7264732077" * 3,
        b"&amp;#x41;%41",
    ],
    "description": _descriptions,
    "ome_block": _blocks,
    "verify_ome_block": _blocks,
    "any_file": _containers,
    "secret": lambda: [
        b"Kowalski, Anna",
        b"K\0o\0w\0a\0l\0s\0k\0i\0",
        "Dvořák".encode(),
        b"urn:uuid:7-4711",
        b"C:\\slides\\S24-4711.svs",
        profile(Planter(0, True), "x"),
        b"8BIM\4\4\0\0\0\0\0\x0d\x1c\2\x50\0\x08Kowalski",
    ],
    "mirax_settings": _settings,
    "jpeg_frame": _jpegs,
    "settings": lambda: [b"\xef\xbb\xbf[GENERAL]\r\nSLIDE_ID = 1\r\nx\r\n", b"words of a header\xff\xd8\xff\xfe\0\4ab"],
}
