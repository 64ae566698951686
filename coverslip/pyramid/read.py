"""A clean slide and its index, opened: what is shown when nobody asks for anything, and everything else on request."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from coverslip.errors import PyramidInvalid, StorageFailed
from coverslip.geometry import Size
from coverslip.pyramid import index as form
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.index import Head, Tail, parse_head, parse_tail
from coverslip.pyramid.joined import Joined, layer
from coverslip.pyramid.on_request import Make, made
from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.plane import Files, Mapped, Picture, Plane, ReadRange, reader, reader_at_hand
from coverslip.pyramid.stack import WHITE, Stack
from coverslip.pyramid.thumbnail import thumbnail

Window = tuple[int, int]


class Pyramid:
    """The deep-zoom tiles of one clean slide. Safe to share between threads; open it after forking, not before.

    It is a picture itself: the middle focal plane, or all channels of it joined. A cache should let go of a pyramid
    rather than close it: the files close with the last user, never under one.
    """

    def __init__(self, files: Files, close: Callable[[], None]) -> None:
        """Serve from two checked files; `close` releases them. `open` is the usual way in."""
        self._files = files
        self._close = weakref.finalize(files, close)  # a picture outlives its pyramid, the files outlive both
        self.stack: Final[Stack] = files.tail.stack
        """What the planes are, and how their samples are shown."""
        self.version: Final = files.head.version
        """Content version: 32 hex digits that change when any tile can have changed."""
        self.slide_digest: Final = files.head.slide_digest
        """SHA-256 of the clean slide the index was built for."""
        self.plain: Final[Picture] = self.shown()
        """What is shown when nobody asks for anything."""
        self.plain.load()

    @classmethod
    def open(cls, clean: Path, index: Path, *, make: Make = made) -> Pyramid:
        """Open a clean slide with its index; `make` makes tiles of pieces no browser shows.

        Raises PyramidInvalid when they do not belong together or the index is damaged, StorageFailed when one cannot be
        opened. The slide's own bytes are not read: `check` does that.
        """
        opened: list[int] = []
        try:
            for path in (clean, index):
                opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            slide, derived = opened
            length = os.fstat(derived).st_size
            head, tail = _parsed((reader(slide), os.fstat(slide).st_size), (reader(derived), length))
            at_hand = (reader_at_hand(slide), reader_at_hand(derived)) if hasattr(os, "RWF_NOWAIT") else None
            mapped = Mapped.of(derived, head.index_at, length)
            files = Files(head, tail, reader(slide), reader(derived), make, at_hand, mapped)
            return cls(files, lambda: _close_all(opened))
        except (OSError, ValueError) as error:
            _close_all(opened)
            raise StorageFailed("the slide or its index cannot be opened", where="pyramid") from error
        except (PyramidInvalid, StorageFailed):
            _close_all(opened)
            raise

    @classmethod
    def over(cls, clean: tuple[ReadRange, int], index: tuple[ReadRange, int], *, make: Make = made) -> Pyramid:
        """Serve from two files that are read in ranges, each with its length in bytes; two or three are read now.

        Raises PyramidInvalid when they do not belong together or the index is damaged, and what reading raises.
        """
        head, tail = _parsed(clean, index)
        return cls(Files(head, tail, clean[0], index[0], make), lambda: None)

    @property
    def size(self) -> Size:
        """Pixels of the largest level."""
        return self.plain.grid.size

    @property
    def tile_size(self) -> int:
        """Side of a tile in pixels."""
        return self.plain.grid.tile

    @property
    def dz_levels(self) -> int:
        """How many levels DeepZoom counts; the largest is `dz_levels - 1`."""
        return self.plain.grid.levels

    @property
    def grid(self) -> DeepZoom:
        """Addresses and extents of all tiles."""
        return self.plain.grid

    @property
    def key(self) -> str:
        """Empty: see `Picture`."""
        return self.plain.key

    def shown(
        self,
        z: int | None = None,
        t: int = 0,
        channels: Sequence[int] = (),
        windows: Sequence[Window] = (),
    ) -> Picture:
        """One focal plane at one moment: its own tiles, or grey channels joined in their colours.

        `channels` names those that are shown, all without; `windows` is one for all of them or one for each, in the
        sample's own units. All numbers must exist. Only grey channels have them; one in white is its own tiles.
        """
        stack = self.stack
        z = stack.middle if z is None else z
        moved = "" if z == stack.middle and t == 0 else f"z{z}t{t}"
        if not stack.joined and not windows:
            return Plane(self._files, stack.number(z, 0, t), moved)
        every = tuple(range(len(stack.channels)))
        numbers = tuple(channels) or every
        named = moved + ("" if numbers == every else "".join(f"c{number}" for number in numbers))
        if not windows and len(numbers) == 1 and stack.channels[numbers[0]].colour == WHITE:
            return Plane(self._files, stack.number(z, numbers[0], t), named)
        each = tuple(windows) * len(numbers) if len(windows) == 1 else tuple(windows) or (None,) * len(numbers)
        layers = [
            layer(Plane(self._files, stack.number(z, channel, t), ""), stack.channels[channel], window)
            for channel, window in zip(numbers, each, strict=True)
        ]
        stretched = "".join(f"w{low}.{high}" for low, high in windows)
        return Joined(layers, named + stretched, self.version, self._files.head.quality)

    def plane(self, z: int, channel: int, t: int) -> Plane:
        """One plane as it is stored, grey channels in white. All numbers must exist."""
        return Plane(self._files, self.stack.number(z, channel, t), f"z{z}c{channel}t{t}")

    def tile(self, dz_level: int, column: int, row: int) -> bytes:
        """As in `Picture`."""
        return self.plain.tile(dz_level, column, row)

    def tile_at_hand(self, dz_level: int, column: int, row: int) -> bytes | bytearray | None:
        """As in `Picture`."""
        return self.plain.tile_at_hand(dz_level, column, row)

    def tile_length(self, dz_level: int, column: int, row: int) -> int | None:
        """As in `Picture`."""
        return self.plain.tile_length(dz_level, column, row)

    def on_request(self, dz_level: int, column: int, row: int) -> bool:
        """As in `Picture`."""
        return self.plain.on_request(dz_level, column, row)

    def stored(self, dz_level: int, column: int, row: int) -> bool:
        """As in `Picture`."""
        return self.plain.stored(dz_level, column, row)

    def etag(self, dz_level: int, column: int, row: int) -> str:
        """As in `Picture`."""
        return self.plain.etag(dz_level, column, row)

    def decoded(self, dz_level: int, column: int, row: int) -> Pixels:
        """As in `Picture`."""
        return self.plain.decoded(dz_level, column, row)

    @property
    def loaded(self) -> bool:
        """Always: opening reads what the plain picture needs."""
        return True

    def load(self) -> None:
        """Nothing is left to do."""

    def descriptor(self) -> str:
        """The `.dzi` document."""
        return self.grid.xml()

    def descriptor_json(self) -> str:
        """The same as JSON."""
        return self.grid.json()

    def thumbnail(self, width: int) -> bytes:
        """A JPEG of the whole slide about `width` pixels wide. Raises PyramidInvalid when a tile is damaged."""
        return thumbnail(self.grid, self.tile, width)

    def close(self) -> None:
        """Release both files; twice does no harm."""
        self._close()

    def __enter__(self) -> Pyramid:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def _parsed(clean: tuple[ReadRange, int], index: tuple[ReadRange, int]) -> tuple[Head, Tail]:
    """Header and tail, held against both files' lengths. Raises PyramidInvalid and what reading raises."""
    read, length = index
    head = parse_head(read(form.HEADER_BYTES, 0))
    if length != head.file_bytes:
        raise PyramidInvalid("the file has another length than its header says", where="header")
    if clean[1] != head.slide_bytes:
        raise PyramidInvalid("the slide has another length than the index was built for", where="slide")
    return head, parse_tail(head, read(head.tail_bytes, head.tail_at) if head.tail_bytes else b"")


def _close_all(opened: list[int]) -> None:
    while opened:
        os.close(opened.pop())
