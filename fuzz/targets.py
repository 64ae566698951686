"""What is fuzzed: every function of ours that is handed bytes of a file, and what it may raise.

A target takes bytes and returns; an `InputError` is a right answer, any other exception is a finding.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from coverslip import preflight
from coverslip.codestreams import icc, j2k, jpeg
from coverslip.codestreams.frames import Expected
from coverslip.elements import Inventory
from coverslip.errors import InputError
from coverslip.formats import aperio, ini, readable
from coverslip.geometry import Size
from coverslip.intake import settings_file
from coverslip.intake.find import find
from coverslip.intake.members import Packed
from coverslip.intake.unpack import unpack as unpack_slide
from coverslip.intake.words import words_of
from coverslip.ome.document import parse
from coverslip.ome.layout import layout
from coverslip.ome.rebuild import OmeDescription
from coverslip.policy import load
from coverslip.preflight import dicom, jpegs, mirax, names, xml
from coverslip.preflight import zip as archives
from coverslip.progress import silent
from coverslip.tiff.blocks import survey
from coverslip.tiff.structure import Directory, FileBytes, open_tiff
from coverslip.verify import icc as verify_icc
from coverslip.verify import j2k_walk, jpeg_meaning, jpeg_walk, lzw_walk, tiff_walk, unpack
from coverslip.verify import ome as verify_ome
from coverslip.verify.claim import Secret
from coverslip.verify.forms import MIN_LENGTH, Ordinary, wanted
from coverslip.verify.leaks import Hunt
from coverslip.verify.reading import Bytes
from samples import broken

_MEMORY: Final = Path("/dev/shm")
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))
WHERE: Final = "here"


def tiff(data: bytes) -> None:
    """Directories, orphans, then the headers of every page's tiles."""
    found = open_tiff(_file(data))
    try:
        assert found.orphans is not None
        for page in found.pages:
            if page.has_pixels:
                survey(found, page)
    finally:
        found.close()


def verify_tiff(data: bytes) -> None:
    """The verifier's own walk."""
    with Bytes(_file(data)) as file:
        tiff_walk.walk(file)


def any_file(data: bytes) -> None:
    """Whatever is looked at before a library opens a file: every container OpenSlide knows."""
    preflight.check(_file(data))


def mirax_settings(data: bytes) -> None:
    """Numbers and names in `Slidedat.ini`."""
    (FOLDER / mirax.SETTINGS).write_bytes(data)
    mirax.check(FOLDER)


def jpeg_frame(data: bytes) -> None:
    """What a JPEG in the middle of a file makes its reader allocate."""
    with _file(data).open("rb") as file:
        found = jpegs.frame(FileBytes(file.fileno(), len(data)), 0)
    if found is not None:
        jpegs.check(found, found.size, WHERE)


def dicom_header(data: bytes) -> None:
    """The walk before pydicom."""
    dicom.check(_file(bytes(128) + dicom.MAGIC + data))


def zip_archive(data: bytes) -> None:
    """Directory and every file."""
    with archives.open_zip(_file(data), max_bytes=1 << 20) as opened:
        for entry in opened.entries:
            for _ in opened.read(entry):
                pass


def slide_in_archive(data: bytes) -> None:
    """Which of its files are the slide, and their unpacking under other names."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as room, Packed(_file(data), max_bytes=1 << 20) as opened:
        words_of(opened)
        unpack_slide(opened, find(opened), Path(room), silent)


def settings_names(data: bytes) -> None:
    """Names of files in a settings file, exchanged."""
    names_in = dict.fromkeys(settings_file.values(data), "part1.jpg")
    settings_file.renamed(settings_file.text([data]), names_in)


def xml_text(data: bytes) -> None:
    """Descriptions."""
    if xml.looks_like_xml(data):
        xml.check(data, WHERE)


def name(data: bytes) -> None:
    """Names out of archives."""
    names.parts(data.decode("utf-8", "surrogateescape"))


def jpeg_stream(data: bytes) -> None:
    """Ours, its tables, and the verifier's."""
    _each(data, lambda raw: jpeg.codestream(raw, 0, len(raw)), jpeg.tables, _jpeg_walk)


def _jpeg_walk(data: bytes) -> None:
    found = jpeg_walk.walk_jpeg(data, WHERE)
    jpeg_meaning.read({}, found.segments, WHERE)


def j2k_stream(data: bytes) -> None:
    """Ours and the verifier's."""
    expected = Expected(Size(64, 64), 3, bits=8, tiled=True)
    _each(data, lambda raw: j2k.codestream(raw, 0, len(raw), expected), lambda raw: j2k_walk.walk_j2k(raw, WHERE))


def profile(data: bytes) -> None:
    """Colour profiles: ours, written anew, and the verifier's."""
    _each(data, lambda raw: icc.clean(icc.parse(raw)), lambda raw: tuple(verify_icc.objections(raw)),
          verify_icc.transform_digest)  # fmt: skip


def lzw(data: bytes) -> None:
    """Where a stream ends."""
    lzw_walk.lzw_end(data, WHERE)


def packed(data: bytes) -> None:
    """The leak search's unpacking."""
    for _ in unpack.Unpacked().layers(data):
        pass


_BLANK: Final = bytes(range(33)) + b"\xfe\xff"
"""In UTF-16 a space and a mark of the byte order are two bytes of these."""


def secret(data: bytes) -> None:
    """What a removed value is looked for as; one that is worth a search is found where it stands as it was.

    But for what stands there in fewer than six bytes, as two characters in UTF-16 or five in a code page do: that is
    looked for in UTF-8 only.
    """
    hunt = Hunt((Secret("here", data),), ())
    hunt.search(data, WHERE)
    words = wanted(data, Ordinary(()))
    short = len(data.strip(_BLANK)) < MIN_LENGTH or (words and all(_stands_briefly(word, data) for word in words))
    assert hunt.hits or not hunt.forms[0] or short


def _stands_briefly(word: str, data: bytes) -> bool:
    return len(word) < 3 or (len(word) < MIN_LENGTH and word.encode("latin-1", "replace") in data)


def description(data: bytes) -> None:
    """Aperio's description, rebuilt from everything that is understood."""
    found = aperio.parse(data.decode("latin-1"))
    known = {part.path for part in found.elements("x") if part.understood}
    found.rebuild("x", known.__contains__)


def settings(data: bytes) -> None:
    """INI files and the words of other companions."""
    ini.pairs(_file(data))
    tuple(readable.readable(data, WHERE))


def ome_block(data: bytes) -> None:
    """OME-XML against four pages; whatever is taken is written so that the verifier has nothing against it."""
    document = parse(data, WHERE)
    description = OmeDescription(document, layout(document, _planes()))
    plan = load("strict").plan(Inventory(description.elements("")))
    text = description.rebuild("", plan.keeps).decode()
    assert not list(verify_ome.objections(text))


@cache
def _planes() -> tuple[Directory, ...]:
    path = FOLDER / "planes.tiff"
    path.write_bytes(broken.sound("ome"))
    tiff = open_tiff(path)
    tiff.close()
    return tiff.pages


def verify_ome_block(data: bytes) -> None:
    """The verifier's own reading of one, and of one inside something else."""
    verify_ome.read(data)
    verify_ome.said(data.decode("latin-1"))
    verify_ome.unfolded(data)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        tiff, verify_tiff, dicom_header, zip_archive, slide_in_archive, settings_names, xml_text,
        name, jpeg_stream, j2k_stream, profile, lzw, packed, secret,
        description, settings, any_file, mirax_settings, jpeg_frame, ome_block, verify_ome_block,
    )
}  # fmt: skip


def run(target: Callable[[bytes], None], data: bytes) -> None:
    """One input; an `InputError` is an answer."""
    try:
        target(data)
    except InputError:
        return


def _each(data: bytes, *walks: Callable[[bytes], object]) -> None:
    for walk in walks:
        try:
            walk(data)
        except InputError:
            continue


def _file(data: bytes) -> Path:
    path = FOLDER / "input"
    path.write_bytes(data)
    return path
