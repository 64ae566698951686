"""What a JPEG 2000 decoder shows at half resolution, against the 2 × 2 mean of what it shows in full.

    python -m benchmarks.wavelet SLIDE…      the tiles of a slide's first level, coded with both wavelets

The half-resolution picture is the wavelet's low band. Its samples lie half a pixel up and left of the means, so the
best that any linear filter of 7 × 7 of them makes of it is given too: fitted on the very tiles it is measured on.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Pixels = npt.NDArray[np.float64]

SIDE = 256
TILES = 40
REACH = 3
CODED = ((True, 0), (False, 45), (False, 40), (False, 34))
"""Reversible or not, and decibels; 0 is without loss."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="+", type=Path)
    print(f"{'':34}{'kB':>6}{'full ms':>9}{'half ms':>9}{'low band dB':>20}{'filtered dB':>20}")
    for slide in parser.parse_args().slides:
        pictures = list(_pictures(tifffile.imread(slide, key=0)))
        for reversible, decibels in CODED:
            coded = [_coded(picture, reversible, decibels) for picture in pictures]
            name = f"{slide.stem[:18]} {'5/3' if reversible else '9/7'} {decibels or 'lossless'}"
            _line(name, coded)


def _coded(picture: npt.NDArray[np.uint8], reversible: bool, decibels: int) -> bytes:
    form: dict[str, Any] = {"codecformat": "J2K", "mct": False, "reversible": reversible}
    return bytes(imagecodecs.jpeg2k_encode(picture, decibels, **form))


def _pictures(level: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    rows, columns = level.shape[0] // SIDE, level.shape[1] // SIDE
    for number in np.linspace(0, rows * columns - 1, min(TILES, rows * columns)).astype(int):
        y, x = (at * SIDE for at in divmod(int(number), columns))
        yield np.ascontiguousarray(level[y : y + SIDE, x : x + SIDE])


def _line(name: str, coded: list[bytes]) -> None:
    begin = time.thread_time()
    means = [_mean(imagecodecs.jpeg2k_decode(data, numthreads=1).astype(float)) for data in coded]
    middle = time.thread_time()
    halves = [_half(data) for data in coded]
    end = time.thread_time()
    taps = [_taps(half) for half in halves]
    normal = sum(each.T @ each for each in taps)
    wanted = sum(each.T @ mean.reshape(-1) for each, mean in zip(taps, means, strict=True))
    best = np.linalg.lstsq(normal, wanted, rcond=None)[0]
    filtered = [(each @ best).clip(0, 255).round().reshape(mean.shape) for each, mean in zip(taps, means, strict=True)]
    cost = f"{sum(map(len, coded)) / len(coded) / 1000:6.0f}"
    cost += "".join(f"{1000 * seconds / len(coded):9.2f}" for seconds in (middle - begin, end - middle))
    print(f"{name:34}{cost}{_decibels(halves, means):>20}{_decibels(filtered, means):>20}")


def _half(data: bytes) -> Pixels:
    """Pillow's decode without the highest resolution; it keeps the interpreter's lock meanwhile."""
    image = Image.open(io.BytesIO(data))
    image.reduce = 1  # type: ignore[assignment, method-assign]
    return np.asarray(image).astype(float)


def _mean(pixels: Pixels) -> Pixels:
    total: Pixels = pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]
    return (total / 4).round()


def _taps(half: Pixels) -> Pixels:
    """Per sample the 7 × 7 around it."""
    wide = np.pad(half, ((REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    steps = range(2 * REACH + 1)
    return np.stack([wide[y : y + half.shape[0], x : x + half.shape[1]] for y in steps for x in steps], -1).reshape(
        -1, len(steps) ** 2
    )


def _decibels(shown: list[Pixels], wanted: list[Pixels]) -> str:
    errors = [((one - other) ** 2).mean() for one, other in zip(shown, wanted, strict=True)]
    found = [99.0 if not error else 10 * np.log10(255**2 / error) for error in errors]
    return f"{min(found):.1f} … {np.median(found):.1f} … {max(found):.1f}"


if __name__ == "__main__":
    main()
