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


def best_match(template: Grey, frame: Grey, contrast: float) -> tuple[float, int, int]:
    """The highest correlation (−1…1) over all positions of the template in the frame, and its row and column.

    Positions where either shows less than `contrast` grey levels of deviation count as 0.
    """
    height, width = template.shape
    if template.std() < contrast or height > frame.shape[0] or width > frame.shape[1]:
        return 0.0, 0, 0
    shape = (frame.shape[0], frame.shape[1])
    centred = frame.astype(np.float64) - frame.mean()
    spectrum, ones = np.fft.rfft2(centred), np.conj(np.fft.rfft2(np.ones(template.shape), shape))
    pattern = np.conj(np.fft.rfft2(template - template.mean(), shape))
    valid = (slice(0, shape[0] - height + 1), slice(0, shape[1] - width + 1))
    sums = np.fft.irfft2(spectrum * ones, shape)[valid]
    squares = np.fft.irfft2(np.fft.rfft2(centred**2) * ones, shape)[valid]
    variance = squares - sums * sums / template.size
    enough = variance > template.size * contrast**2
    norm = np.sqrt(np.where(enough, variance, 1.0)) * float(template.std()) * np.sqrt(template.size)
    scores = np.where(enough, np.fft.irfft2(spectrum * pattern, shape)[valid] / norm, 0.0)
    row, column = divmod(int(scores.argmax()), scores.shape[1])
    return float(scores[row, column]), row, column
