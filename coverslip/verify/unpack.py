"""What bytes hold when unpacked: deflate, gzip, bzip2, xz, LZW, base64, hex and escapes, a few layers deep."""

from __future__ import annotations

import base64
import binascii
import bz2
import html
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import unquote_to_bytes

MAX_DEPTH = 3
MAX_STREAM = 8 << 20
MAX_TOTAL = 48 << 20
MAX_FED = 128 << 20
"""Packed bytes looked at: what looks like the beginning of a stream may stand at every third byte, and each look may
reach to the end."""
START = 4 << 10
"""How many of them a beginning costs by itself."""
MAX_LZW = 256 << 10
"""Packed bytes; words do not hide behind more."""
_CLEAR, _END, _FULL = 256, 257, 4096
_ROOTS = [*(bytes([value]) for value in range(256)), b"", b""]
STEP = 64
"""Packed bytes fed at once, so that what came out before an error is still searched."""
_STREAMS = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|BZh[1-9]|\xfd7zXZ\0")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}(?:\s{1,2}[A-Za-z0-9+/_-]{4,})*={0,2}")
_ENDLESS = re.compile(rb"&#\d{20,}")
"""No character has such a number, and Python refuses to read one of thousands of digits."""
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")
_HEX = re.compile(rb"[0-9A-Fa-f]{24,}")
"""Digit by digit: pair by pair takes two and a half times as long."""


class Unpacked:
    """Unpacks without end in sight but with a budget."""

    def __init__(self) -> None:
        """Begin with the whole budget."""
        self.spent = 0
        self.fed = 0

    @property
    def exhausted(self) -> bool:
        """True when there was more to unpack, or to try, than the budget allowed."""
        return self.spent >= MAX_TOTAL or self.fed >= MAX_FED

    def layers(self, data: bytes, depth: int = 0) -> Iterator[bytes]:
        """Everything found inside `data`, and inside that."""
        if depth >= MAX_DEPTH:
            return
        for found in self._inside(data):
            if self.exhausted:
                return
            self.spent += len(found)
            yield found
            yield from self.layers(found, depth + 1)

    def _inside(self, data: bytes) -> Iterator[bytes]:
        yield from self._streams(data)
        yield from self._from_the_start(data)
        for match in _BASE64.finditer(data):
            yield _unbase64(match[0])
        for match in _HEX.finditer(data):
            yield binascii.unhexlify(match[0][: len(match[0]) & ~1])
        if b"&#" in data or b"&amp;" in data:
            yield html.unescape(_ENDLESS.sub(b" ", data).decode("latin-1")).encode("utf-8", "replace")
        if _PERCENT.search(data):
            yield unquote_to_bytes(data)

    def _streams(self, data: bytes) -> Iterator[bytes]:
        for match in _STREAMS.finditer(data):
            if self.exhausted:
                return
            self.fed += START
            out = self._drained(_decompressor(match[0]), data, match.start())
            if len(out) >= STEP // 16:
                yield out

    def _from_the_start(self, data: bytes) -> Iterator[bytes]:
        """Codecs without a magic number are tried where a value begins."""
        if not 8 <= len(data) <= MAX_STREAM:
            return
        yield self._drained(lambda: zlib.decompressobj(-15), data, 0)
        if data[0] == 0x80:  # an LZW stream begins with a clear code
            yield _unlzw(data)

    def _drained(self, make: Callable[[], _Decompressor], data: bytes, start: int) -> bytes:
        """Whatever comes out before an error or the bound."""
        machine, out, size = make(), [], 0
        for at in range(start, len(data), STEP):
            self.fed += STEP
            try:
                piece = machine.decompress(data[at : at + STEP])
            except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
                break
            out.append(piece)
            size += len(piece)
            if size > MAX_STREAM or self.fed >= MAX_FED or getattr(machine, "eof", False):
                break
        return b"".join(out)


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


def _decompressor(magic: bytes) -> Callable[[], _Decompressor]:
    if magic.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if magic.startswith(b"\xfd7zXZ"):
        return lambda: lzma.LZMADecompressor(memlimit=64 << 20)
    return lambda: zlib.decompressobj(47)


def _unlzw(data: bytes) -> bytes:
    """TIFF's LZW (TIFF 6.0 section 13), up to an error or the bound; in Python, because imagecodecs' decoder was seen
    to end its process on ten bytes that are no stream."""
    out: list[bytes] = []
    table: list[bytes] = []
    width, last, size, bits, held = 9, b"", 0, 0, 0
    for byte in data[:MAX_LZW]:
        bits, held = (bits << 8 | byte) & 0xFFFFFF, held + 8
        if held < width:
            continue
        held -= width
        code = bits >> held & (1 << width) - 1
        if code == _CLEAR:
            table, width, last = _ROOTS.copy(), 9, b""
            continue
        known = code < len(table)
        if code == _END or not (known or (code == len(table) and last)):
            break
        word = table[code] if known else last + last[:1]
        if last and len(table) < _FULL:
            table.append(last + word[:1])
        width = min(12, (len(table) + 1).bit_length())
        out.append(word)
        last, size = word, size + len(word)
        if size > MAX_STREAM:
            break
    return b"".join(out)


def _unbase64(text: bytes) -> bytes:
    packed = b"".join(text.split()).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    packed = packed[: len(packed) - (len(packed) % 4 == 1)]
    return base64.b64decode(packed + b"=" * (-len(packed) % 4))
