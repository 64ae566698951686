"""What a slide's pixels say in numbers: a histogram per channel, and where there is tissue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.pyramid.pixels import Pixels
from coverslip.pyramid.stack import Stack

BINS: Final = 256
_LEAST: Final = 12
"""Steps of 255 by which tissue differs from glass at the least; below that it is noise."""


def histogram(pixels: Pixels) -> dict[str, Any]:
    """How often each of the 256 values occurs, per channel."""
    counts = {
        name: np.bincount(pixels[..., channel].ravel(), minlength=BINS).tolist() for channel, name in enumerate("rgb")
    }
    return {"bins": BINS, "pixels": pixels.shape[0] * pixels.shape[1], **counts}


def histograms(stack: Stack, grey: Mapping[int, Pixels]) -> dict[str, Any]:
    """How often each of the 256 steps of a channel's window occurs, by the channel's number."""
    found = [
        {
            "channel": number,
            "name": stack.channels[number].name or None,
            "window": stack.channels[number].window,
            "counts": np.bincount(pixels.ravel(), minlength=BINS).tolist(),
        }
        for number, pixels in grey.items()
    ]
    return {"bins": BINS, "pixels": next(iter(grey.values())).size, "channels": found}


def tissue(pixels: Pixels, *, light: bool = False) -> Image.Image:
    """A black and white picture of the same size, white where there is tissue.

    Otsu's threshold on the spread between the channels (stains are coloured, glass is not), on darkness where the slide
    is grey, and on brightness where `light` is what was counted. A guide for the eye and for sampling, not a diagnosis.
    """
    spread = pixels.max(2) if light else pixels.max(2) - pixels.min(2)
    if int(spread.max()) <= _LEAST and not light:
        spread = 255 - pixels.min(2)
    threshold = max(_otsu(spread), _LEAST)
    return Image.fromarray(spread > threshold).convert("1")


def _otsu(values: npt.NDArray[np.uint8]) -> int:
    """The value that parts the histogram with the largest variance between the parts."""
    counts = np.bincount(values.ravel(), minlength=BINS).astype(np.float64)
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * np.arange(BINS))
    both = below * above
    between = np.divide((total[-1] * below - total * below[-1]) ** 2, both, out=np.zeros(BINS), where=both > 0)
    return int(between.argmax())
