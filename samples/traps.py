"""Small slides that end the process of whoever hands them to OpenSlide 4.0.1: an allocation that fails, a division by
zero, text that is missing. Each is a sound tiny slide with one value changed.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from coverslip.geometry import Size
from samples import dicom, leica, mirax, sakura, vms, vmu, zeiss
from samples.bombs import Bomb
from samples.surgery import Patient

VIEW = """ALTER TABLE DataManagerSQLiteConfigXPO RENAME TO x; CREATE VIEW DataManagerSQLiteConfigXPO AS
    WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT 'tiles' AS TableName, max(n) FROM c"""
HEADER = "UPDATE tiles SET data = x'60ea0000000100000001000000000000' WHERE id = 'Header'"


def traps() -> Iterator[Bomb]:
    """All of them."""
    yield Bomb("mirax-images", mirax_with("IMAGENUMBER_X = 2", "IMAGENUMBER_X = 2147483647"))
    yield Bomb("mirax-levels", mirax_with("HIER_0_COUNT = 2", "HIER_0_COUNT = 2147483647"))
    yield Bomb("mirax-files", mirax_with("FILE_COUNT = 1", "FILE_COUNT = 2147483647"))
    yield Bomb("mirax-twice", mirax_with("HIER_0_COUNT = 2", "HIER_0_COUNT = 2147483647\nHIER_0_COUNT = 2"))
    yield Bomb("mirax-hidden", mirax_with("SLIDE_TYPE =", "x =\x85[OTHER]\nHIER_0_COUNT = 2147483647\nSLIDE_TYPE ="))
    yield Bomb("mirax-elsewhere", mirax_with("FILE_0 = Data0000.dat", "FILE_0 = ../other/Data0000.dat"))
    yield Bomb("vms-grid", _vms_with("NoJpegColumns=1", "NoJpegColumns=40000"))
    yield Bomb("vms-elsewhere", _vms_with("slide_map2.jpg", "../other/map2.jpg"))
    yield Bomb("vmu-bits", _vmu_with("BitsPerPixel=36", "BitsPerPixel=12"))
    yield Bomb("vmu-order", _vmu_with("PixelOrder=RGB", "PixelOrder=BGR"))
    yield Bomb("vmu-no-bits", _vmu_with("BitsPerPixel=36", ""))
    yield Bomb("vmu-hidden", _vmu_with("[Uncompressed", "[OTHER]\nBitsPerPixel=36\n[Uncompressed"))
    yield Bomb("czi-nothing-stored", _czi_with(b"X", 4, 0))
    yield Bomb("czi-subblock", _czi_with(b"X", 4, 65536))
    yield Bomb("czi-far", _czi_with(b"X", 1, 0x7FFFFFFF))
    yield Bomb("czi-scenes", _czi_edited(lambda data: data.replace(b"S>1</SizeS></Image>", b"S>999999999</SizeS>")))
    yield Bomb("sakura-no-magic", _sakura_with("UPDATE tiles SET data = NULL WHERE id = '++MagicBytes'"))
    yield Bomb("sakura-no-creator", _sakura_with("UPDATE SVSlideDataXPO SET Creator = NULL"))
    yield Bomb("sakura-tile", _sakura_with(HEADER))
    yield Bomb("sakura-view", _sakura_with(VIEW))
    yield Bomb("tiff-tile-length", _scn_with_a_long_tile)
    yield Bomb("dicom-frame", _dicom_frame)
    yield Bomb("dicom-offset", _dicom_offset)


def mirax_with(old: str, new: str) -> Callable[[Path], Path]:
    """A MIRAX slide with other words in its settings."""

    def write(folder: Path) -> Path:
        made = mirax.write(folder / "slide.mrxs", columns=2, rows=2, levels=2)
        made.sidecar.unlink()
        _reworded(folder / "slide" / "Slidedat.ini", old, new)
        return folder

    return write


def _reworded(file: Path, old: str, new: str) -> None:
    words = file.read_text(encoding="latin-1")
    if old not in words:
        raise RuntimeError("this edit breaks nothing")
    file.write_text(words.replace(old, new), encoding="latin-1")


def _vms_with(old: str, new: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = vms.write(folder / "slide.vms", reference="ZQ-1")
        _reworded(path, old, new)
        return path

    return write


def _vmu_with(old: str, new: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = vmu.write(folder / "slide.vmu", reference="ZQ-1")
        _reworded(path, old, new)
        return path

    return write


def _czi_edited(edit: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = zeiss.write(folder / "slide.czi", name="ZQ")
        path.write_bytes(edit(path.read_bytes()))
        return path

    return write


def _czi_with(side: bytes, field: int, value: int) -> Callable[[Path], Path]:
    """One number of the first subblock's entry in the directory."""

    def edit(data: bytes) -> bytes:
        at = data.index(side + bytes(3), data.index(b"ZISRAWDIRECTORY") + 160) + 4 * field
        return data[:at] + struct.pack("<i", value) + data[at + 4 :]

    return _czi_edited(edit)


def _sakura_with(statements: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = sakura.write(folder / "slide.svslide", name="ZQ")
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript(statements)
        return path

    return write


def _scn_with_a_long_tile(folder: Path) -> Path:
    """A tile that claims to be longer than any machine's memory."""
    path = leica.write(folder / "slide.scn", barcode="ZQ")
    patient = Patient(path.read_bytes())
    path.write_bytes(bytes(patient.set(1, 325, 1 << 60).data))
    return path


def _dicom_frame(folder: Path) -> Path:
    dicom.write(folder, Size(192, 128))
    path = folder / "level0.dcm"
    data = path.read_bytes()
    for mark in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
        at = data.index(mark) + len(mark)
        data = data[:at] + b"\xff\xff" + data[at + 2 :]
    path.write_bytes(data)
    return folder


def _dicom_offset(folder: Path) -> Path:
    """The second frame is said to lie four gibibytes on."""
    dicom.write(folder, Size(192, 128))
    path = folder / "level0.dcm"
    data = path.read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00OB") + 12 + 8 + 4
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    return folder
