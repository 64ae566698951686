"""XML in a slide (OME, Philips, Leica, Ventana): bounded size and depth, no document types, so nothing expands.

Source: XML 1.0 §2.8 and §4 (entities need a document type declaration), Appendix F (finding the encoding).
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

from coverslip.errors import DamagedSlide, LimitExceeded

MAX_BYTES: Final = 16 << 20
MAX_DEPTH: Final = 64
ENCODINGS: Final = frozenset((b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1", b"utf-16", b"utf-16le", b"utf-16be"))

MAX_AREA_TILES: Final = 1 << 20
"""Tiles of all areas a Ventana slide lists (`NumRows` × `NumCols`)."""
MAX_SCENES: Final = 1000

_EBCDIC: Final = b"\x4c\x6f\xa7\x94"
_DECLARED: Final = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([^"']{0,40})""")
_FORBIDDEN: Final = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def looks_like_xml(raw: bytes) -> bool:
    """Whether a parser that is handed these bytes may take them for XML, in whatever encoding."""
    head = raw[:64].lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n")
    return head.startswith(b"<") or raw.startswith(_EBCDIC)


def check(raw: bytes, where: str) -> None:
    """Raise LimitExceeded for XML too long, too deep or with a document type, DamagedSlide for a strange encoding.

    XML that is merely not well-formed passes: who reads it says so, and none of it can have grown.
    """
    if len(raw) > MAX_BYTES:
        raise LimitExceeded("XML is too long", where=where)
    _check_encoding(raw, where)
    if _FORBIDDEN.search(raw.replace(b"\0", b"")):  # zeros: the wide encodings
        raise LimitExceeded("XML declares a document type or entity", where=where)
    _Walk(where).over(raw)


def _check_encoding(raw: bytes, where: str) -> None:
    declared = _DECLARED.match(raw[:512].replace(b"\0", b"").lstrip(b"".join(_MARKS)))
    if raw.startswith(_EBCDIC) or (declared and declared[1].lower() not in ENCODINGS):
        raise DamagedSlide("XML in an encoding that is not read", where=where)


class _Walk:
    """One walk over the elements: how deep they are, and numbers readers allocate by."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._depth = self._tiles = 0
        self._scenes = ""
        self._in_scenes = False

    def over(self, raw: bytes) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(raw.rstrip(b"\0"), True)
        except expat.ExpatError:
            return

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LimitExceeded(f"XML is nested deeper than {MAX_DEPTH}", where=self._where)
        if "NumRows" in attributes and "NumCols" in attributes:  # Ventana's areas
            self._tiles += max(1, abs(_number(attributes["NumRows"]) * _number(attributes["NumCols"])))
            if self._tiles > MAX_AREA_TILES:
                raise LimitExceeded("more tiles than anybody stores", where=self._where)
        self._in_scenes, self._scenes = name == "SizeS", ""  # Zeiss's scenes

    def _text(self, text: str) -> None:
        if self._in_scenes and len(self._scenes) < 100:
            self._scenes += text

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._in_scenes and _number(self._scenes) > MAX_SCENES:
            raise LimitExceeded("more scenes than anybody scans", where=self._where)
        self._in_scenes = False


def _number(text: str) -> int:
    """An integer as C reads it; 0 for anything else, which readers refuse."""
    found = re.fullmatch(r"[ \t-\r]*([+-]?[0-9]{1,100})[ \t-\r]*", text)
    return int(found[1]) if found else 0
