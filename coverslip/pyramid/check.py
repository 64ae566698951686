"""Every byte an index vouches for, read and compared: slow, for audits and after a copy."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
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
    tail = form.parse_tail(head, view[head.tail_at :] if head.tail_bytes else b"")
    blocks = (_block(head, tail, plane, view) for plane in range(head.planes))
    if _derived_digest(blocks, view) != head.derived_digest:
        raise PyramidInvalid("a derived tile does not match its checksum", where="derived")
    with clean.open("rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != head.slide_digest:
            raise PyramidInvalid("the slide is not the one the index was built for", where="slide")


def _block(head: form.Head, tail: form.Tail, plane: int, view: memoryview) -> form.Block:
    record = tail.record(plane)
    return form.parse_block(head, record, plane, view[record.at : record.at + record.length])


def _derived_digest(blocks: Iterable[form.Block], view: memoryview) -> bytes:
    found = [np.unique(_derived(block)) for block in blocks]
    digest = hashlib.sha256()
    for offset, length in np.unique(np.concatenate(found)).tolist():
        digest.update(hashlib.sha256(view[offset : offset + length]).digest())
    return digest.digest()


def _derived(block: form.Block) -> form.Entries:
    entries = np.frombuffer(block.entries, form.ENTRY)
    found: form.Entries = entries[entries["part"] == form.PART_DERIVED][["offset", "length"]]
    return found
