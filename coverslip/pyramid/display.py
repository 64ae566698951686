"""Which samples of a picture are shown, and how their values are stretched."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Final

from PIL import Image

BANDS: Final = {"RGB": 3, "L": 1}


@dataclass(frozen=True, slots=True)
class Window:
    """Values that become black and full brightness, low < high; 0 … 255 is all of them."""

    low: float
    high: float

    def table(self) -> list[int]:
        """What each stored value is shown as."""
        return [round(255 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))) for value in range(256)]


@dataclass(frozen=True, slots=True)
class Display:
    """Everything as stored, unless it says otherwise."""

    channels: tuple[int, ...] = ()
    """Samples shown, the others are black; none named means all."""
    windows: tuple[Window, ...] = ()
    """One for all of them, or one for each in `channels`."""

    @property
    def key(self) -> str:
        """Equal for equal pictures of equal pixels."""
        windows = "-".join(f"{window.low:.6g}-{window.high:.6g}" for window in self.windows)
        return f"c{'-'.join(map(str, self.channels))} w{windows}" if self.channels or self.windows else ""

    def applied(self, picture: Image.Image) -> Image.Image:
        """The picture as it is to be shown; one that is neither colour nor grey is left alone."""
        bands = BANDS.get(picture.mode)
        if bands is None or not (self.channels or self.windows):
            return picture
        shown = self.channels or tuple(range(bands))
        windows = self.windows * len(shown) if len(self.windows) == 1 else self.windows
        tables = [[0] * 256 for _ in range(bands)]
        for at, channel in enumerate(shown):
            tables[channel] = windows[at].table() if windows else list(range(256))
        return picture.point(list(chain.from_iterable(tables)))
