"""What a clean slide shows: how many planes, where each lies, and what its channels are.

A clean OME-TIFF says it in its own block; any other slide is one plane, its levels found by shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from coverslip.errors import UnsupportedSlide
from coverslip.ome import values
from coverslip.ome.document import Node, is_ome, parse
from coverslip.ome.layout import BITS, Layout, layout
from coverslip.ome.model import PREFIX, Image, micrometres
from coverslip.pyramid.codecs import Codecs
from coverslip.pyramid.colours import coloured
from coverslip.pyramid.source import BLANK, Source, StoredLevel, levels_of, source_of, stored_levels
from coverslip.pyramid.stack import EIGHT_BITS, NAME, Channel, Stack
from coverslip.pyramid.windows import some, window_of
from coverslip.tiff import tags as t
from coverslip.tiff.structure import Directory, TiffFile

_NANOMETRES: Final = 1e3


@dataclass(frozen=True)
class Scene:
    """The planes of one slide. The file has to stay open: nothing of a plane's tables is kept."""

    tiff: TiffFile = field(repr=False)
    stack: Stack
    planes: tuple[tuple[Directory, ...], ...] = field(repr=False)
    """By plane number: the directories of its levels, largest first. One empty: its levels are found by shape."""
    measured: bool = False
    """Whether samples are counts of light, whose range only the data can tell."""

    @property
    def empty(self) -> int:
        """What a pixel shows that was never scanned: the white of empty glass, or no light at all."""
        return 0 if self.measured else BLANK

    def levels(self, plane: int) -> tuple[StoredLevel, ...]:
        """Of one plane, largest first. Raises UnsupportedSlide, DamagedSlide and LimitExceeded for lying tables."""
        directories = self.planes[plane]
        return stored_levels(self.tiff, directories) if directories else levels_of(self.tiff)

    def source(self, plane: int) -> Source:
        """One plane as the pyramid sees it: stored tiles are served only where they show what the window shows.

        Raises as `levels` does.
        """
        found = replace(source_of(self.levels(plane)), empty=self.empty)
        if self.channel_of(plane).window != EIGHT_BITS:
            return replace(found, ready={}, coded={})
        return replace(found, coded={}) if self.measured else found

    def channel_of(self, plane: int) -> Channel:
        """The channel a plane belongs to."""
        return self.stack.channels[plane // self.stack.z % len(self.stack.channels)]


def scene_of(tiff: TiffFile) -> Scene:
    """Find all planes of a clean slide, with windows as wide as their samples.

    Raises UnsupportedSlide, UnknownStructure, DamagedSlide or LimitExceeded when nobody can tell what it shows.
    """
    raw = tiff.pages[0].raw(t.IMAGE_DESCRIPTION)
    if is_ome(raw):
        return _planes_of(tiff, layout(parse(raw, PREFIX), tiff.pages))
    base = levels_of(tiff)[0]
    samples = 1 if base.directory.number(t.SAMPLES_PER_PIXEL, 1) == 1 else 3
    return Scene(tiff, Stack(samples=samples), ((),))  # of deeper samples the upper eight bits are shown


def _planes_of(tiff: TiffFile, found: Layout) -> Scene:
    image, bits = found.image, BITS[found.image.type]
    samples = 1 if found.samples == 1 else 3
    if samples == 3 and found.channels > 1:
        raise UnsupportedSlide("several colour pictures of one plane cannot be shown", where=image.where)
    window = (0, (1 << _significant(image, bits)) - 1)
    nodes = image.channels if len(image.channels) == found.channels else (None,) * found.channels
    channels = coloured([_channel(image, node, window) for node in nodes])
    step = image.length("Z") if image.sizes["Z"] > 1 else None
    stack = Stack(channels, image.sizes["Z"], image.sizes["T"], samples, bits, step)
    planes: list[tuple[Directory, ...]] = [()] * stack.count
    for at in found.planes:
        plane = at.plane
        planes[stack.number(plane.z, plane.channel, plane.t)] = (at.page, *at.levels, *found.chained)
    return Scene(tiff, stack, tuple(planes), samples == 1)


def _significant(image: Image, bits: int) -> int:
    said = image.fact(image.pixels, values.PIXELS, "SignificantBits")
    return min(bits, int(said)) if said else bits


def _channel(image: Image, node: Node | None, window: tuple[int, int]) -> Channel:
    if node is None:
        return Channel(colour="", window=window)
    names = (node.get(name) for name in values.NAMES)
    name = next((said for said in names if said and NAME.fullmatch(said)), "")
    colour = image.fact(node, values.CHANNEL, "Color")
    rgb = f"{int(colour) >> 8 & 0xFFFFFF:06X}" if colour is not None else ""
    return Channel(name, rgb, _light(node, "Emission"), _light(node, "Excitation"), window)


def _light(node: Node, kind: str) -> float | None:
    """Nanometres."""
    length = micrometres(node, values.CHANNEL, f"{kind}Wavelength")
    return None if length is None else length * _NANOMETRES


def with_windows(scene: Scene, fd: int, codecs: Codecs) -> Scene:
    """The scene as it is shown: windows looked up in the data where samples are counts of light.

    A channel whose tiles a browser shows as they are keeps its values. Raises what reading and decoding raise.
    """
    stack = scene.stack
    channels = tuple(
        replace(channel, window=_window(scene, number, fd, codecs)) for number, channel in enumerate(stack.channels)
    )
    return replace(scene, stack=replace(stack, channels=channels))


def _window(scene: Scene, channel: int, fd: int, codecs: Codecs) -> tuple[int, int]:
    stack = scene.stack
    if not scene.measured:
        return stack.channels[channel].window
    numbers = [stack.number(z, channel, moment) for moment in range(stack.t) for z in range(stack.z)]
    if 0 in source_of(scene.levels(numbers[0])).ready:
        return EIGHT_BITS
    smallest = (min(scene.levels(numbers[at]), key=lambda level: level.size.area) for at in some(len(numbers)))
    return window_of(fd, codecs, tuple(smallest))
