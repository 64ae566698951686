"""The index file while it is being written: derived tiles go in once each, the index follows, the name comes last."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from coverslip.durable import flush, our_errors, sync
from coverslip.errors import OutputExists
from coverslip.geometry import Size
from coverslip.pyramid import index as form
from coverslip.pyramid.chain import Made
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.pixels import Encoding
from coverslip.pyramid.repeats import Recent
from coverslip.pyramid.source import Source, StoredLevel

storage_errors: Final = partial(our_errors, where="pyramid")
"""Our own files' complaints, as errors of the tree."""
_REMEMBERED: Final = 1 << 16
"""How many derived tiles are remembered to find equal ones: a bound on memory, not on correctness."""


@dataclass
class TileStore:
    """Collects derived tiles and fills in the entries of all."""

    file: BinaryIO
    zoom: DeepZoom
    levels: form.Entries
    entries: form.Entries
    blobs: list[bytes]
    encoding: Encoding
    channels: int
    at: int = form.HEADER_BYTES
    tiles: int = 0
    """Derived tiles, repeated ones counted each time."""
    distinct: int = 0
    on_request: int = 0
    """Tiles that are made when they are asked for."""
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _seen: Recent[bytes, int] = field(default_factory=lambda: Recent(_REMEMBERED))

    @classmethod
    def start(cls, file: BinaryIO, source: Source, encoding: Encoding) -> TileStore:
        """Room for the header, and entries that point into the slide for every level it holds."""
        zoom = source.zoom
        stored = [zoom.largest - dz_level in source.ready for dz_level in range(zoom.levels)]
        levels = form.level_records(zoom.size, zoom.tile, 1, stored)
        last = levels[-1]
        entries = np.zeros(int(last["first"]) + int(last["columns"]) * int(last["rows"]), form.ENTRY)
        file.write(bytes(form.HEADER_BYTES))
        store = cls(file, zoom, levels, entries, [b""], encoding, source.channels)
        for reduction, level in source.ready.items():
            store._point(reduction, level)
        return store

    def _grid(self, reduction: int) -> form.Entries:
        """The entries of one level as rows and columns (a view)."""
        record = self.levels[self.zoom.largest - reduction]
        rows, columns, first = int(record["rows"]), int(record["columns"]), int(record["first"])
        return self.entries[first : first + rows * columns].reshape(rows, columns)

    def _point(self, reduction: int, level: StoredLevel) -> None:
        """Let a level's entries point at the slide's own tiles."""
        assert level.jpeg is not None
        grid = self._grid(reduction)
        rows, columns = min(grid.shape[0], level.grid.height), min(grid.shape[1], level.grid.width)
        here = grid[:rows, :columns]
        shape = (level.grid.height, level.grid.width)
        here["offset"] = level.offsets.reshape(shape)[:rows, :columns] + np.uint64(level.jpeg.skip)
        here["length"] = (level.counts.reshape(shape)[:rows, :columns] - np.uint64(level.jpeg.skip)).astype(np.uint32)
        here["blob"] = self._blob(level.jpeg.blob)
        here["part"] = form.PART_SLIDE

    def _blob(self, blob: bytes) -> int:
        if blob not in self.blobs:
            self.blobs.append(blob)
        return self.blobs.index(blob)

    def stand_in(self, reduction: int, level: StoredLevel, jpeg: bytes) -> None:
        """Let the entries of tiles the scanner never wrote point at one blank tile."""
        missing = np.argwhere(level.counts.reshape(level.grid.height, level.grid.width) == 0)
        for row, column in missing.tolist():
            self.put(Made(reduction, column, row, jpeg))

    def defer(self, reduction: int, inner: Size) -> None:
        """Leave the first `inner` columns and rows of a level to be made on request."""
        self._grid(reduction)[: inner.height, : inner.width]["part"] = form.PART_ON_REQUEST
        self.on_request += inner.area

    def put(self, made: Made) -> None:
        """Store a derived tile, or point at an equal one."""
        digest = hashlib.sha256(made.jpeg).digest()
        self.tiles += 1
        offset = self._seen.get(digest)
        if offset is None:
            offset = self.at
            self.file.write(made.jpeg)
            self.at += len(made.jpeg)
            self.distinct += 1
            self._digest.update(digest)
            self._seen.put(digest, offset)
        entry = (offset, len(made.jpeg), 0, form.PART_DERIVED, 0)
        self._grid(made.reduction)[made.row, made.column] = entry

    def finish(self, slide_bytes: int, slide_digest: bytes) -> form.Head:
        """Write index and header."""
        self.file.write(bytes(-self.at % 16))
        at = self.at + -self.at % 16
        packed = form.pack_index(self.levels, tuple(self.blobs), self.entries)
        head = form.Head(
            self.zoom.tile, self.zoom.size, 1, len(self.blobs), slide_bytes, slide_digest, at, len(packed),
            hashlib.sha256(packed).digest(), self._digest.digest(), self.encoding.quality, self.channels,
        )  # fmt: skip
        self.file.write(packed)
        self.file.seek(0)
        self.file.write(head.pack())
        return head


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """A file that has its name only when everything is on disk; nothing is left behind otherwise.

    Raises OutputExists when something has the name already.
    """
    if target.exists():
        raise OutputExists(where="pyramid")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with storage_errors():
        file = temporary.open("xb", buffering=1 << 20)
    try:
        with file:
            yield file
            with storage_errors():
                file.flush()
                flush(file.fileno())
        with storage_errors():
            temporary.replace(target)
            sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
