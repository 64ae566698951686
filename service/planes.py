"""What `z`, `t`, `channels` and `window` ask of a slide, and what answers it.

A slide of colour pictures has a red, a green and a blue sample, and `channels` means those. A slide of grey channels
shows them in their colours, added up. `window` counts in the slide's own samples, whichever they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from PIL import Image
from starlette.concurrency import run_in_threadpool

from coverslip.geometry import Region, Size
from coverslip.pyramid.display import Display, Window
from coverslip.pyramid.plane import Picture
from coverslip.pyramid.raw import Lit, picture, pixel
from coverslip.pyramid.regions import read_region
from coverslip.pyramid.stack import EIGHT_BITS, Stack
from service.asking import Ask, whole_number
from service.errors import Malformed

PLANES: Final = frozenset({"z", "t"})
SHOWN: Final = frozenset({"channels", "window"})
PARAMETERS: Final = PLANES | SHOWN
SAMPLES: Final = 3
"""Red, green and blue."""
EIGHT: Final = 8
MOST: Final = 64
"""Channels one address can name."""

_CHANNELS: Final = re.compile(r"[0-9]{1,5}(?:,[0-9]{1,5}){0,63}", re.ASCII)
_WINDOW: Final = re.compile(r"[0-9]{1,5},[0-9]{1,5}(?:,[0-9]{1,5},[0-9]{1,5}){0,63}", re.ASCII)
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a slide is to be shown."""

    picture: Picture
    display: Display
    """What is done to the pixels of a colour picture."""
    z: int
    t: int
    channels: tuple[int, ...]
    """Grey channels that are shown, in the order asked for."""
    windows: tuple[Pair, ...]
    """Of grey channels: none, one for all, or one for each."""

    @property
    def key(self) -> str:
        """Equal for equal pictures of one slide."""
        return f"{self.picture.key} {self.display.key}".rstrip()


async def shown_of(ask: Ask) -> Shown:
    """What the query asks for, ready to be read; raises `Malformed`, also for a plane the slide does not have."""
    found = parsed(ask)
    if not found.picture.loaded:
        await run_in_threadpool(found.picture.load)
    return found


def parsed(ask: Ask) -> Shown:
    """The same before anything of it is read."""
    stack = ask.pyramid.stack
    z, t = _plane(ask, stack)
    samples = SAMPLES if stack.samples == SAMPLES else len(stack.channels)
    channels = _channels(ask.untrusted_query.get("channels"), samples)
    windows = _windows(ask.untrusted_query.get("window"), len(channels) or samples, (1 << stack.bits) - 1)
    if stack.samples == SAMPLES:
        display = Display(channels, tuple(_eight_bit(window, stack) for window in windows))
        return Shown(ask.pyramid.shown(z, t), display, z, t, (), ())
    shown = channels or tuple(range(samples))
    return Shown(ask.pyramid.shown(z, t, channels, windows), Display(), z, t, shown, windows)


def plane_of(ask: Ask) -> int:
    """Number of the one plane a stored tile is asked of; raises `Malformed`."""
    stack = ask.pyramid.stack
    z, t = _plane(ask, stack)
    channels = _channels(ask.untrusted_query.get("channels"), len(stack.channels)) or (0,)
    if len(channels) > 1:
        raise Malformed("A stored tile is of one channel.")
    return stack.number(z, channels[0], t)


def carried(ask: Ask) -> str:
    """The query of addresses that show the same; empty when nothing was asked for."""
    query = {name: ask.untrusted_query[name] for name in sorted(PARAMETERS & set(ask.untrusted_query))}
    return f"?{urlencode(query, safe=',')}" if query else ""


def region_of(ask: Ask, shown: Shown, area: Region, target: Size) -> Image.Image:
    """Pixels of a rectangle: through a window of one's own from the samples themselves, unless that is much work."""
    if shown.windows:
        exact = picture(ask.sources.native(ask.opened), _lit(ask.pyramid.stack, shown), area, target)
        if exact is not None:
            return exact
    found = read_region(shown.picture, area, target, max_pixels=ask.settings.region_pixels)
    return shown.display.applied(found)


def samples_of(ask: Ask, shown: Shown, x: int, y: int) -> dict[str, object]:
    """What the slide stores of one pixel, by `samples`, where that is not what is shown; null where nothing is."""
    stack = ask.pyramid.stack
    if stack.samples == SAMPLES and stack.bits == EIGHT:
        return {}
    native, channels = ask.sources.native(ask.opened), shown.channels or (0,)
    found = [pixel(native, stack.number(shown.z, channel, shown.t), x, y) for channel in channels]
    return {"samples": [value for values in found for value in (values or (None,) * stack.samples)]}


def _lit(stack: Stack, shown: Shown) -> list[Lit]:
    windows = shown.windows * len(shown.channels) if len(shown.windows) == 1 else shown.windows
    return [
        Lit(stack.number(shown.z, channel, shown.t), stack.channels[channel], window)
        for channel, window in zip(shown.channels, windows, strict=True)
    ]


def _plane(ask: Ask, stack: Stack) -> Pair:
    return whole_number(ask, "z", range(stack.z), stack.middle), whole_number(ask, "t", range(stack.t), 0)


def _channels(untrusted: str | None, there: int) -> tuple[int, ...]:
    if untrusted is None:
        return ()
    found = tuple(int(text) for text in untrusted.split(",")) if _CHANNELS.fullmatch(untrusted) else ()
    if not found or max(found) >= there or len(set(found)) < len(found):
        raise Malformed(
            f"channels are different whole numbers from 0 to {there - 1}, {MOST} at the most, with commas between them."
        )
    return found


def _windows(untrusted: str | None, shown: int, most: int) -> tuple[Pair, ...]:
    if untrusted is None:
        return ()
    numbers = [int(text) for text in untrusted.split(",")] if _WINDOW.fullmatch(untrusted) else []
    found = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    if len(numbers) % 2 or len(found) not in (1, shown) or any(not low < high <= most for low, high in found):
        raise Malformed(f"window is low,high from 0 to {most}, once or for each channel that is shown.")
    return found


def _eight_bit(window: Pair, stack: Stack) -> Window:
    """A window over the pixels of a colour picture, which are eight bits whatever its samples are."""
    own = stack.channels[0].window
    if own == EIGHT_BITS:
        return Window(*window)
    step = (own[1] - own[0]) / EIGHT_BITS[1]
    return Window((window[0] - own[0]) / step, (window[1] - own[0]) / step)
