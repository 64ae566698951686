"""The checksum of one PATCH (tus checksum extension): its bytes are looked at whole before any of them is promised.

They lie in a file without a name meanwhile, in the PHI zone: who sends a wrong chunk, or breaks off, has sent nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from coverslip.durable import our_errors
from service.errors import ChecksumMismatch, Malformed, TooLarge

ALGORITHMS: Final = ("sha256", "sha1")
"""tus asks for the second."""
PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a request says about its own body."""

    algorithm: str
    digest: bytes


def checksum_of(headers: Mapping[str, str]) -> Checksum | None:
    """Upload-Checksum, or None when the request carries none; raises `Malformed`, for an unknown algorithm too."""
    text = headers.get("upload-checksum")
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise Malformed(f"Upload-Checksum: one of {', '.join(ALGORITHMS)} is expected.")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        raise Malformed("Upload-Checksum: the digest is not base64.") from None
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise Malformed("Upload-Checksum: the digest has another length.")
    return Checksum(algorithm, digest)


async def checked(pieces: AsyncIterator[bytes], checksum: Checksum, folder: Path, most: int) -> AsyncIterator[bytes]:
    """The same bytes once they are known to be right.

    Raises `ChecksumMismatch`, `TooLarge` for more than `most` bytes, what `pieces` raises, and `StorageFailed`.
    """
    digest, held, count = hashlib.new(checksum.algorithm, usedforsecurity=False), bytearray(), 0
    with our_errors(), tempfile.TemporaryFile(dir=folder) as file:
        async for piece in pieces:
            count += len(piece)
            if count > most:
                raise TooLarge("More bytes than Upload-Length announced.")
            held += piece
            if len(held) >= PIECE:
                await asyncio.to_thread(_put, file, digest, bytes(held))
                held.clear()
        await asyncio.to_thread(_put, file, digest, bytes(held))
        if digest.digest() != checksum.digest:
            raise ChecksumMismatch
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def _put(file: IO[bytes], digest: hashlib._Hash, data: bytes) -> None:
    file.write(data)
    digest.update(data)
