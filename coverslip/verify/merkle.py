"""One number for many tiles: a Merkle root over their digests."""

from __future__ import annotations

import hashlib
from typing import Final

LEAF: Final = 32
"""Bytes of a digest."""


def merkle_root(leaves: bytes) -> bytes:
    """Root over digests that stand one behind the other.

    A node is SHA-256 of 0x01 and its two children, an odd one moves up unchanged; without leaves it is SHA-256 of
    nothing. The leading byte keeps an inner node from passing for a tile's digest.
    """
    if not leaves:
        return hashlib.sha256(b"").digest()
    row: bytes | bytearray = leaves
    while len(row) > LEAF:
        row = _above(row)
    return bytes(row)


def _above(row: bytes | bytearray) -> bytearray:
    """In one piece, not as a list: a large slide has a quarter of a million tiles."""
    found, pairs = bytearray(), len(row) // (2 * LEAF) * 2 * LEAF
    for at in range(0, pairs, 2 * LEAF):
        found += hashlib.sha256(b"\x01" + row[at : at + 2 * LEAF]).digest()
    return found + row[pairs:]
