"""One number for many tiles: a Merkle root over their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root over 32-byte leaves; a node is SHA-256 of 0x01 and its two children, an odd one moves up unchanged.

    The leading byte keeps an inner node from passing for a tile's digest.
    """
    row = list(leaves)
    if not row:
        return hashlib.sha256(b"").digest()
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        pairs = zip(row[0::2], row[1::2], strict=False)
        row = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return row[0]
