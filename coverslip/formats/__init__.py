"""The ordered table of readers, and the one way to open a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coverslip import preflight
from coverslip.errors import StorageFailed, UnsupportedSlide
from coverslip.formats import aperio, generic_tiff, ome_tiff
from coverslip.formats.contract import Probe, Reader
from coverslip.formats.converted import READER as CONVERTED
from coverslip.formats.converted import ConvertedSlide
from coverslip.formats.tiff_slide import TiffSlide
from coverslip.preflight import natives

natives.require(natives.found())

READERS: Final[tuple[Reader, ...]] = (aperio, ome_tiff, generic_tiff, CONVERTED)
"""Most specific first. `CONVERTED` is last: it loses the container, so it takes only what no other reader does."""

AnySlide = TiffSlide | ConvertedSlide


def open_slide(path: Path) -> AnySlide:
    """Open a slide with the first reader that takes it.

    Raises UnsupportedSlide, which names what is supported, or another InputError when the file is damaged.
    """
    reader, _ = choose(path)
    if reader is None:
        titles = "; ".join(found.title for found in READERS)
        raise UnsupportedSlide(f"no reader takes this file; supported are: {titles}")
    return reader.open(path)  # type: ignore[return-value]


def choose(path: Path) -> tuple[Reader | None, dict[str, str]]:
    """The reader that takes the file, and why each one before it declined.

    Raises InputError when the file is beyond the limits: that is looked at before any library opens it.
    """
    preflight.check(path)
    try:
        head = b"" if path.is_dir() else path.open("rb").read(64)
    except OSError as error:
        raise StorageFailed("the file cannot be read") from error
    probe = Probe(path, head)
    declined: dict[str, str] = {}
    for reader in READERS:
        why = reader.detect(probe)
        if why is None:
            return reader, declined
        declined[reader.name] = why
    return None, declined
