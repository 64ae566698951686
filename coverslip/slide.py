"""What is true of a slide whatever its format: levels, resolution, magnification."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from coverslip.geometry import Mpp, Size


class Route(StrEnum):
    """How the clean slide comes to be."""

    SAME_CONTAINER = "same-container"
    """Kept elements re-serialised in the source's own container, stored tiles copied bit for bit."""
    CONVERTED = "converted"
    """Pixels decoded once and written as a pyramidal BigTIFF that carries pixels and numeric facts only."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the pyramid; level 0 is the largest."""

    size: Size
    tile: Size
    """Stored tile size in pixels."""
    downsample: float
    """Level-0 width divided by this level's width."""


@dataclass(frozen=True, slots=True, order=True)
class Plane:
    """One focal plane of one channel at one moment; all three count from 0."""

    z: int
    channel: int
    t: int


@dataclass(frozen=True, slots=True)
class Planes:
    """How many there are of each."""

    z: int
    channels: int
    """As readers count them: an RGB picture is one."""
    t: int
    z_step: float | None = None
    """Micrometres between focal planes."""

    @property
    def count(self) -> int:
        """All planes."""
        return self.z * self.channels * self.t


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """Numbers and vocabulary every reader can give; nothing here can hold a name."""

    vendor: str
    """OpenSlide's word for the vendor where it has one: `aperio`, `hamamatsu`, `generic-tiff`, `dicom`…"""
    container: str
    """`tiff` or `bigtiff` for slides we write in their own container; otherwise the vendor's word."""
    levels: tuple[Level, ...]
    mpp: Mpp | None
    magnification: float | None
    """Nominal objective power."""
    background: str | None = None
    """RRGGBB, what unscanned area looks like; None when the slide does not say."""
    planes: Planes | None = None
    """None where the format knows one plane only."""

    @property
    def size(self) -> Size:
        """Pixels of level 0."""
        return self.levels[0].size
