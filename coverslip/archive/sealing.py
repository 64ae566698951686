"""Frames sealed while their file arrives: each by itself, and as often as need be.

What arrives may be sent again, and a frame that was half there is sealed again when it is whole. So a frame's nonce is
made of what it hides (HMAC-SHA256 of frame, place and file, with a key for nothing else): the same bytes give the same
frame wherever and whenever they are sealed, and other bytes another nonce (docs/decisions/0016-uploads-in-a-bucket.md).
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coverslip.archive.frames import ARRIVED_MAGIC, FRAME, NONCE, TAG, Bound, derived
from coverslip.errors import OriginalDamaged

STRIDE = NONCE + FRAME + TAG
"""Stored bytes of a whole frame."""


class Sealer:
    """Seals the frames of one file. Safe to share between threads."""

    def __init__(self, key: bytes, name: str, length: int) -> None:
        """`key`: the original's own, 32 bytes; `name`: its upload's id; `length`: bytes of plain text in all."""
        self._cipher = AESGCM(derived(key, b"frames"))
        self._nonces = derived(key, b"nonces")
        self._bound = Bound(ARRIVED_MAGIC, name, FRAME, length)
        self.facts = self._bound.facts
        """What stands behind the last frame of the file."""

    def seal(self, number: int, plain: bytes | memoryview) -> bytes:
        """One frame as it is stored; shorter than `FRAME` at the end of the file, or while the rest has not come."""
        bound = self._bound.to(number)
        made = hmac.new(self._nonces, bound, "sha256")
        made.update(plain)
        nonce = made.digest()[:NONCE]
        return nonce + self._cipher.encrypt(nonce, plain, bound)

    def open(self, number: int, stored: bytes) -> bytes:
        """The plain text of a frame `seal` gave; raises `OriginalDamaged` for any other bytes."""
        try:
            return self._cipher.decrypt(stored[:NONCE], stored[NONCE:], self._bound.to(number))
        except (InvalidTag, ValueError) as error:
            raise OriginalDamaged(where="upload") from error
