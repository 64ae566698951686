"""What `z`, `t`, `channels` and `window` ask of a slide, and what answers it.

A slide of one channel is shown in red, green and blue, and `channels` means those. A slide of several shows them in
their colours, added up. `window` counts in the slide's own samples, whichever they are. All of it is made of the tiles
that are served anyway: nothing here decodes what a scanner wrote.
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
from coverslip.pyramid.regions import read_region
from coverslip.pyramid.stack import EIGHT_BITS, Stack
from service.asking import Ask, whole_number
from service.errors import Malformed

PLANES: Final = frozenset({"z", "t"})
SHOWN: Final = frozenset({"channels", "window"})
PARAMETERS: Final = PLANES | SHOWN
SAMPLES: Final = 3
"""Red, green and blue."""
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
    samples = len(stack.channels) if stack.joined else SAMPLES
    channels = _channels(ask.untrusted_query.get("channels"), samples)
    windows = _windows(ask.untrusted_query.get("window"), len(channels) or samples, (1 << stack.bits) - 1)
    if not stack.joined:
        display = Display(channels, tuple(_eight_bit(window, stack) for window in windows))
        return Shown(ask.pyramid.shown(z, t), display, z, t, ())
    shown = channels or tuple(range(samples))
    return Shown(ask.pyramid.shown(z, t, channels, windows), Display(), z, t, shown)


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
    """Pixels of a rectangle, as they are shown."""
    found = read_region(shown.picture, area, target, max_pixels=ask.settings.region_pixels)
    return shown.display.applied(found)


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
