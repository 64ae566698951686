"""Sizes, points and resolutions: no bare tuples cross a module boundary, so x and y cannot be confused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """Extent in pixels."""

    width: int
    height: int

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    def ceil_div(self, other: Size) -> Size:
        """How many boxes of `other` cover this size, per axis."""
        return Size(-(-self.width // other.width), -(-self.height // other.height))

    def halved(self, times: int = 1) -> Size:
        """The size after `times` halvings, rounded up as DeepZoom does, never below one pixel."""
        step = 1 << times
        return Size(max(1, -(-self.width // step)), max(1, -(-self.height // step)))

    def __str__(self) -> str:
        """As `width×height`."""
        return f"{self.width}×{self.height}"


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """Position in pixels from the top left corner."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle on one level, in that level's pixels."""

    origin: Point
    size: Size


@dataclass(frozen=True, slots=True)
class Mpp:
    """Micrometres per pixel of level 0."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, order=True)
class TileIndex:
    """One tile: `level` counts from the largest (0), columns and rows from the top left."""

    level: int
    column: int
    row: int
