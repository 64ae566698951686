"""What would end OpenSlide's process is refused before OpenSlide sees it; sound slides of the same kinds pass."""

import struct

import openslide
import pytest

from coverslip import preflight
from coverslip.errors import DamagedSlide, InputError, LimitExceeded
from coverslip.formats import open_slide
from coverslip.geometry import Size
from coverslip.preflight import hamamatsu, jpegs, xml
from coverslip.tiff.structure import FileBytes
from samples import bombs, leica, mirax, ndpi, philips, sakura, traps, trestle, ventana, vms, vmu, zeiss


@pytest.mark.parametrize("trap", list(traps.traps()), ids=lambda trap: trap.name)
def test_no_library_opens_a_trap(trap, tmp_path, monkeypatch):
    """Refused by place, without the value, and without asking OpenSlide what it is."""
    asked = []
    monkeypatch.setattr(openslide.OpenSlide, "detect_format", asked.append)
    path = trap.write(tmp_path)
    path = next(path.glob("*.mrxs"), path) if path.is_dir() else path
    with pytest.raises(InputError) as caught:
        open_slide(path)
    assert not asked
    assert caught.value.where
    assert not any(secret in str(caught.value) for secret in ("ZQ", "2147483647", "40000", "999999999", "other"))


@pytest.mark.parametrize(("module", "name", "vendor"), [
    (zeiss, "slide.czi", "zeiss"), (sakura, "slide.svslide", "sakura"), (vms, "slide.vms", "hamamatsu"),
    (ndpi, "slide.ndpi", "hamamatsu"), (vmu, "slide.vmu", "hamamatsu"), (leica, "slide.scn", "leica"),
    (philips, "slide.tiff", "philips"), (ventana, "slide.bif", "ventana"), (trestle, "slide.tif", "trestle"),
])  # fmt: skip
def test_sound_slides_pass(module, name, vendor, tmp_path):
    """And OpenSlide reads them, so the traps are one value away from a slide."""
    path = module.write(tmp_path / name)
    preflight.check(path)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == vendor
        inside = (100, 100)  # of the glass, where Leica's scanned area lies
        assert slide.read_region(inside, 0, (16, 16)).getpixel((8, 8))[3] == 255


def test_a_sound_mirax_passes(tmp_path):
    """With its byte order mark and carriage returns."""
    preflight.check(mirax.write(tmp_path / "slide.mrxs", columns=2, rows=2, levels=2).path)


def test_a_large_ndpi_is_walked(tmp_path):
    """Beyond 4 GiB as well: most of the file is a hole, the strip's header lies behind it."""
    large = next(bomb for bomb in bombs.bombs() if bomb.name == "jpeg-strip-size-large")
    path = large.write(tmp_path)
    with pytest.raises(LimitExceeded) as caught:
        preflight.check(path)
    assert caught.value.where == "ifd[0]"
    with path.open("r+b") as file:  # the same with a picture that can be decoded
        file.seek((4 << 30) + 512 + 7)
        file.write(struct.pack(">HH", 300, 300))
        for entry in (0, 1):
            file.seek((4 << 30) + 1024 + 2 + 12 * entry + 8)
            file.write(struct.pack("<I", 300))
    preflight.check(path)


@pytest.mark.parametrize("magic", [b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"])
def test_other_large_files_are_left_to_the_ordinary_walk(tmp_path, magic):
    """Beyond 4 GiB and no NDPI: a BigTIFF's broken pointer is found there."""
    path = tmp_path / "slide.tiff"
    path.write_bytes(magic + b"\xff" * 8)
    with path.open("r+b") as file:
        file.truncate((4 << 30) + 100)
    assert not hamamatsu.check_large(path)
    if b"+" in magic:
        with pytest.raises(DamagedSlide):
            preflight.check(path)


@pytest.mark.parametrize(("interval", "size", "refused"), [
    (0, Size(8192, 8192), False), (0, Size(8193, 8192), True), (16, Size(200_000, 200_000), False),
    (1, Size(100_000, 100_000), True),
])  # fmt: skip
def test_restart_intervals_are_counted(interval, size, refused):
    """A picture in one piece is decoded whole; of others a position is kept for each interval."""
    found = jpegs.Frame(size, Size(16, 8), interval)
    if refused:
        with pytest.raises(LimitExceeded):
            jpegs.check(found, size, "ifd[0]")
    else:
        jpegs.check(found, size, "ifd[0]")


def test_a_jpeg_header_without_end(tmp_path):
    """Counted, so that four gibibytes of empty segments take no time."""
    path = tmp_path / "x.jpg"
    path.write_bytes(b"\xff\xd8" + b"\xff\xe1\x00\x02" * 2000)
    with path.open("rb") as file, pytest.raises(DamagedSlide):
        jpegs.frame(FileBytes(file.fileno(), path.stat().st_size), 0)


def test_areas_of_a_ventana_slide():
    """Over all areas, however the numbers are spaced or signed."""
    area = '<ImageInfo AOIScanned="1" Width="1024" NumRows="{}" NumCols="{}"/>'
    xml.check(f"<EncodeInfo>{area.format(200, 300)}</EncodeInfo>".encode(), "here")
    for rows, columns in ((1 << 20, 2), (" +99999999", "1"), (-1, 1 << 21)):
        with pytest.raises(LimitExceeded):
            xml.check(f"<EncodeInfo>{area.format(rows, columns)}</EncodeInfo>".encode(), "here")
    with pytest.raises(LimitExceeded):
        xml.check(f"<EncodeInfo>{area.format(1000, 600) * 2}</EncodeInfo>".encode(), "here")
