"""The other files of a slide (MIRAX folder, VMS set, Trestle side files): their names and the words in them.

Names of companion files repeat the slide's name, and INI files and data headers repeat its identity (MIRAX
`SLIDE_ID`), so each is an element although a converted slide has no companions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coverslip.codestreams import jpeg
from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.errors import InputError, LimitExceeded

MAX_FILES: Final = 4096
MAX_TEXT: Final = 1 << 20
"""Bytes read of a text file; longer ones are read up to here."""
MAX_HEAD: Final = 64 << 10
"""Bytes of a binary file searched for strings: identifiers stand in headers and tables, the rest is pixels."""
MAX_STRINGS: Final = 2000

_TEXT_SUFFIXES: Final = frozenset((".ini", ".vms", ".vmu", ".txt", ".xml", ".opt"))
_JPEG: Final = b"\xff\xd8\xff"
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{8,4096}")
_PAIR: Final = re.compile(rb"\s*([^=\r\n]{1,200}?)\s*=\s*(.*?)\s*")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z][A-Za-z_]{1,40}(\([0-9,]{1,9}\))?", re.ASCII)


def companions(path: Path, vendor: str) -> tuple[Path, ...]:
    """The files that belong to the slide besides `path`, by name. Raises LimitExceeded for more than `MAX_FILES`."""
    match vendor:
        case "mirax":
            found = _files(path.with_suffix(""))
        case "trestle":
            found = [file for file in _files(path.parent) if file.stem == path.stem and file != path]
        case "hamamatsu" if path.suffix.lower() in (".vms", ".vmu"):
            named = {value for _, value in _pairs(path)}
            found = [file for file in _files(path.parent) if file.name.encode() in named and file != path]
        case _:
            found = []
    return tuple(found)


def elements(files: tuple[Path, ...]) -> Iterator[Element]:
    """Names of companion files and the words in them; files are numbered, as their names may be identifiers."""
    for number, file in enumerate(files):
        where = f"companion[{number}]"
        yield Element(ElementPath(f"{where}/name"), ElementKind.TEXT, untrusted_value=file.name.encode())
        yield from text_of(file, where)


def text_of(file: Path, where: str) -> Iterator[Element]:
    """Key and value pairs of a text file, or the readable strings at the beginning of any other."""
    if file.suffix.lower() not in _TEXT_SUFFIXES:
        yield from _strings(file, where)
        return
    for number, (key, value) in enumerate(_pairs(file)):
        word = key.decode("latin-1")
        if _PLAIN_KEY.fullmatch(word):
            yield Element(ElementPath(f"{where}/{word}"), ElementKind.TEXT, untrusted_value=value)
        else:
            raw = key + b"=" + value if key else value
            yield Element(ElementPath(f"{where}/line[{number}]"), ElementKind.TEXT, False, raw)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = sorted(file for file in folder.iterdir() if file.is_file())
    if len(found) > MAX_FILES:
        raise LimitExceeded(f"more than {MAX_FILES} companion files", where="companion")
    return found


def _pairs(file: Path) -> list[tuple[bytes, bytes]]:
    """Key and value of each line; lines without `=` have no key, section headings and empty lines are left out."""
    with file.open("rb") as opened:
        lines = opened.read(MAX_TEXT).removeprefix(b"\xef\xbb\xbf").splitlines()
    kept = [line.strip() for line in lines if line.strip() and not line.strip().startswith(b"[")]
    pairs = [_PAIR.fullmatch(line) for line in kept]
    return [(pair[1], pair[2]) if pair else (b"", line) for pair, line in zip(pairs, kept, strict=True)]


def _strings(file: Path, where: str) -> Iterator[Element]:
    """Strings before the first JPEG, whose Huffman tables would read like words; of a JPEG, its own segments."""
    with file.open("rb") as opened:
        head = opened.read(MAX_HEAD)
    if head.startswith(_JPEG):
        yield from _segments(head, where)
    for number, found in enumerate(_PRINTABLE.findall(head.partition(_JPEG)[0])[:MAX_STRINGS]):
        yield Element(ElementPath(f"{where}/string[{number}]"), ElementKind.TEXT, False, found)


def _segments(head: bytes, where: str) -> Iterator[Element]:
    """Comments and application segments of a JPEG; one whose header cannot be followed is one unknown element."""
    try:
        foreign = jpeg.header(head, 0, len(head)).foreign
    except InputError:
        yield Element(ElementPath(f"{where}/jpeg"), ElementKind.BYTES, False)
        return
    for number, segment in enumerate(foreign):
        path = ElementPath(f"{where}/jpeg/{segment.name}[{number}]")
        yield Element(path, ElementKind.BYTES, untrusted_value=segment.payload)
