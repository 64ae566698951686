"""Converted slides: what was decoded and encoded again still shows the source's pixels."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray

from coverslip.geometry import Point, Size
from coverslip.verify import other_reader
from coverslip.verify.report import Finding

REGION = 256
PER_LEVEL = 8
MIN_PSNR = 30.0
MAX_MEAN_DIFFERENCE = 3.0
Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the sample of regions showed."""

    compared: int
    agreeing: int
    worst_psnr: float
    worst_difference: float


def check_decoded(clean: Path, source: Path, step: Callable[[float], None]) -> tuple[Sampled, list[Finding]]:
    """Compare corners, centre and a fixed sample of every level, decoded by OpenSlide on both sides."""
    before, after = other_reader.opened(source), other_reader.opened(clean)
    if before is None or after is None:
        where = "source" if before is None else "clean"
        return Sampled(0, 0, 0.0, 0.0), [Finding("scans", "not-comparable", where, "no other reader opens the slide")]
    with before, after, other_reader.typed("levels"):
        return _compare(before, after, step)


def _compare(
    before: openslide.OpenSlide, after: openslide.OpenSlide, step: Callable[[float], None]
) -> tuple[Sampled, list[Finding]]:
    scores: list[tuple[float, float]] = []
    findings: list[Finding] = []
    levels = min(before.level_count, after.level_count)
    for level in range(levels):
        for place, size in _regions(before, level):
            score = _score(_read(before, level, place, size), _read(after, level, place, size))
            scores.append(score)
            if not _agrees(score):
                where = f"level[{level}] at {place.x},{place.y}"
                findings.append(Finding("scans", "pixels-differ", where, "does not show what the source shows"))
        step((level + 1) / levels)
    agreeing = sum(_agrees(score) for score in scores)
    worst = min((psnr for psnr, _ in scores), default=0.0), max((mean for _, mean in scores), default=0.0)
    return Sampled(len(scores), agreeing, round(worst[0], 2), round(worst[1], 3)), findings


def _agrees(score: tuple[float, float]) -> bool:
    return score[0] >= MIN_PSNR and score[1] <= MAX_MEAN_DIFFERENCE


def _regions(slide: openslide.OpenSlide, level: int) -> Iterator[tuple[Point, Size]]:
    """Corners, centre and some more, moved to where a level's pixels meet level 0's, so that no reader resamples."""
    full = Size(*slide.level_dimensions[level])
    size = Size(min(REGION, full.width), min(REGION, full.height))
    far = Point(full.width - size.width, full.height - size.height)
    chance = random.Random(f"{full.width} {full.height} {level}")
    places = [Point(0, 0), Point(far.x, 0), Point(0, far.y), far, Point(far.x // 2, far.y // 2)]
    places += [Point(chance.randint(0, far.x), chance.randint(0, far.y)) for _ in range(PER_LEVEL)]
    downsample = slide.level_downsamples[level]
    for place in dict.fromkeys(places):
        yield Point(_meeting(place.x, downsample), _meeting(place.y, downsample)), size


def _meeting(wanted: int, downsample: float) -> int:
    """The position at most 64 before `wanted` whose place on level 0 is nearest to a whole pixel."""
    candidates = range(wanted, max(-1, wanted - 64), -1)
    return min(candidates, key=lambda at: round(abs(at * downsample - round(at * downsample)), 6))


def _read(slide: openslide.OpenSlide, level: int, place: Point, size: Size) -> Pixels:
    downsample = slide.level_downsamples[level]
    at = (round(place.x * downsample), round(place.y * downsample))
    with other_reader.typed(f"level[{level}]"):
        rgba = np.asarray(slide.read_region(at, level, (size.width, size.height)), dtype=np.float32)
    colour = bytes.fromhex(slide.properties.get("openslide.background-color", "FFFFFF"))
    alpha = rgba[..., 3:] / 255
    blended = rgba[..., :3] * alpha + np.frombuffer(colour, np.uint8).astype(np.float32) * (1 - alpha)
    return blended.astype(np.float32)


def _score(before: Pixels, after: Pixels) -> tuple[float, float]:
    """PSNR in dB and the largest mean difference of a colour."""
    difference = before - after
    error = float(np.mean(difference * difference))
    psnr = 99.0 if error < 1e-6 else min(99.0, float(10 * np.log10(255 * 255 / error)))
    return psnr, float(np.abs(difference.mean(axis=(0, 1))).max())
