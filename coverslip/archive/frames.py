"""A file as encrypted frames: AES-256-GCM, each frame bound to its file, its number and how many there are.

    header    24 bytes: magic, bytes of plain text per frame (4), bytes of plain text in all (8)
    frames    plain text encrypted, then its 16-byte tag; all but the last are equally long

A key encrypts one file once, so the frame's number serves as nonce (docs/decisions/0009-encrypted-originals.md).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coverslip.errors import OriginalDamaged, StorageFailed

MAGIC: Final = b"CVSLENC\x01"
FRAME: Final = 64 << 10
"""Bytes of plain text per frame: a reader that takes a little somewhere decrypts little more."""
BATCH: Final = 16 * FRAME
"""Bytes of plain text handed on at once."""
TAG: Final = 16
MAX_FRAME: Final = 1 << 26
"""A header that asks for more is refused before anything is read by it."""

_HEADER: Final = struct.Struct("<8sIQ4x")
_PLACE: Final = struct.Struct("<QQ")

ReadRange = Callable[[int, int], bytes]
"""`read(length, offset)` of the encrypted file."""


def encrypted(pieces: Iterable[bytes], length: int, key: bytes, name: str) -> Iterator[bytes]:
    """The encrypted file, piece by piece; every piece of plain text but the last is `BATCH` long.

    Raises `StorageFailed` when the plain text is not `length` bytes long.
    """
    cipher, bound = AESGCM(key), _Bound(name, FRAME, length)
    yield bound.header
    done = 0
    for piece in pieces:
        plain = [piece[at : at + FRAME] for at in range(0, max(1, len(piece)), FRAME)]
        if any(len(frame) != _plain_bytes(number, FRAME, length) for number, frame in enumerate(plain, done)):
            raise _changed()
        yield b"".join(cipher.encrypt(_nonce(n), frame, bound.to(n)) for n, frame in enumerate(plain, done))
        done += len(plain)
    if done != _frames(length, FRAME):
        raise _changed()


class Opened:
    """An encrypted file as its plain text; any part can be read without the rest. Safe to share between threads."""

    def __init__(self, read: ReadRange, stored_bytes: int, key: bytes, name: str) -> None:
        """Read the header; raises `OriginalDamaged` when it cannot be one, or says another length than there is."""
        header = read(_HEADER.size, 0)
        if len(header) != _HEADER.size or header[: len(MAGIC)] != MAGIC:
            raise OriginalDamaged("There is no header.", where="original")
        _, self._frame, self.length = _HEADER.unpack(header)
        """`length`: bytes of plain text."""
        if not 0 < self._frame <= MAX_FRAME or stored_bytes != _stored_bytes(self.length, self._frame):
            raise OriginalDamaged("The header says another length than there is.", where="original")
        self._read = read
        self._cipher = AESGCM(key)
        self._bound = _Bound(name, self._frame, self.length)

    def read(self, length: int, offset: int) -> bytes:
        """Plain text, fewer bytes when it ends early; raises `OriginalDamaged`."""
        stop = min(offset + length, self.length)
        if stop <= offset:
            return b""
        first = offset // self._frame
        joined = self._frames(first, (stop - 1) // self._frame + 1)
        return joined[offset - first * self._frame : stop - first * self._frame]

    def pieces(self) -> Iterator[bytes]:
        """All of it from the front, some frames at a time; raises `OriginalDamaged`."""
        count, step = _frames(self.length, self._frame), max(1, BATCH // self._frame)
        return (self._frames(first, min(first + step, count)) for first in range(0, count, step))

    def _frames(self, first: int, stop: int) -> bytes:
        """The plain text of frames side by side, read at once: exactly what was put there with this key, or nothing."""
        stride = self._frame + TAG
        end = min(stop * stride, self.length + _frames(self.length, self._frame) * TAG)
        found = memoryview(self._read(end - first * stride, _HEADER.size + first * stride))
        stored = (found[at * stride : (at + 1) * stride] for at in range(stop - first))
        try:
            return b"".join(
                self._cipher.decrypt(_nonce(number), frame, self._bound.to(number))
                for number, frame in enumerate(stored, first)
            )
        except (InvalidTag, ValueError) as error:
            raise OriginalDamaged(where="original") from error


class _Bound:
    """What is authenticated with every frame: header, file, number, count."""

    def __init__(self, name: str, frame: int, length: int) -> None:
        self.header = _HEADER.pack(MAGIC, frame, length)
        self._front = self.header + name.encode() + b"\0"
        self._count = _frames(length, frame)

    def to(self, number: int) -> bytes:
        return self._front + _PLACE.pack(number, self._count)


def _frames(length: int, frame: int) -> int:
    """One at least, so that an empty file is authenticated too."""
    return max(1, -(-length // frame))


def _plain_bytes(number: int, frame: int, length: int) -> int:
    return min(frame, length - number * frame)


def _stored_bytes(length: int, frame: int) -> int:
    return _HEADER.size + length + _frames(length, frame) * TAG


def _changed() -> StorageFailed:
    return StorageFailed("The file became shorter or longer while it was encrypted.", where="original")


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
