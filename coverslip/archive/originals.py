"""Originals at rest: encrypted with a key of their own, which the catalogue keeps wrapped and a purge destroys.

The key that wraps is not the vault's: who opens originals need not be able to open what clients called them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coverslip.archive.frames import BATCH, Opened, ahead, encrypted
from coverslip.archive.store import Store
from coverslip.durable import our_errors
from coverslip.errors import OriginalDamaged

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12

Check = Callable[[str], object]
"""Is given the hex SHA-256 of the plain text before the file gets its name; raising leaves nothing behind."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Where an original lies and what opens it; worthless without the wrapping key."""

    name: str
    wrapped: bytes


class Originals:
    """Seals and opens originals in one store."""

    def __init__(self, store: Store, key: bytes) -> None:
        """Take the 32-byte key that wraps the originals' own."""
        self.store = store
        self._wrap = AESGCM(key)

    def seal(self, uid: str, plain: Path, check: Check) -> Sealed:
        """Encrypt a file into the store, under a name no other attempt has, with a key nothing else has.

        Raises what `check` raises, `StorageFull` or `StorageFailed`.
        """
        with our_errors():
            length = plain.stat().st_size
        sealed = self.new(uid)
        self.store.put(sealed.name, encrypted(ahead(_read(plain, check)), length, self.key(uid, sealed), uid))
        return sealed

    def new(self, uid: str) -> Sealed:
        """A name no other attempt has, and a key nothing else has."""
        key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        return Sealed(f"{uid}.{secrets.token_hex(8)}", nonce + self._wrap.encrypt(nonce, key, uid.encode()))

    def key(self, uid: str, sealed: Sealed) -> bytes:
        """An original's own key; raises `OriginalDamaged` when it was not wrapped with ours, or for another upload."""
        try:
            return self._wrap.decrypt(sealed.wrapped[:NONCE_BYTES], sealed.wrapped[NONCE_BYTES:], uid.encode())
        except (InvalidTag, ValueError) as error:
            raise OriginalDamaged("Its key does not open with ours.", where="original") from error

    def open(self, uid: str, sealed: Sealed) -> Opened:
        """The plain text; raises `OriginalDamaged` with a key that is not the one it was sealed with, `NotFound`."""
        key = self.key(uid, sealed)
        read = lambda length, offset: self.store.read(sealed.name, length, offset)  # noqa: E731
        return Opened(read, self.store.stat(sealed.name).size, key, uid)


def upload_of(name: str) -> str:
    """The upload that an original, or a piece of one, belongs to, by the file's name."""
    return name.partition(".")[0]


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Hex digest of plain text."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _read(plain: Path, check: Check) -> Iterator[bytes]:
    """The file in pieces, one at least; its digest is judged when all of it has gone by."""
    digest = hashlib.sha256()
    with our_errors(), plain.open("rb") as file:
        piece = file.read(BATCH)
        while True:
            digest.update(piece)
            yield piece
            if not (piece := file.read(BATCH)):
                break
    check(digest.hexdigest())
