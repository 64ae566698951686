"""The index file while it is being written: derived tiles go in once each, the index follows, the name comes last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import numpy as np

from coverslip.errors import LimitExceeded
from coverslip.geometry import Size
from coverslip.pyramid import index as form
from coverslip.pyramid.chain import Made
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.pixels import Encoding, blank
from coverslip.pyramid.repeats import Recent
from coverslip.pyramid.source import Source, StoredLevel
from coverslip.pyramid.stack import Stack

MAX_ENTRIES: Final = 1 << 26
"""Tiles of all planes: a gibibyte of index."""
_REMEMBERED: Final = 1 << 16
"""How many derived tiles are remembered to find equal ones: a bound on memory, not on correctness."""


@dataclass
class PlaneFacts:
    """What of a plane's block is not in its entries."""

    blobs: list[bytes] = field(default_factory=lambda: [b""])
    stored: set[int] = field(default_factory=set)
    """Reductions that the slide holds."""

    def blob(self, blob: bytes) -> int:
        """Number of what goes in front of a tile's bytes."""
        if blob not in self.blobs:
            self.blobs.append(blob)
        return self.blobs.index(blob)


@dataclass
class TileStore:
    """Collects derived tiles and fills in the entries of all."""

    file: BinaryIO
    zoom: DeepZoom
    stack: Stack
    levels: form.Entries
    """Where each level's entries begin within a plane's."""
    entries: form.Entries
    """Of all planes, one behind the other."""
    planes: list[PlaneFacts]
    encoding: Encoding
    at: int = form.HEADER_BYTES
    tiles: int = 0
    """Derived tiles, repeated ones counted each time."""
    distinct: int = 0
    on_request: int = 0
    """Tiles that are made when they are asked for."""
    placed: list[tuple[int, int, int]] = field(default_factory=list, repr=False)
    """Number, offset and length of every derived entry since somebody emptied this."""
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _seen: Recent[bytes, int] = field(default_factory=lambda: Recent(_REMEMBERED))

    @classmethod
    def start(cls, file: BinaryIO, zoom: DeepZoom, stack: Stack, encoding: Encoding) -> TileStore:
        """Room for the header and for the entries of all tiles. Raises LimitExceeded for more than anybody serves."""
        levels = form.level_records(zoom.size, zoom.tile, 0, 0)
        last = levels[-1]
        each = int(last["first"]) + int(last["columns"]) * int(last["rows"])
        if each * stack.count > MAX_ENTRIES:
            raise LimitExceeded(f"planes have more than {MAX_ENTRIES} tiles", where="pyramid")
        file.write(bytes(form.HEADER_BYTES))
        entries = np.zeros(each * stack.count, form.ENTRY)
        return cls(file, zoom, stack, levels, entries, [PlaneFacts() for _ in range(stack.count)], encoding)

    def begin(self, plane: int, source: Source) -> None:
        """Let entries point into the slide for every level of a plane that it holds."""
        for reduction, level in source.ready.items():
            self._point(plane, reduction, level)

    def _first(self, plane: int) -> int:
        return plane * (len(self.entries) // len(self.planes))

    def _grid(self, plane: int, reduction: int) -> form.Entries:
        """The entries of one level as rows and columns (a view)."""
        record = self.levels[self.zoom.largest - reduction]
        rows, columns, first = int(record["rows"]), int(record["columns"]), int(record["first"]) + self._first(plane)
        return self.entries[first : first + rows * columns].reshape(rows, columns)

    def _point(self, plane: int, reduction: int, level: StoredLevel) -> None:
        """Let a level's entries point at the slide's own tiles."""
        assert level.jpeg is not None
        grid = self._grid(plane, reduction)
        rows, columns = min(grid.shape[0], level.grid.height), min(grid.shape[1], level.grid.width)
        here = grid[:rows, :columns]
        shape = (level.grid.height, level.grid.width)
        here["offset"] = level.offsets.reshape(shape)[:rows, :columns] + np.uint64(level.jpeg.skip)
        here["length"] = (level.counts.reshape(shape)[:rows, :columns] - np.uint64(level.jpeg.skip)).astype(np.uint32)
        here["blob"] = self.planes[plane].blob(level.jpeg.blob)
        here["part"] = form.PART_SLIDE
        self.planes[plane].stored.add(reduction)

    def stand_in(self, plane: int, reduction: int, level: StoredLevel, jpeg: bytes) -> None:
        """Let the entries of tiles the scanner never wrote point at one blank tile."""
        missing = np.argwhere(level.counts.reshape(level.grid.height, level.grid.width) == 0)
        for row, column in missing.tolist():
            self.put(Made(reduction, column, row, jpeg), plane)

    def defer(self, plane: int, reduction: int, inside: Size, level: StoredLevel | None) -> None:
        """Leave the first columns and rows of a level to be made on request: of the slide's own tiles of this `level`,
        or of the four tiles above each when there is none."""
        here = self._grid(plane, reduction)[: inside.height, : inside.width]
        if level is None:
            here["part"] = form.PART_ON_REQUEST
            self.on_request += inside.area
            return
        assert level.recipe is not None
        shape, written = (level.grid.height, level.grid.width), np.s_[: inside.height, : inside.width]
        here["offset"] = level.offsets.reshape(shape)[written]
        here["length"] = level.counts.reshape(shape)[written]
        here["blob"] = self.planes[plane].blob(level.recipe.pack())
        here["part"] = form.PART_CODED
        missing = np.argwhere(here["length"] == 0).tolist()
        self.on_request += inside.area - len(missing)
        for row, column in missing:  # never scanned
            white = blank(self.zoom.tile, self.zoom.tile, self.stack.samples)
            self.put(Made(reduction, column, row, self.encoding.encode(white)), plane)

    def put(self, made: Made, plane: int = 0) -> None:
        """Store a derived tile, or point at an equal one."""
        digest = hashlib.sha256(made.jpeg).digest()
        offset = self._seen.get(digest)
        if offset is None:
            offset = self.append(made.jpeg, digest)
        record = self.levels[self.zoom.largest - made.reduction]
        number = int(record["first"]) + made.row * int(record["columns"]) + made.column
        self.place(self._first(plane) + number, offset, len(made.jpeg))

    def append(self, jpeg: bytes, digest: bytes) -> int:
        """Write a tile no other equals, as far as is remembered, and its SHA-256; return where it begins."""
        offset = self.at
        self.file.write(jpeg)
        self.at += len(jpeg)
        self.distinct += 1
        self._digest.update(digest)
        self._seen.put(digest, offset)
        return offset

    def place(self, number: int, offset: int, length: int) -> None:
        """Let an entry, numbered through all planes, point at a derived tile."""
        self.tiles += 1
        self.entries[number] = (offset, length, 0, form.PART_DERIVED, 0)
        self.placed.append((number, offset, length))

    def digest_with(self, digests: Iterable[bytes] = ()) -> bytes:
        """SHA-256 over the SHA-256 of every derived tile so far, in file order, as if these came next."""
        digest = self._digest.copy()
        for more in digests:
            digest.update(more)
        return digest.digest()

    def finish(self, slide_bytes: int, slide_digest: bytes) -> form.Head:
        """Write the planes' blocks, the tail and the header."""
        self._pad()
        at = self.at
        records = [self._block(plane) for plane in range(len(self.planes))]
        tail = form.tail_of(records, self.stack).pack()
        self.file.write(tail)
        head = form.Head(
            self.zoom.tile, self.zoom.size, len(records), sum(found.blobs for found in records), slide_bytes,
            slide_digest, at, self.at + len(tail) - at, hashlib.sha256(tail).digest(), self.digest_with(),
            self.encoding.quality, self.stack.samples, len(tail),
        )  # fmt: skip
        self.file.seek(0)
        self.file.write(head.pack())
        return head

    def _block(self, plane: int) -> form.Record:
        facts, first = self.planes[plane], self._first(plane)
        stored = [self.zoom.largest - level in facts.stored for level in range(self.zoom.levels)]
        levels = form.level_records(self.zoom.size, self.zoom.tile, plane, stored)
        entries = self.entries[first : first + len(self.entries) // len(self.planes)]
        packed = form.pack_block(levels, tuple(facts.blobs), entries)
        record = form.Record(self.at, len(packed), len(facts.blobs), hashlib.sha256(packed).digest())
        self.file.write(packed)
        self.at += len(packed)
        return record

    def _pad(self) -> None:
        self.file.write(bytes(-self.at % form.ENTRY.itemsize))
        self.at += -self.at % form.ENTRY.itemsize
