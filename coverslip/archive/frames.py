"""A file as encrypted frames: AES-256-GCM, each frame bound to its file, its number and how many there are.

    facts     24 bytes: magic, bytes of plain text per frame (4), bytes of plain text in all (8)
    frames    plain text encrypted, then its 16-byte tag; all but the last are equally long

First version: facts in front. A key encrypts one file once, so the frame's number serves as nonce
(docs/decisions/0009-encrypted-originals.md). Second version, for files that are sealed while they arrive: facts behind
the frames, before each frame the 12-byte nonce it was sealed with (`coverslip.archive.sealing`).
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coverslip.errors import OriginalDamaged, StorageFailed

MAGIC: Final = b"CVSLENC\x01"
ARRIVED_MAGIC: Final = b"CVSLENC\x02"
FRAME: Final = 64 << 10
"""Bytes of plain text per frame: a reader that takes a little somewhere decrypts little more."""
BATCH: Final = 16 * FRAME
"""Bytes of plain text handed on at once."""
AHEAD: Final = 64 * FRAME
"""Bytes of plain text read at once by who reads all of it: the next ones are fetched while these are used."""
TAG: Final = 16
NONCE: Final = 12
MAX_FRAME: Final = 1 << 26
"""A header that asks for more is refused before anything is read by it."""

_FACTS: Final = struct.Struct("<8sIQ4x")
_PLACE: Final = struct.Struct("<QQ")
FACTS_BYTES: Final = _FACTS.size

ReadRange = Callable[[int, int], bytes]
"""`read(length, offset)` of the encrypted file."""


def encrypted(pieces: Iterable[bytes], length: int, key: bytes, name: str) -> Iterator[bytes]:
    """The encrypted file, piece by piece; every piece of plain text but the last is `BATCH` long.

    Raises `StorageFailed` when the plain text is not `length` bytes long.
    """
    cipher, bound = AESGCM(key), Bound(MAGIC, name, FRAME, length)
    yield bound.facts
    done = 0
    for piece in pieces:
        plain = [piece[at : at + FRAME] for at in range(0, max(1, len(piece)), FRAME)]
        if any(len(frame) != _plain_bytes(number, FRAME, length) for number, frame in enumerate(plain, done)):
            raise _changed()
        yield b"".join(cipher.encrypt(_nonce(n), frame, bound.to(n)) for n, frame in enumerate(plain, done))
        done += len(plain)
    if done != _frames(length, FRAME):
        raise _changed()


class Bound:
    """What is authenticated with every frame: facts, file, number, count."""

    def __init__(self, magic: bytes, name: str, frame: int, length: int) -> None:
        """Of a file with these facts; `name` is the upload's."""
        self.facts = _FACTS.pack(magic, frame, length)
        self._front = self.facts + name.encode() + b"\0"
        self._count = _frames(length, frame)

    def to(self, number: int) -> bytes:
        """For one frame."""
        return self._front + _PLACE.pack(number, self._count)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things stand in one version of the file."""

    magic: bytes
    front: int
    """Bytes before the first frame."""
    nonce: int
    """Bytes of nonce before each frame."""
    keys: Callable[[bytes], bytes]
    """From the original's key to the one that frames are encrypted with."""

    def stored_bytes(self, length: int, frame: int) -> int:
        return _FACTS.size + length + _frames(length, frame) * (self.nonce + TAG)


_SEALED_ONCE: Final = _Layout(MAGIC, _FACTS.size, 0, lambda key: key)
_ARRIVED: Final = _Layout(ARRIVED_MAGIC, 0, NONCE, lambda key: derived(key, b"frames"))


def derived(key: bytes, purpose: bytes) -> bytes:
    """One of the keys that are made of an original's."""
    return hmac.digest(key, b"coverslip " + purpose, "sha256")


class Opened:
    """An encrypted file as its plain text; any part can be read without the rest. Safe to share between threads."""

    def __init__(self, read: ReadRange, stored_bytes: int, key: bytes, name: str) -> None:
        """Read the facts; raises `OriginalDamaged` when there are none, or they say another length than there is."""
        self._layout, self._frame, self.length = _facts(read, stored_bytes)
        """`length`: bytes of plain text."""
        self._read = read
        self._cipher = AESGCM(self._layout.keys(key))
        self._bound = Bound(self._layout.magic, name, self._frame, self.length)

    def read(self, length: int, offset: int) -> bytes:
        """Plain text, fewer bytes when it ends early; raises `OriginalDamaged`."""
        stop = min(offset + length, self.length)
        if stop <= offset:
            return b""
        first = offset // self._frame
        joined = self._frames(first, (stop - 1) // self._frame + 1)
        return joined[offset - first * self._frame : stop - first * self._frame]

    def pieces(self) -> Iterator[bytes]:
        """All of it from the front, a piece at a time, the next one fetched meanwhile; raises `OriginalDamaged`."""
        count, step = _frames(self.length, self._frame), max(1, AHEAD // self._frame)
        return ahead(self._frames(first, min(first + step, count)) for first in range(0, count, step))

    def _frames(self, first: int, stop: int) -> bytes:
        """The plain text of frames side by side, read at once: exactly what was put there with this key, or nothing."""
        nonce, extra = self._layout.nonce, self._layout.nonce + TAG
        stride = self._frame + extra
        end = min(stop * stride, self.length + _frames(self.length, self._frame) * extra)
        found = memoryview(self._read(end - first * stride, self._layout.front + first * stride))
        stored = (found[at * stride : (at + 1) * stride] for at in range(stop - first))
        try:
            return b"".join(
                self._cipher.decrypt(bytes(frame[:nonce]) or _nonce(number), frame[nonce:], self._bound.to(number))
                for number, frame in enumerate(stored, first)
            )
        except (InvalidTag, ValueError) as error:
            raise OriginalDamaged(where="original") from error


def _facts(read: ReadRange, stored_bytes: int) -> tuple[_Layout, int, int]:
    """Layout, bytes of plain text per frame and in all, held against how long the file is."""
    for layout, offset in ((_ARRIVED, stored_bytes - _FACTS.size), (_SEALED_ONCE, 0)):
        found = read(_FACTS.size, offset) if offset >= 0 else b""
        if len(found) == _FACTS.size and found.startswith(layout.magic):
            _, frame, length = _FACTS.unpack(found)
            if not 0 < frame <= MAX_FRAME or stored_bytes != layout.stored_bytes(length, frame):
                raise OriginalDamaged("Its facts say another length than there is.", where="original")
            return layout, frame, length
    raise OriginalDamaged("There are no facts.", where="original")


def ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, each made while the one before is in use. Raises what making them raises."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield piece


def _frames(length: int, frame: int) -> int:
    """One at least, so that an empty file is authenticated too."""
    return max(1, -(-length // frame))


def _plain_bytes(number: int, frame: int, length: int) -> int:
    return min(frame, length - number * frame)


def _changed() -> StorageFailed:
    return StorageFailed("The file became shorter or longer while it was encrypted.", where="original")


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
