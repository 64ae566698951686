"""Before any library opens a file: is it within the limits, as far as its own structure can say?

Libraries believe what a file claims: one megabyte of deflated zeros takes a parser to two gigabytes. The walkers here
read structure only, by position, and count before they allocate. They decide nothing about meaning: a file that passes
may still be refused by its reader.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from coverslip.errors import LimitExceeded, StorageFailed, UnsupportedSlide
from coverslip.preflight import dicom, hamamatsu, mirax, sakura, tiff, zeiss
from coverslip.tiff.structure import looks_like_tiff

MAX_FILES: Final = 4096
"""Files of one slide, companions included."""
MAX_INI: Final = 1 << 20
MAX_INDEX: Final = 64 << 20
HEAD: Final = 132

_SETTINGS: Final = (".ini", ".vms", ".vmu", ".opt")


def check(path: Path) -> None:
    """Walk a file, or every file of a folder, within the limits.

    Raises LimitExceeded beyond them, DamagedSlide for structure that contradicts itself, UnsupportedSlide for what no
    reader takes by decision (deflated DICOM, devices and pipes), StorageFailed when it cannot be read.
    """
    try:
        _check(path)
    except OSError as error:
        raise StorageFailed("the file cannot be read") from error


def _check(path: Path) -> None:
    for file in _files(path):
        _check_file(file)
    if path.suffix.lower() == ".mrxs":
        for file in _files(path.with_suffix("")):
            _check_size(file)
        mirax.check(path.with_suffix(""))


def _files(path: Path) -> list[Path]:
    """The file itself, or what lies in the folder; of a DICOM file all its neighbours, which libraries open with it."""
    if path.is_file():
        return _neighbours(path) if _head(path)[128:] == dicom.MAGIC else [path]
    if not path.is_dir():
        if path.exists():
            raise UnsupportedSlide("neither a file nor a folder")
        return []
    return _listed(path)


def _neighbours(path: Path) -> list[Path]:
    if not os.access(path.parent, os.R_OK | os.X_OK):
        return [path]
    others = (file for file in _listed(path.parent) if file != path and _head(file)[128:] == dicom.MAGIC)
    return [path, *others]


def _listed(folder: Path) -> list[Path]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                found.append(Path(entry.path))
            if len(found) > MAX_FILES:
                raise LimitExceeded(f"more than {MAX_FILES} files in one folder", where="folder")
    return sorted(found)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return b""
        return file.read(HEAD)


def _check_file(path: Path) -> None:
    head = _head(path)
    if looks_like_tiff(head):
        tiff.check(path)
    elif head[128:] == dicom.MAGIC:
        dicom.check(path)
    elif head.startswith(zeiss.MAGIC):
        zeiss.check(path)
    elif head.startswith(sakura.MAGIC):
        sakura.check(path)
    elif head and path.stat().st_size <= hamamatsu.MAX_KEY_FILE and hamamatsu.is_set(path.read_bytes()):
        hamamatsu.check_set(path)
    _check_size(path)


def _check_size(path: Path) -> None:
    """Text and index files that libraries read whole."""
    limit = MAX_INI if path.suffix.lower() in _SETTINGS else MAX_INDEX if path.name == "Index.dat" else None
    if limit is not None and path.stat().st_size > limit:
        raise LimitExceeded("a text or index file of the slide is too long", where="companion")
