"""Every level and every picture beside the levels shows the scene of the base, and not the label in a level's clothes.

A page may be tiled like a level, have the base's shape and say nothing else, and still be a picture of the label. So
each level is compared with the next larger one, and a thumbnail with the smallest level that is larger: where the
smaller picture shows something, the larger one shows it too. Nothing has to be shown: empty glass is like anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from coverslip.verify.correlate import Frame, Grey
from coverslip.verify.labels import Picture
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding
from coverslip.verify.views import Tiled, View, Whole, factor_for

BLOCKS = 16
"""Stored tiles of a level that are looked into for places that show something."""
PLACES = 12
"""Places that are compared."""
SIDES = (32, 96)
"""Pixels of a place in the smaller picture, at least and at most: so that a few tiles of the larger one cover it."""
LEGIBLE = 24
"""Pixels on the shorter side below which no level is looked at: nobody reads a label of that size."""
CONTRAST = 6.0
"""Grey levels of standard deviation from which a place shows something."""
SLACK = 3
"""Pixels the two may be shifted against each other: sizes of levels are rounded."""
SAME = 0.7
"""Correlation from which a place shows the same. Levels of real slides reach 0.92 and more everywhere; of a label, an
overview or another slide three quarters of all places stay below 0.7 and half of them below 0.6."""
MAX_OTHER = 0.25
"""Share of places that may show something else: dust that one level's focus caught and the other's did not."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What all comparisons came to."""

    places: int
    """Places that show something."""
    agreeing: int
    """Of those, how many show the same as the larger picture."""
    worst: float
    """The lowest share of agreeing places of any picture."""


def check_scene(
    path: Path, file: Bytes, planes: Sequence[Sequence[Page]], shown: Sequence[Picture]
) -> tuple[Scene, list[Finding]]:
    """Compare every level but the base with the next larger one of its plane, and every picture beside the levels.

    `planes` are the levels of each; a picture is compared with the first of them.
    """
    places, agreeing, worst = 0, 0, 1.0
    findings: list[Finding] = []
    for where, smaller, larger in _all_pairs(planes, shown):
        scores = likenesses(larger(path, file), smaller(path, file))
        same = sum(score >= SAME for score in scores)
        places, agreeing = places + len(scores), agreeing + same
        worst = min(worst, same / len(scores) if scores else 1.0)
        if scores and len(scores) - same > MAX_OTHER * len(scores):
            findings.append(Finding("scene", "not-the-same-scene", where, "does not show what the larger levels show"))
    return Scene(places, agreeing, round(worst, 3)), findings


Opened = Callable[[Path, Bytes], View]


def _all_pairs(planes: Sequence[Sequence[Page]], shown: Sequence[Picture]) -> Iterator[tuple[str, Opened, Opened]]:
    for number, levels in enumerate(planes):
        yield from _pairs(levels, () if number else shown)


def _pairs(levels: Sequence[Page], shown: Sequence[Picture]) -> Iterator[tuple[str, Opened, Opened]]:
    """Where the smaller picture is, and how it and the larger one are opened."""
    for number, level in enumerate(levels):
        larger = _next_larger(level.size.width, levels[:number])
        if larger is not None and min(level.size.width, level.size.height) >= LEGIBLE:
            yield level.path, _whole_size(level), _reduced(larger, larger.size.width / level.size.width)
    for picture in shown:
        width = picture.full.shape[1]
        larger = _next_larger(width, levels) or (levels[0] if levels else None)
        if larger is not None:
            yield picture.where, _decoded(picture), _reduced(larger, larger.size.width / width)


def _next_larger(width: int, levels: Sequence[Page]) -> Page | None:
    """The smallest of those that are wider, of equal ones the last: levels below a page come after that page."""
    wider = [level for level in reversed(levels) if level.size.width > width]
    return min(wider, key=lambda level: level.size.width, default=None)


def _whole_size(page: Page) -> Opened:
    return lambda path, file: Tiled(path, file, page)


def _reduced(page: Page, downsample: float) -> Opened:
    return lambda path, file: Tiled(path, file, page, factor_for(page, downsample))


def _decoded(picture: Picture) -> Opened:
    return lambda path, file: Whole(picture.full)


def likenesses(larger: View, smaller: View) -> list[float]:
    """Correlation with the larger picture at each place where the smaller one shows something."""
    step = larger.size.width / smaller.size.width, larger.size.height / smaller.size.height
    gain = _gain(smaller)
    return [_likeness(larger, smaller, place, step, gain) for place in _places(smaller, _side(larger, step[0]), gain)]


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    contrast: float
    left: int
    top: int
    right: int
    bottom: int


def _side(larger: View, step: float) -> int:
    """About one tile of the larger picture."""
    tile = larger.tile.width if isinstance(larger, Tiled) else larger.size.width
    return int(np.clip(round(tile / step), *SIDES))


def _gain(view: View) -> float:
    """What brings samples of another depth than 8 bits to at most 255."""
    if view.bits == 8:
        return 1.0
    peak = max((float(grey.max(initial=0)) for _, _, grey in view.blocks(BLOCKS)), default=0.0)
    return 255 / peak if peak > 0 else 1.0


def _places(view: View, side: int, gain: float) -> list[_Place]:
    """The places that show most, not all of them in one block."""
    blocks = list(view.blocks(BLOCKS))
    each = max(2, -(-2 * PLACES // max(1, len(blocks))))
    found: list[_Place] = []
    for left, top, grey in blocks:
        inside = (_Place(float(cut.std()) * gain, left + x, top + y, left + x + cut.shape[1], top + y + cut.shape[0])
                  for x, y, cut in _cuts(grey, side))  # fmt: skip
        found += sorted((place for place in inside if place.contrast >= CONTRAST), reverse=True)[:each]
    return sorted(found, reverse=True)[:PLACES]


def _cuts(grey: Grey, side: int) -> Iterator[tuple[int, int, Grey]]:
    """Squares that cover the block, the last of each row and column moved back so that it lies inside."""
    for y in _starts(grey.shape[0], side):
        for x in _starts(grey.shape[1], side):
            cut = grey[y : y + side, x : x + side]
            if min(cut.shape) > 4 * SLACK:
                yield x, y, cut


def _starts(length: int, side: int) -> list[int]:
    last = max(0, length - side)
    return sorted({*range(0, last + 1, side), last})


def _likeness(larger: View, smaller: View, place: _Place, step: tuple[float, float], gain: float) -> float:
    """The best correlation of the place's inside with the larger picture there, over small shifts."""
    here = smaller.region(place.left, place.top, place.right, place.bottom)
    left, right = round(place.left * step[0]), round(place.right * step[0])
    top, bottom = round(place.top * step[1]), round(place.bottom * step[1])
    there = larger.region(left, top, max(left + 1, right), max(top + 1, bottom))
    around = Frame(_smooth(_resized(there, here.shape[1], here.shape[0]) * gain))
    return around.best_match(_smooth(here * gain)[SLACK:-SLACK, SLACK:-SLACK], 1.0)[0]


def _smooth(grey: Grey) -> Grey:
    """Without grain, which compression makes anew at every level."""
    picture = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), np.float32)


def _resized(grey: Grey, width: int, height: int) -> Grey:
    method = Image.Resampling.BOX if width < grey.shape[1] else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize((width, height), method), np.float32)
