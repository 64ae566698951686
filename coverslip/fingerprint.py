"""The content of a slide as one digest, for slides of one file and of many."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from coverslip.errors import StorageFailed


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """SHA-256 over the content, and how much there was."""

    sha256: bytes = field(repr=False)
    size_bytes: int


def fingerprint(files: tuple[Path, ...]) -> Fingerprint:
    """Digest of a slide's files; of several in the order of their digests, so that no name enters it."""
    try:
        parts = [_file(part) for part in files]
    except OSError as error:
        raise StorageFailed("the source cannot be read") from error
    if len(parts) == 1:
        return parts[0]
    whole = hashlib.sha256(b"".join(sorted(part.sha256 for part in parts)))
    return Fingerprint(whole.digest(), sum(part.size_bytes for part in parts))


def _file(path: Path) -> Fingerprint:
    with path.open("rb") as file:
        return Fingerprint(hashlib.file_digest(file, "sha256").digest(), path.stat().st_size)
