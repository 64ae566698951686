"""The forms a removed value could hide in: its parts, and every way those could be written as bytes."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring_ascii
from unicodedata import normalize
from urllib.parse import quote

from coverslip.verify import letters

MIN_LENGTH = 6
"""Bytes in UTF-8, so that a name of two Chinese characters is looked for.

Shorter values stand in other words by accident; their place being gone is their proof.
"""
MAX_PIECE = 512
MAX_PIECES = 512
MAX_TEXT = 1 << 16
WINDOW = 32
"""Binary values are searched by samples of this many bytes."""
SHORT_WINDOW = 8
"""A binary value that is shorter than a sample is searched as a whole, down to this many bytes."""
DISTINCT = 6
"""Different bytes a short binary value needs, for zeros and ones stand everywhere."""
MAX_RUNS = 256
"""Stretches of text in a binary value."""
MOSTLY = 0.7
"""Share of ASCII in a stretch that may be words."""
VOCABULARY = frozenset((
    "aperio", "image", "library", "leica", "biosystems", "hamamatsu", "philips", "scanner", "scanscope", "software",
    "version", "openslide", "coverslip", "generic", "pyramid", "pyramidal", "macro", "label", "thumbnail", "overview",
    "level", "jpeg", "jpeg2000", "j2k/yuv16", "jpeg/rgb", "jpeg/ycc", "deflate", "false", "unknown", "default",
    "normal", "brightfield", "display", "profile", "sample", "object", "standard", "series", "slide", "scanned",
    "number", "gamma", "offset", "quality",
))  # fmt: skip
"""Words so ordinary that finding one proves nothing."""
_NUMBER = re.compile(r"[+-]?\d{1,5}([.,]\d{0,2})?")
_PIECES = re.compile(r"[\x00-\x1f;|<>\"^_\u3000-\u3002\u300c\u300d\uff08\uff09\uff0c\uff1a\uff1b\uff1d\uff5c]+")
_AROUND = "".join(map(chr, range(33)))
_SCHEMES = re.compile(r"(?<![A-Za-z0-9.+-])(?:[A-Za-z][A-Za-z0-9.+-]*+:)++")
"""What an address or a UUID begins with. It looks back, or a long word would be walked from each of its letters."""
_BINARY = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f]")
_TOKENS = re.compile(r"[\s,;|/\\=<>\"'()\[\]{}^]+")
_PRINTABLE = re.compile(rb"[\x20-\x7e\xa0-\xff]{6,}")
_ASCII = re.compile(rb"[\x20-\x7e]{6,}")
_IN_ADDRESSES = bytes.maketrans(b"+/", b"-_")
"""The other alphabet of base64 (RFC 4648 section 5)."""
_QUOTED = tuple(quote(bytes((byte,))).encode() for byte in range(256))
"""Each byte as an address writes it, a slash as itself."""

Judge = Callable[[str], bool]
"""Says which texts prove nothing when found."""


class Ordinary:
    """Judges which texts prove nothing when found: short, plain numbers, vocabulary, or part of what was kept."""

    def __init__(self, kept_words: Iterable[str]) -> None:
        """Remember what the policy kept or wrote."""
        self._kept = "\n".join(sorted(kept_words)).lower()

    def __call__(self, text: str) -> bool:
        """True when this text is not worth a search."""
        folded = text.strip(_AROUND).lower()
        written = folded.encode("utf-8", "replace")
        if len(written) < MIN_LENGTH or len(set(written).difference(b".:")) < 3:
            return True
        if folded in self._kept:
            return True
        return all(word in VOCABULARY or _NUMBER.fullmatch(word) for word in folded.split())


def texts(value: bytes) -> Iterator[str]:
    """How a value reads: as UTF-8; and, when it is not that or not only, in whatever else it may be written."""
    value = value[:MAX_TEXT]
    try:
        yield value.decode("utf-8")
        binary = _BINARY.search(value.rstrip(b"\0")) is not None
    except UnicodeDecodeError:
        yield from _runs(value)
        yield from letters.inside(value)
        yield from letters.in_code_pages(value)
        binary = True
    if binary:
        runs = _ASCII.findall(value)[:MAX_RUNS]
        yield from (run[1:].decode("ascii") for run in runs if not run[:1].isalpha())  # behind its length
        yield from letters.wide(value)
    if value[:2] in (b"\xff\xfe", b"\xfe\xff"):
        yield from value.decode("utf-16", "replace").split("\ufffd")  # half of a pair stands between, not nothing


def _runs(value: bytes) -> Iterator[str]:
    """Printable runs that are mostly ASCII and what is ASCII in them, also without a first character: a length."""
    runs = [run for run in _PRINTABLE.findall(value) if _is_mostly_ascii(run)][:MAX_RUNS]
    for run in runs:
        for part in dict.fromkeys((run, *_ASCII.findall(run))):
            yield part.decode("latin-1")
            yield part[1:].decode("latin-1")


def _is_mostly_ascii(run: bytes) -> bool:
    """Words of European languages are; stretches of pixels that happen to be printable are not."""
    return len(run.decode("ascii", "ignore")) >= MOSTLY * len(run)


def pieces(text: str) -> Iterator[str]:
    """The text, its end, its lines and listed parts, values of pairs, base names of paths, words that hold a digit."""
    whole = text.strip(_AROUND)
    yield whole
    yield whole[-MAX_PIECE:]
    for part in _PIECES.split(whole)[:MAX_PIECES]:
        for value in _values(part):
            yield value.strip(_AROUND)
            yield value.strip()  # also what is blank in Latin-1, which elsewhere may be half of a letter
    for token in _TOKENS.split(whole)[:MAX_PIECES]:
        if any(map(str.isdigit, token)):
            yield token.strip(".:-_")


def _values(part: str) -> Iterator[str]:
    """The part, and what stands in it behind a scheme, an equals sign, a colon, the last slash."""
    yield part
    if ":" in part:
        yield _SCHEMES.sub("", part.strip(), count=1)
        yield part.partition(":")[2]
    if "=" in part:
        yield part.partition("=")[2]
    if "/" in part or "\\" in part:
        yield part[max(part.rfind("/"), part.rfind("\\")) + 1 :]


def wanted(value: bytes, ordinary: Judge) -> set[str]:
    """Texts of this value that are worth a search."""
    found = {piece[:MAX_PIECE] for text in texts(value) for piece in pieces(text)}
    return {piece for piece in found if not ordinary(piece)}


def patterns(text: str) -> set[bytes]:
    """Every way this text could be written, folded to lower case: encodings, base64, hex, escapes."""
    plain, wide = text.encode("utf-8"), text.encode("utf-16-le")
    forms = {*_encoded(text), *_base64(plain), *_base64(wide), plain.hex().encode(), wide.hex().encode()}
    forms.update(_escapes(text, plain))
    return {form for form in map(bytes.lower, forms) if len(form) >= MIN_LENGTH}


def _encoded(text: str) -> Iterator[bytes]:
    for variant in _variants(text):
        yield variant.encode("utf-8")
        yield variant.encode("utf-16-le")
        yield variant.encode("utf-16-be")
        if not variant.isascii() and max(variant) < "\u0100":
            yield variant.encode("latin-1")


def _variants(text: str) -> set[str]:
    """In small and in large letters, with marks joined and apart; all that is ASCII is folded later."""
    if text.isascii():
        return {text}
    plain = {text, text.lower(), text.upper()}
    return plain | {normalize(form, variant) for form in ("NFC", "NFD") for variant in plain}


def _base64(data: bytes) -> Iterator[bytes]:
    """The characters of a base64 text that depend on this value alone, at each of three alignments."""
    for shift, first in enumerate((0, 2, 3)):
        text = b2a_base64(bytes(shift) + data, newline=False)[first : (shift + len(data)) * 8 // 6]
        yield text
        yield text.translate(_IN_ADDRESSES)


def _escapes(text: str, plain: bytes) -> Iterator[bytes]:
    """As markup, JSON and addresses write it; `plain` is the text in UTF-8."""
    yield plain.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;").replace(b'"', b"&quot;")
    yield encode_basestring_ascii(text)[1:-1].encode()
    yield text.encode("ascii", "xmlcharrefreplace")
    quoted = b"".join(map(_QUOTED.__getitem__, plain))
    yield quoted
    yield quoted.replace(b"/", b"%2f")
    numbers = tuple(map(ord, text))
    yield ("&#%d;" * len(numbers) % numbers).encode()
    yield ("&#x%x;" * len(numbers) % numbers).encode()
    yield b"\\u" + text.encode("utf-16-be").hex("u", 2).replace("u", "\\u").encode()


def windows(value: bytes) -> set[bytes]:
    """Samples of a binary value, as they stand: enough of them that a copy cannot be missed."""
    if len(value) < WINDOW:
        return {value.lower()} if len(value) >= SHORT_WINDOW and len(set(value)) >= DISTINCT else set()
    places = {at * max(1, (len(value) - WINDOW) // 15) for at in range(16)}
    samples = {value[at : at + WINDOW] for at in places}
    return {sample.lower() for sample in samples if len(set(sample)) >= 8 and len(sample) == WINDOW}
