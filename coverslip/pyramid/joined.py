"""Channels shown together: each in its colour, added up; made when asked for, out of the channels' own tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coverslip.errors import TileNotFound
from coverslip.pyramid.deepzoom import DeepZoom
from coverslip.pyramid.pixels import Encoding, Pixels
from coverslip.pyramid.plane import Plane
from coverslip.pyramid.stack import Channel

_STEPS: Final = 256
_FULL_COLOUR: Final = "444"
"""Colours are all there is to tell channels apart."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One channel's plane and how its values become light."""

    plane: Plane
    light: npt.NDArray[np.uint32] = field(repr=False)
    """What each of the 256 values of its tiles adds to red, green and blue."""


def layer(plane: Plane, channel: Channel, window: tuple[int, int] | None) -> Layer:
    """A channel in its colour; `window` in the sample's own units says which values become black and full light.

    Values beyond the channel's own window are not in its tiles, so light ends there.
    """
    low, high = channel.window
    values = low + np.arange(_STEPS) * ((high - low) / (_STEPS - 1))
    return Layer(plane, lights(values, window or channel.window, channel.colour))


def lights(values: npt.NDArray[Any], window: tuple[int, int], colour: str) -> npt.NDArray[np.uint32]:
    """What each sample value adds to red, green and blue."""
    first, last = window
    share = np.clip((values - first) / (last - first), 0, 1)
    full = np.frombuffer(bytes.fromhex(colour), np.uint8)
    return np.rint(share[:, None] * full[None, :]).astype(np.uint32)


class Joined:
    """Several channels of one focal plane at one moment, as one picture."""

    def __init__(self, layers: Sequence[Layer], key: str, version: str, quality: int) -> None:
        """`key` as in `Picture`; at least one layer."""
        self.grid: Final[DeepZoom] = layers[0].plane.grid
        self.key: Final = key
        self._layers = tuple(layers)
        self._tag = f'"{version}-{key}-' if key else f'"{version}-'
        self._encoding = Encoding(quality, _FULL_COLOUR)

    @property
    def loaded(self) -> bool:
        """As in `Picture`."""
        return all(found.plane.loaded for found in self._layers)

    def load(self) -> None:
        """As in `Picture`."""
        for found in self._layers:
            found.plane.load()

    def tile(self, dz_level: int, column: int, row: int) -> bytes:
        """As in `Picture`."""
        return self._encoding.encode(self.decoded(dz_level, column, row))

    def tile_at_hand(self, dz_level: int, column: int, row: int) -> None:
        """As in `Picture`: never."""
        self._check(dz_level, column, row)

    def tile_length(self, dz_level: int, column: int, row: int) -> None:
        """As in `Picture`: nobody knows before it is made."""
        self._check(dz_level, column, row)

    def on_request(self, dz_level: int, column: int, row: int) -> bool:
        """As in `Picture`: always."""
        self._check(dz_level, column, row)
        return True

    def stored(self, dz_level: int, column: int, row: int) -> bool:
        """As in `Picture`: never."""
        self._check(dz_level, column, row)
        return False

    def etag(self, dz_level: int, column: int, row: int) -> str:
        """As in `Picture`."""
        self._check(dz_level, column, row)
        return f'{self._tag}{dz_level}-{column}-{row}"'

    def decoded(self, dz_level: int, column: int, row: int) -> Pixels:
        """As in `Picture`."""
        self._check(dz_level, column, row)
        light: npt.NDArray[np.uint32] | None = None
        for found in self._layers:
            grey = found.plane.shown(dz_level, column, row, "GRAY")[..., 0]
            light = found.light[grey] if light is None else np.add(light, found.light[grey], out=light)
        assert light is not None
        return np.minimum(light, _STEPS - 1).astype(np.uint8)

    def _check(self, dz_level: int, column: int, row: int) -> None:
        if not 0 <= dz_level < self.grid.levels:
            raise TileNotFound
        grid = self.grid.grid(self.grid.largest - dz_level)
        if not (0 <= column < grid.width and 0 <= row < grid.height):
            raise TileNotFound
