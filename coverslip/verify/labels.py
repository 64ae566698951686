"""No picture of the label or of the whole glass came along: turned, mirrored, scaled, cropped or encoded anew.

Two looks. A coarse one finds where one picture could stand in the other; a fine one at that place compares detail
only, with broad light and dark taken out, because any two pictures can share a dark band and a bright field.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from coverslip.verify.correlate import Frame, Grey, detail
from coverslip.verify.report import Finding

COARSE = 64
FINE = 160
"""Pixels on the longer side at the two looks."""
SMALLEST = 20
STEP = 1.12
"""Ratio between scales tried at the coarse look."""
TWEAKS = tuple(0.93 + 0.014 * step for step in range(11))
"""Scales tried around the coarse one at the fine look."""
SUSPICIOUS = 0.6
THRESHOLD = 0.6
"""Correlation from which a place is looked at closely, and from which detail is the same."""
MIN_CONTRAST = 6.0
"""Grey levels of standard deviation below which a picture shows nothing to compare."""
MIN_COVER = 0.6
"""A crop counts when it shows at least this share of the private picture."""
LEGIBLE = 48
"""Pixels on the shorter side below which a label cannot be read, by eye or by a barcode reader."""
CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture in grey."""

    where: str
    coarse: Grey
    full: Grey
    """At most 640 pixels on the longer side."""


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a template could stand in a frame, at the coarse look."""

    score: float
    turn: int
    row: float
    """All four as shares of the frame's height and width."""
    column: float
    height: float
    width: float


def small(where: str, picture: Image.Image) -> Picture:
    """Reduce a picture for comparison; clear parts become white."""
    if picture.mode in ("RGBA", "LA", "PA"):
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    grey = picture.convert("L")
    grey.thumbnail((4 * FINE, 4 * FINE), Image.Resampling.BOX, reducing_gap=None)
    full = np.asarray(grey, dtype=np.float32)
    grey.thumbnail((COARSE, COARSE), Image.Resampling.BOX, reducing_gap=None)
    return Picture(where, np.asarray(grey, dtype=np.float32), full)


def check_labels(private: Sequence[Picture], shown: Sequence[Picture]) -> tuple[float, list[Finding]]:
    """Look for each private picture of the source in each picture of the clean slide; best match and findings."""
    best, findings = 0.0, []
    for picture in shown:
        for secret in private:
            score = likeness(secret, picture)
            best = max(best, score)
            if score >= THRESHOLD:
                text = f"shows what {secret.where} of the source shows"
                findings.append(Finding("labels", "private-picture", picture.where, text))
    return round(best, 3), findings


def likeness(private: Picture, shown: Picture) -> float:
    """How well the detail of one picture is found in the other, at any quarter turn, mirror image, scale or crop."""
    if private.coarse.std() < MIN_CONTRAST or shown.coarse.std() < MIN_CONTRAST:
        return 0.0
    inside = _places(private.coarse, shown.coarse, 0.0)
    around = _places(shown.coarse, private.coarse, MIN_COVER)
    scores = [_closely(private.full, shown.full, place) for place in inside]
    scores += [_closely(shown.full, private.full, place) for place in around]
    return max([0.0, *scores])


def _turned(grey: Grey, turn: int) -> Grey:
    """One of eight: four quarter turns of the picture and of its mirror image."""
    return np.rot90(grey[:, ::-1] if turn >= 4 else grey, turn % 4)


def _places(template: Grey, frame: Grey, cover: float) -> list[_Place]:
    """The most suspicious places of the template in the frame."""
    looked = Frame(frame)
    found = [
        _Place(score, turn, *(row / frame.shape[0], column / frame.shape[1]), *_shares(scaled, frame))
        for turn in range(8)
        for scaled in _scales(_turned(template, turn), frame)
        if scaled.size >= cover * frame.size
        for score, row, column in (looked.best_match(scaled, MIN_CONTRAST),)
        if score >= SUSPICIOUS
    ]
    return heapq.nlargest(CANDIDATES, found)


def _shares(scaled: Grey, frame: Grey) -> tuple[float, float]:
    return scaled.shape[0] / frame.shape[0], scaled.shape[1] / frame.shape[1]


def _scales(template: Grey, frame: Grey) -> Iterator[Grey]:
    """The template at every size that fits into the frame, largest first, and stretched to fill it."""
    height, width = template.shape
    scale = min(frame.shape[0] / height, frame.shape[1] / width)
    while max(height, width) * scale >= SMALLEST:
        yield _resized(template, round(width * scale), round(height * scale))
        scale /= STEP
    stretch = (frame.shape[1] / width) / (frame.shape[0] / height)
    if 2 / 3 < stretch < 3 / 2:
        yield _resized(template, frame.shape[1], frame.shape[0])


def _closely(template: Grey, frame: Grey, place: _Place) -> float:
    """Cut the place out of the frame with a margin and compare detail there, at scales around the coarse one."""
    height, width = place.height * frame.shape[0], place.width * frame.shape[1]
    if min(height, width) < LEGIBLE:
        return 0.0
    cut = _cut(frame, place)
    shrink = min(1.0, FINE / max(height, width))
    around = Frame(detail(_resized(cut, round(cut.shape[1] * shrink), round(cut.shape[0] * shrink))))
    turned = _turned(template, place.turn)
    scores = []
    for tweak in TWEAKS:
        wide, high = round(width * shrink * tweak), round(height * shrink * tweak)
        if wide <= around.shape[1] and high <= around.shape[0]:
            scores.append(around.best_match(detail(_resized(turned, wide, high)), 1.0)[0])
    return max(scores, default=0.0)


def _cut(frame: Grey, place: _Place) -> Grey:
    height, width = frame.shape
    margin = 0.08 * max(place.height * height, place.width * width)
    top, left = place.row * height - margin, place.column * width - margin
    bottom, right = (place.row + place.height) * height + margin, (place.column + place.width) * width + margin
    return frame[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1]


def _resized(grey: Grey, width: int, height: int) -> Grey:
    picture = Image.fromarray(np.ascontiguousarray(grey))
    smaller = width < grey.shape[1]
    method = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    return np.asarray(picture.resize((max(1, width), max(1, height)), method), dtype=np.float32)
