"""The only place that keeps what clients call their files: sealed, and opened on the record."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coverslip import names
from coverslip.durable import flush, sync
from coverslip.errors import StorageFailed

WISHES = frozenset({"sha256", "policy", "collection"})
"""Metadata whose values are checked when they come: they say nothing about anybody."""
KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Untrusted:
    """What a client said about an upload; may name a person."""

    filename: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    """Of the original as received: it leads back to the original, so it stays here."""

    def words(self) -> tuple[str, ...]:
        """What of it may name a person and must not be found in a clean slide: the parts of the name, and what else
        a client said that is no wish of a kind we know."""
        others = [value for key, value in self.metadata.items() if key not in WISHES]
        return tuple(dict.fromkeys(word for said in (self.filename, *others) for word in (*names.words(said), said)))


class Vault:
    """Seals and opens with one key; a sealed row cannot be moved to another upload."""

    def __init__(self, key: bytes) -> None:
        """Take a 32-byte key."""
        self._cipher = AESGCM(key)

    def seal(self, uid: str, untrusted: Untrusted) -> bytes:
        """Encrypt (AES-256-GCM) and bind to `uid`."""
        plain = json.dumps([untrusted.filename, dict(untrusted.metadata), untrusted.sha256]).encode()
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, uid.encode())

    def open(self, uid: str, sealed: bytes) -> Untrusted:
        """Decrypt; raises `StorageFailed` when key, row or upload do not belong together."""
        try:
            plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], uid.encode())
        except InvalidTag as error:
            raise StorageFailed("A sealed row does not open with this key.", where="vault") from error
        filename, metadata, sha256 = json.loads(plain)
        return Untrusted(filename, metadata, sha256)


def load_or_create_key(path: Path) -> bytes:
    """Read a 32-byte secret, or make one that only we can read; raises `StorageFailed`.

    Two processes may start at once: the loser of the race reads the winner's key.
    """
    try:
        if not path.exists():
            _create(path)
        key = path.read_bytes()
    except OSError as error:
        raise StorageFailed("A key file cannot be read or made.", where="key file") from error
    if len(key) != KEY_BYTES:
        raise StorageFailed("A key file has the wrong length.", where="key file")
    return key


def _create(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            flush(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync(path.parent)  # what is locked with it is kept next
