"""No picture of the label or of the whole glass came along: turned, mirrored, scaled, cropped or encoded anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from coverslip.verify.report import Finding

Grey = NDArray[np.float32]

FULL = 64
"""Pictures are compared at this many pixels on their longer side: tissue, labels and glass are told apart by it."""
SMALLEST = 20
STEP = 1.1
"""Ratio between tried scales; a match survives half a step."""
THRESHOLD = 0.72
MIN_CONTRAST = 6.0
"""Grey levels of standard deviation below which a picture shows nothing to compare."""
MIN_COVER = 0.6
"""A crop counts when it shows at least this share of the private picture."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, small and grey."""

    where: str
    grey: Grey


def small(where: str, picture: Image.Image) -> Picture:
    """Reduce a picture for comparison; clear parts become white."""
    if picture.mode in ("RGBA", "LA", "PA"):
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    grey = picture.convert("L")
    grey.thumbnail((FULL, FULL), Image.Resampling.BOX, reducing_gap=None)
    return Picture(where, np.asarray(grey, dtype=np.float32))


def check_labels(private: Sequence[Picture], shown: Sequence[Picture]) -> tuple[float, list[Finding]]:
    """Look for each private picture of the source in each picture of the clean slide; best match and findings."""
    best, findings = 0.0, []
    for picture in shown:
        for secret in private:
            score = likeness(secret.grey, picture.grey)
            best = max(best, score)
            if score >= THRESHOLD:
                detail = f"shows what {secret.where} of the source shows"
                findings.append(Finding("labels", "private-picture", picture.where, detail))
    return round(best, 3), findings


def likeness(private: Grey, shown: Grey) -> float:
    """How well one picture is found in the other, −1…1: any quarter turn, mirror image, scale, crop or surrounding."""
    if private.std() < MIN_CONTRAST or shown.std() < MIN_CONTRAST:
        return 0.0
    return max(_best(turned, shown) for turned in _orientations(private))


def _orientations(grey: Grey) -> Iterator[Grey]:
    for mirrored in (grey, grey[:, ::-1]):
        for turns in range(4):
            yield np.rot90(mirrored, turns)


def _best(private: Grey, shown: Grey) -> float:
    """The private picture whole inside the shown one, or the shown one a large crop of it."""
    inside = [_match(scaled, shown) for scaled in _scales(private, shown.shape)]
    around = [_match(scaled, private) for scaled in _scales(shown, private.shape) if _covers(scaled, private)]
    return max([0.0, *inside, *around])


def _covers(crop: Grey, whole: Grey) -> bool:
    return crop.size >= MIN_COVER * whole.size


def _scales(template: Grey, frame: tuple[int, ...]) -> Iterator[Grey]:
    """The template at every size that fits into the frame, largest first, and stretched to fill it."""
    height, width = template.shape
    scale = min(frame[0] / height, frame[1] / width)
    while min(height, width) * scale >= SMALLEST:
        yield _resized(template, round(width * scale), round(height * scale))
        scale /= STEP
    stretch = (frame[1] / width) / (frame[0] / height)
    if 2 / 3 < stretch < 3 / 2:
        yield _resized(template, frame[1], frame[0])


def _resized(grey: Grey, width: int, height: int) -> Grey:
    picture = Image.fromarray(np.ascontiguousarray(grey))
    return np.asarray(picture.resize((max(1, width), max(1, height)), Image.Resampling.BILINEAR), dtype=np.float32)


def _match(template: Grey, frame: Grey) -> float:
    """The highest normalised cross-correlation over all positions of the template in the frame."""
    height, width = template.shape
    if template.std() < MIN_CONTRAST or height > frame.shape[0] or width > frame.shape[1]:
        return 0.0
    shape = (frame.shape[0], frame.shape[1])
    spectrum = np.fft.rfft2(frame - frame.mean())
    correlation = _correlate(spectrum, template - template.mean(), shape)
    ones = np.ones_like(template)
    sums = _correlate(spectrum, ones, shape)
    squares = _correlate(np.fft.rfft2((frame - frame.mean()) ** 2), ones, shape)
    valid = (slice(0, shape[0] - height + 1), slice(0, shape[1] - width + 1))
    variance = (squares - sums * sums / template.size)[valid]
    enough = variance > template.size * MIN_CONTRAST**2
    if not enough.any():
        return 0.0
    norm = np.sqrt(variance[enough]) * float(template.std()) * np.sqrt(template.size)
    return float((correlation[valid][enough] / norm).max())


def _correlate(spectrum: NDArray[np.complex128], template: Grey, shape: tuple[int, int]) -> NDArray[np.float64]:
    return np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(template, shape)), shape)
