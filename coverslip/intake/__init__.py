"""What was handed in may be a folder or a ZIP archive: which files in it are the slide, and where it can be opened.

Content decides, never a name. An archive is unpacked within the limits of `coverslip.preflight.zip`, only the files of
the one slide in it, and under names of ours: the names in it may be names of people.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coverslip.durable import our_errors
from coverslip.elements import Element
from coverslip.errors import StorageFailed
from coverslip.intake.find import find
from coverslip.intake.members import Folder, Packed
from coverslip.intake.unpack import unpack
from coverslip.intake.words import words_of
from coverslip.packed import is_archive, most_unpacked
from coverslip.progress import Progress, silent
from coverslip.rooms import workspace


@dataclass(frozen=True, slots=True)
class Arrival:
    """A slide that can be opened, and the words that stood around it."""

    path: Path
    """A file, or the folder of a DICOM series."""
    words: tuple[Element, ...] = ()
    """Names in the folder or archive, and its comments: what identity can live in besides the slide itself."""


@contextmanager
def arrived(source: Path, room: Path | None = None, progress: Progress = silent) -> Iterator[Arrival]:
    """The one slide in what was handed in; what had to be unpacked lies below `room` and is gone afterwards.

    Raises NotOneSlide, UnsupportedSlide (encryption, an archive in an archive), DamagedSlide, LimitExceeded,
    StorageFull and StorageFailed.
    """
    if _is_dir(source):
        yield _located(source)
    elif is_archive(source):
        with workspace(room or Path(tempfile.gettempdir())) as scratch:
            with our_errors("archive"):
                arrival = _unpacked(source, scratch, progress)
            yield arrival
    else:
        yield Arrival(source)


def _is_dir(source: Path) -> bool:
    try:
        return source.is_dir()
    except OSError as error:
        raise StorageFailed("the source cannot be looked at") from error


def _located(source: Path) -> Arrival:
    folder = Folder(source)
    slide = find(folder)
    return Arrival(folder.place(slide), words_of(folder))


def _unpacked(source: Path, scratch: Path, progress: Progress) -> Arrival:
    with Packed(source, max_bytes=most_unpacked(source)) as archive:
        words = words_of(archive)
        return Arrival(unpack(archive, find(archive), scratch, progress), words)
