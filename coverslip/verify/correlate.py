"""Where one grey picture stands in another: normalised cross-correlation by FFT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Grey = NDArray[np.float32]
BLUR = 6
"""Pixels of the blur that is taken out so that only detail remains."""


def detail(grey: Grey) -> Grey:
    """The picture without its broad light and dark."""
    picture = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    return grey - np.asarray(picture.filter(ImageFilter.BoxBlur(BLUR)), dtype=np.float32)


def quick(length: int) -> int:
    """The next length with no prime factor but 2, 3 and 5: transforms of prime lengths take far longer."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0 and rest > 1:
                rest //= factor
        if rest <= 1:
            return length
        length += 1


class Frame:
    """A picture to look in, with everything that does not depend on what is looked for worked out once."""

    def __init__(self, grey: Grey) -> None:
        """Take the picture; its mean is taken out so that sums of squares stay small."""
        self.shape = (grey.shape[0], grey.shape[1])
        self._padded = quick(self.shape[0]), quick(self.shape[1])
        centred = grey.astype(np.float64) - grey.mean()
        self._spectrum = np.fft.rfft2(centred, self._padded)
        self._sums, self._squares = _summed(centred), _summed(centred**2)

    def best_match(self, template: Grey, contrast: float) -> tuple[float, int, int]:
        """The highest correlation (−1…1) over all positions of the template, and its row and column.

        Positions where either shows less than `contrast` grey levels of deviation count as 0.
        """
        height, width = template.shape
        deviation = float(template.std())
        if deviation < contrast or height > self.shape[0] or width > self.shape[1]:
            return 0.0, 0, 0
        pattern = np.conj(np.fft.rfft2(template - template.mean(), self._padded))
        below, right = self.shape[0] - height + 1, self.shape[1] - width + 1
        sums, squares = _windows(self._sums, height, width), _windows(self._squares, height, width)
        variance = squares - sums * sums / template.size
        enough = variance > template.size * contrast**2
        norm = np.sqrt(np.where(enough, variance, 1.0)) * deviation * np.sqrt(template.size)
        products = np.fft.irfft2(self._spectrum * pattern, self._padded)[:below, :right]
        scores = np.where(enough, products / norm, 0.0)
        row, column = divmod(int(scores.argmax()), scores.shape[1])
        return float(scores[row, column]), row, column


def _summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over everything above and left of each place, so that any window's sum is four look-ups."""
    return np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _windows(summed: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """The sum over each window of this size, by its top left place."""
    return summed[height:, width:] - summed[:-height, width:] - summed[height:, :-width] + summed[:-height, :-width]
