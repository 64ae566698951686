"""Tissue-like pixels at any place of a slide of any size, from three small textures with periods that never meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from coverslip.geometry import Point, Size

Pixels = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]

STROMA_PERIOD, NUCLEI_PERIOD, GLASS_PERIOD = 631, 907, 431
"""Prime, so that a tile grid comes back to the same crop only after 431 tiles of glass or half a million of tissue."""
MARGIN = 1024
"""Largest tile in pixels: textures repeat that far so that a crop is one slice."""
COARSE = 256
"""Cells per side of the map that says where tissue is."""
SOFT = 0.15
"""Width of a tissue edge, in standard deviations of that map."""
BLANK = (243, 242, 245)


def noise(period: int, scale: float, rng: np.random.Generator) -> Field:
    """Smooth periodic noise of zero mean and unit deviation whose features are about `scale` pixels wide."""
    frequency = np.fft.fftfreq(period)[:, None] ** 2 + np.fft.rfftfreq(period)[None, :] ** 2
    spectrum = np.fft.rfft2(rng.standard_normal((period, period))) * np.exp(-frequency * (scale * np.pi) ** 2 / 2)
    spectrum[0, 0] = 0
    wave = np.fft.irfft2(spectrum, s=(period, period))
    return np.asarray(wave / wave.std(), dtype=np.float32)


def _torus(texture: Field) -> Pixels:
    whole = np.clip(texture, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.pad(whole, ((0, MARGIN), (0, MARGIN), (0, 0)), mode="wrap"))


def _stroma(rng: np.random.Generator) -> Pixels:
    coarse, fine, grain = (noise(STROMA_PERIOD, scale, rng) for scale in (90, 12, 1.2))
    eosin = 0.75 * coarse + 0.75 * fine + 0.3 * grain
    colour = np.array([228, 170, 205], np.float32)
    depth = np.array([12, 24, 15], np.float32)
    return _torus(colour + depth * eosin[..., None])


def _nuclei(rng: np.random.Generator) -> Pixels:
    bodies, chromatin, grain = (noise(NUCLEI_PERIOD, scale, rng) for scale in (14, 4, 1.0))
    inside = 1 / (1 + np.exp(-9 * (bodies - 1.1)))
    amount = np.clip(inside * (1 + 0.22 * chromatin), 0, 2)
    absorbed = np.array([112, 92, 62], np.float32)
    return _torus(absorbed * amount[..., None] + 5 + 4 * grain[..., None])


def _glass(rng: np.random.Generator) -> Pixels:
    shade, grain = noise(GLASS_PERIOD, 60, rng), noise(GLASS_PERIOD, 5, rng)
    return _torus(np.array(BLANK, np.float32) + (1.6 * shade + 2.2 * grain)[..., None])


@dataclass(frozen=True, slots=True)
class Textures:
    """What tissue and glass look like close up."""

    stroma: Pixels
    nuclei: Pixels
    glass: Pixels


@cache
def textures() -> Textures:
    """The textures all slides share: made once per process, since they take most of a second."""
    rng = np.random.default_rng(20_09)
    return Textures(_stroma(rng), _nuclei(rng), _glass(rng))


@dataclass(frozen=True, slots=True)
class Tissue:
    """The picture of one glass; every pixel can be asked for, none is kept."""

    size: Size
    seed: int = 0
    share: float = 1.0
    """Part of the area that is tissue; the rest is glass."""
    repeated_blank: bool = False
    """Glass is one even colour, so that blank tiles are equal; otherwise it has grain and no two are."""
    _map: Field = field(init=False, repr=False)
    _shift: Point = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Decide where tissue lies and where the textures begin."""
        textures()  # here, so that two threads do not both make them
        rng = np.random.default_rng(self.seed)
        where = noise(COARSE, 40, rng)
        bias = np.quantile(where, 1 - self.share) if self.share < 1 else where.min() - 2 * SOFT
        object.__setattr__(self, "_map", (where - np.float32(bias)) / SOFT + 0.5)
        object.__setattr__(self, "_shift", Point(*map(int, rng.integers(0, 1 << 16, 2))))

    def crop(self, x: int, y: int, width: int, height: int) -> Pixels:
        """RGB pixels of a rectangle at most 1024 on a side; beyond the slide its last row and column go on."""
        inner = self._inside(x, y, min(width, self.size.width - x), min(height, self.size.height - y))
        missing = ((0, height - inner.shape[0]), (0, width - inner.shape[1]), (0, 0))
        return inner if not any(sum(pair) for pair in missing) else np.pad(inner, missing, mode="edge")

    def is_blank(self, x: int, y: int, width: int, height: int) -> bool:
        """Whether no tissue reaches into the rectangle."""
        rows, columns = self._cells(y, height, self.size.height), self._cells(x, width, self.size.width)
        return bool(self._map[rows[0] : rows[1], columns[0] : columns[1]].max() <= 0)

    def _cells(self, start: int, length: int, whole: int) -> tuple[int, int]:
        first, last = start * (COARSE - 1) // whole, (start + length) * (COARSE - 1) // whole
        return min(first, COARSE - 1), min(last + 2, COARSE)

    def _inside(self, x: int, y: int, width: int, height: int) -> Pixels:
        if self.is_blank(x, y, width, height):
            return self._background(x, y, width, height)
        stroma = self._cut(textures().stroma, STROMA_PERIOD, x, y, width, height)
        nuclei = self._cut(textures().nuclei, NUCLEI_PERIOD, x, y, width, height)
        tissue = stroma - np.minimum(stroma, nuclei)
        rows, columns = self._cells(y, height, self.size.height), self._cells(x, width, self.size.width)
        if self._map[rows[0] : rows[1], columns[0] : columns[1]].min() >= 1:
            return tissue
        alpha = self._alpha(x, y, width, height)[..., None]
        background = self._background(x, y, width, height)
        return np.asarray(background + (tissue.astype(np.float32) - background) * alpha, dtype=np.uint8)

    def _background(self, x: int, y: int, width: int, height: int) -> Pixels:
        if self.repeated_blank:
            return np.full((height, width, 3), BLANK, np.uint8)
        return np.ascontiguousarray(self._cut(textures().glass, GLASS_PERIOD, x, y, width, height))

    def _alpha(self, x: int, y: int, width: int, height: int) -> Field:
        row = (np.arange(y, y + height, dtype=np.float64)) * (COARSE - 1) / self.size.height
        column = (np.arange(x, x + width, dtype=np.float64)) * (COARSE - 1) / self.size.width
        top, left = row.astype(int), column.astype(int)
        down, right = (row - top)[:, None], (column - left)[None, :]
        upper = self._map[top][:, left] * (1 - right) + self._map[top][:, left + 1] * right
        lower = self._map[top + 1][:, left] * (1 - right) + self._map[top + 1][:, left + 1] * right
        return np.asarray(np.clip(upper * (1 - down) + lower * down, 0, 1), dtype=np.float32)

    def _cut(self, texture: Pixels, period: int, x: int, y: int, width: int, height: int) -> Pixels:
        left, top = (x + self._shift.x) % period, (y + self._shift.y) % period
        return texture[top : top + height, left : left + width]


def shrunk(pixels: Pixels, factor: int) -> Pixels:
    """Box-filtered by `factor` (a power of two), rounded to nearest."""
    total = pixels.astype(np.uint16) if factor <= 16 else pixels.astype(np.uint32)
    step = factor
    while step > 1:
        total = total[0::2] + total[1::2]
        total = total[:, 0::2] + total[:, 1::2]
        step //= 2
    area = factor * factor
    return np.asarray((total + area // 2) // area, dtype=np.uint8)
