"""Stored tiles in file order, read in runs of a few megabytes, so that big slides cost few reads and little memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coverslip.errors import LimitExceeded
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes

BLOCK_BYTES = 2 << 20
MAX_TILE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Some tiles of one page whose bytes were read together."""

    tiles: NDArray[np.int64]
    """Tile numbers."""
    starts: NDArray[np.int64]
    """Where each begins in `data`."""
    sizes: NDArray[np.int64]
    data: bytes

    @property
    def cuts(self) -> list[tuple[int, int]]:
        """Where each tile begins and ends in `data`."""
        return list(zip(self.starts.tolist(), (self.starts + self.sizes).tolist(), strict=True))

    def digests(self) -> bytes:
        """SHA-256 of each tile, 32 bytes each."""
        view = memoryview(self.data)
        return b"".join([hashlib.sha256(view[start:end]).digest() for start, end in self.cuts])

    def pieces(self) -> list[bytes]:
        """The tiles one by one."""
        return [self.data[start:end] for start, end in self.cuts]

    def piece(self, index: int) -> bytes:
        """One tile."""
        start = int(self.starts[index])
        return self.data[start : start + int(self.sizes[index])]


def runs(page: Page) -> Iterator[NDArray[np.int64]]:
    """Numbers of stored tiles in file order, cut where a run would span more than a block; empty tiles are left out."""
    order = np.argsort(page.offsets, kind="stable")
    order = order[page.counts[order] > 0]
    if len(order) and int(page.counts.max()) > MAX_TILE_BYTES:
        raise LimitExceeded("a tile holds too many bytes", where=page.path)
    starts, ends = page.offsets[order], np.maximum.accumulate((page.offsets + page.counts)[order])
    first = 0
    while first < len(order):
        last = int(np.searchsorted(ends, starts[first] + BLOCK_BYTES, side="right"))
        last = max(last, first + 1)
        yield order[first:last]
        first = last


def load(file: Bytes, page: Page, tiles: NDArray[np.int64]) -> Block:
    """Read these tiles: in one go when they lie close together, one by one when scattered."""
    offsets, sizes = page.offsets[tiles], page.counts[tiles]
    begin, end = int(offsets.min()), int((offsets + sizes).max())
    if end - begin <= 2 * int(sizes.sum()) + BLOCK_BYTES // 4:
        data, starts = file.read(begin, end - begin, page.path), offsets - begin
    else:
        scattered = zip(offsets.tolist(), sizes.tolist(), strict=True)
        data = b"".join([file.read(at, size, page.path) for at, size in scattered])
        starts = np.cumsum(sizes) - sizes
    return Block(tiles, starts, sizes, data)
