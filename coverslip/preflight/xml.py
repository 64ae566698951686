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
    _check_depth(raw, where)


def _check_encoding(raw: bytes, where: str) -> None:
    declared = _DECLARED.match(raw[:512].replace(b"\0", b"").lstrip(b"".join(_MARKS)))
    if raw.startswith(_EBCDIC) or (declared and declared[1].lower() not in ENCODINGS):
        raise DamagedSlide("XML in an encoding that is not read", where=where)


def _check_depth(raw: bytes, where: str) -> None:
    depth = 0
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise LimitExceeded(f"XML is nested deeper than {MAX_DEPTH}", where=where)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(raw.rstrip(b"\0"), True)
    except expat.ExpatError:
        return
