"""One stored tile, unpacked: where each sample of a pixel has tiles of its own, they are put side by side again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from coverslip.errors import DamagedSlide
from coverslip.pyramid.source import StoredLevel, read_tiles
from coverslip.tiff import tags as t

Kind = TypeVar("Kind", bound=np.generic)


def read_stored(
    fd: int,
    level: StoredLevel,
    decode: Callable[[bytes, int], npt.NDArray[Kind]],
    column: int,
    row: int,
) -> npt.NDArray[Kind] | None:
    """All of a tile, padding included; None where the scanner never wrote it.

    Raises DamagedSlide when it cannot be decoded or is not as large as it should be, StorageFailed when it cannot be
    read.
    """
    found = [_part(fd, level, decode, column, row + part * level.grid.height) for part in range(_parts(level))]
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return None
    if any(part.shape[:2] != (level.tile.height, level.tile.width) for part in parts):
        raise DamagedSlide("a tile's own size is not the tile size", where=level.where)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _parts(level: StoredLevel) -> int:
    """How many tiles hold one tile's samples. Source: TIFF 6.0, PlanarConfiguration; the fourth would be alpha."""
    samples = level.directory.number(t.SAMPLES_PER_PIXEL, 1)
    return min(3, samples) if level.directory.number(t.PLANAR_CONFIGURATION, 1) == t.SEPARATE else 1


def _part(
    fd: int,
    level: StoredLevel,
    decode: Callable[[bytes, int], npt.NDArray[Kind]],
    column: int,
    row: int,
) -> npt.NDArray[Kind] | None:
    raw = read_tiles(fd, level, row, range(column, column + 1))[0]
    return decode(bytes(raw), row * level.grid.width + column) if raw else None
