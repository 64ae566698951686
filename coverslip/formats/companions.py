"""The other files of a slide (MIRAX folder, DICOM series, VMS set, Trestle side files): names, and words in them.

Names of companion files repeat the slide's name, and INI files and data headers repeat its identity (MIRAX
`SLIDE_ID`), so each is an element although a converted slide has no companions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.errors import LimitExceeded
from coverslip.formats import ini
from coverslip.formats.readable import plain_key, readable
from coverslip.formats.series import instances_of
from coverslip.names import stem_bytes

MAX_FILES: Final = 4096
MAX_HEAD: Final = 64 << 10
"""Bytes of a binary file searched for strings: identifiers stand in headers and tables, the rest is pixels."""

_INI_SUFFIXES: Final = frozenset((".ini", ".vms", ".vmu", ".opt", ".txt"))


def companions(path: Path, vendor: str) -> tuple[Path, ...]:
    """The files that belong to the slide besides `path`, by name. Raises LimitExceeded for more than `MAX_FILES`."""
    match vendor:
        case "dicom":
            found = [file for file in instances_of(path) if file != path]
        case "mirax":
            found = _files(path.with_suffix(""))
        case "trestle":
            found = [file for file in _files(path.parent) if file.stem == path.stem and file != path]
        case "hamamatsu" if path.suffix.lower() in (".vms", ".vmu"):
            named = {pair.untrusted_value for pair in ini.pairs(path)}
            found = [file for file in _files(path.parent) if file.name in named and file != path]
        case _:
            found = []
    return tuple(found)


def names(files: tuple[Path, ...]) -> Iterator[Element]:
    """Names of companion files; the files are numbered, as their names may be identifiers."""
    for number, file in enumerate(files):
        path = ElementPath(f"companion[{number}]/name")
        yield Element(path, ElementKind.TEXT, untrusted_value=stem_bytes(file.name))


def elements(files: tuple[Path, ...]) -> Iterator[Element]:
    """Names of companion files and the words in them."""
    yield from names(files)
    for number, file in enumerate(files):
        yield from words_of(file, f"companion[{number}]")


def words_of(file: Path, where: str) -> Iterator[Element]:
    """Key and value pairs of an INI file, or the readable strings at the beginning of any other."""
    if file.suffix.lower() in _INI_SUFFIXES:
        yield from _pairs(file, where)
        return
    with file.open("rb") as opened:
        yield from readable(opened.read(MAX_HEAD), where)


def _pairs(file: Path, where: str) -> Iterator[Element]:
    for number, pair in enumerate(ini.pairs(file)):
        value = pair.untrusted_value
        section = f"{pair.section}/" if plain_key(pair.section) else ""
        if plain_key(pair.key):
            path, raw = f"{where}/{section}{pair.key}", value
        else:
            path, raw = f"{where}/{section}line[{number}]", f"{pair.key}={value}" if pair.key else value
        yield Element(ElementPath(path), ElementKind.TEXT, False, raw.encode("latin-1"))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        found = sorted(file for file in folder.iterdir() if file.is_file() and not file.is_symlink())
    except PermissionError:  # a confined child may see its file and not who lies beside it: nobody reads those then
        return []
    if len(found) > MAX_FILES:
        raise LimitExceeded(f"more than {MAX_FILES} companion files", where="companion")
    return found
