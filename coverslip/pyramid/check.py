"""Every byte an index vouches for, read and compared: slow, for audits and after a copy."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

import numpy as np

from coverslip.errors import PyramidInvalid
from coverslip.pyramid import index as form


def check(clean: Path, index: Path) -> None:
    """Compare the slide and all derived tiles with the digests in the index. Raises PyramidInvalid."""
    with index.open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    head = form.parse_head(view)
    if len(view) != head.file_bytes:
        raise PyramidInvalid("the file has another length than its header says", where="header")
    parsed = form.parse_index(head, view[head.index_at :])
    if _derived_digest(parsed, view) != head.derived_digest:
        raise PyramidInvalid("a derived tile does not match its checksum", where="derived")
    with clean.open("rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != head.slide_digest:
            raise PyramidInvalid("the slide is not the one the index was built for", where="slide")


def _derived_digest(parsed: form.Index, view: memoryview) -> bytes:
    entries = np.frombuffer(parsed.entries, form.ENTRY)
    derived = np.unique(entries[entries["part"] == form.PART_DERIVED][["offset", "length"]])
    digest = hashlib.sha256()
    for offset, length in derived.tolist():
        digest.update(hashlib.sha256(view[offset : offset + length]).digest())
    return digest.digest()
