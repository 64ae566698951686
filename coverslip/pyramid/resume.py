"""Builds that go on where a killed one stopped: what is written down meanwhile, and how it is taken up again.

Nothing of a leftover is used in place. Its tiles are read, held against their digests and copied into the new build's
own file, so a writer that comes back from the dead finds nothing of ours to spoil.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from coverslip.pyramid import index as form
from coverslip.pyramid.journal import PLACED, Checkpoint, Journal, checkpoints
from coverslip.pyramid.partial import Leftover, leftovers, remove_dead, storage_errors
from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.store import TileStore
from coverslip.versions import version_of

EVERY: Final = 5.0
"""Seconds of work a kill may cost; builds shorter than this write no journal."""
MOST: Final = 16 << 20
"""Bytes of tiles and pixels that are written down at the latest: what a checkpoint holds is read in one piece."""
_DECIDING: Final = ("coverslip", "imagecodecs", "pillow", "simplejpeg", "tifffile", "turbojpeg")


@dataclass(frozen=True, slots=True)
class Subject:
    """All that decides about the bytes of an index: a leftover about anything else is of no use."""

    slide_digest: bytes
    slide_bytes: int
    complete: bool
    quality: int
    subsampling: str

    def fingerprint(self) -> bytes:
        """32 bytes that differ whenever one of it does, our version or a codec library's included."""
        facts = [form.FORMAT, self.slide_digest.hex(), self.slide_bytes, self.complete, self.quality]
        text = json.dumps([*facts, self.subsampling, *map(version_of, _DECIDING)])
        return hashlib.sha256(text.encode()).digest()


@dataclass
class Recorder:
    """Writes a checkpoint now and then; costs nothing before the first is due."""

    own: Leftover
    store: TileStore
    subject: Callable[[], Subject | None]
    """None while not everything is known yet."""
    units: int = 0
    _tops: list[Pixels] = field(default_factory=list)
    _pixels: int = 0
    _at: int = field(init=False)
    _since: float = field(default_factory=time.monotonic)
    _fingerprint: bytes | None = None
    _journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        """What the store holds now every build begins with."""
        self._journal, self._at = Journal(self.own.journal), self.store.at
        self.store.placed.clear()

    def finished(self, top: Pixels | None) -> None:
        """One more unit is in the store. Raises StorageFailed."""
        self.units += 1
        if top is not None:
            self._tops.append(top)
            self._pixels += top.nbytes
        if self.store.at - self._at + self._pixels >= MOST or time.monotonic() - self._since >= EVERY:
            self._commit()

    def took_up(self, checkpoint: Checkpoint, fingerprint: bytes) -> None:
        """What a leftover had, the store has now: write that down again. Raises StorageFailed."""
        self.units, self._tops, self._fingerprint = checkpoint.units, list(checkpoint.tops), fingerprint
        self._commit()

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _commit(self) -> None:
        if self._fingerprint is None and (subject := self.subject()):
            self._fingerprint = subject.fingerprint()
        placed = np.array(self.store.placed, PLACED)
        with storage_errors():
            self.store.file.flush()
        checkpoint = Checkpoint(self.units, self.store.digest_with(), placed, tuple(self._tops))
        self._journal.append(checkpoint, self._fingerprint)
        self.store.placed.clear()
        self._tops.clear()
        self._at, self._pixels, self._since = self.store.at, 0, time.monotonic()


def take_up(
    recorder: Recorder, target: Path, subject: Callable[[], Subject], skip: Callable[[Checkpoint], None]
) -> None:
    """Bring a new build to where the best leftover about the same stopped; nothing happens when there is none.

    `skip` is told of each checkpoint whose tiles are in the store. What a dead build left is deleted then. Raises
    StorageFailed, and what `subject` and `skip` raise.
    """
    others = [leftover for leftover in leftovers(target) if leftover != recorder.own]
    if not others:
        return
    fingerprint = subject().fingerprint()
    for leftover in sorted(others, key=lambda found: _reach(found, fingerprint), reverse=True):
        _take_up(recorder, leftover, fingerprint, skip)
        if recorder.units:
            break
    remove_dead(target)


def _reach(leftover: Leftover, fingerprint: bytes) -> int:
    """Units that its journal says are done."""
    if not (leftover.part.is_file() and leftover.journal.is_file()):
        return 0
    return max((checkpoint.units for checkpoint in checkpoints(leftover.journal, fingerprint)), default=0)


def _take_up(recorder: Recorder, leftover: Leftover, fingerprint: bytes, skip: Callable[[Checkpoint], None]) -> None:
    if not _reach(leftover, fingerprint):
        return
    with storage_errors(), leftover.part.open("rb", buffering=0) as part:
        for checkpoint in checkpoints(leftover.journal, fingerprint):
            if not _copied(recorder.store, part.fileno(), checkpoint):
                return
            skip(checkpoint)
            recorder.took_up(checkpoint, fingerprint)


def _copied(store: TileStore, part: int, checkpoint: Checkpoint) -> bool:
    """Copy a checkpoint's tiles into the store, all or none; False when they are not what was written down."""
    begin = end = store.at
    fresh: list[tuple[int, int]] = []
    for number, offset, length in checkpoint.placed.tolist():
        if offset == end:
            fresh.append((offset - begin, length))
            end += length
        if number >= len(store.entries) or offset + length > end:
            return False
    if end > os.fstat(part).st_size:
        return False
    run = memoryview(os.pread(part, end - begin, begin))
    tiles = [bytes(run[at : at + length]) for at, length in fresh]
    digests = [hashlib.sha256(tile).digest() for tile in tiles]
    if store.digest_with(digests) != checkpoint.digest:
        return False
    for tile, digest in zip(tiles, digests, strict=True):
        store.append(tile, digest)
    for number, offset, length in checkpoint.placed.tolist():
        store.place(number, offset, length)
    return True
