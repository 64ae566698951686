"""What `z`, `t`, `channels` and `window` ask of a derived picture."""

from __future__ import annotations

import re
from typing import Final

from coverslip.pyramid.display import Display, Window
from service.asking import Ask, whole_number
from service.errors import Malformed

PLANES: Final = frozenset({"z", "t"})
"""A slide has one focal plane and one moment, number 0: asking for it changes nothing."""
SHOWN: Final = frozenset({"channels", "window"})
PARAMETERS: Final = PLANES | SHOWN
SAMPLES: Final = 3
"""Red, green and blue; a grey slide shows its one value in each."""

_CHANNELS: Final = re.compile(r"[0-9](?:,[0-9]){0,2}", re.ASCII)
_WINDOW: Final = re.compile(r"[0-9]{1,3},[0-9]{1,3}(?:,[0-9]{1,3},[0-9]{1,3}){0,2}", re.ASCII)


def display_of(ask: Ask) -> Display:
    """How the samples are to be shown; raises `Malformed`, also for a plane the slide does not have."""
    for name in sorted(PLANES):
        whole_number(ask, name, range(1), 0)
    channels = _channels(ask.untrusted_query.get("channels"))
    return Display(channels, _windows(ask.untrusted_query.get("window"), len(channels) or SAMPLES))


def _channels(untrusted: str | None) -> tuple[int, ...]:
    if untrusted is None:
        return ()
    found = tuple(int(text) for text in untrusted.split(",")) if _CHANNELS.fullmatch(untrusted) else ()
    if not found or max(found) >= SAMPLES or len(set(found)) < len(found):
        raise Malformed(f"channels are different whole numbers from 0 to {SAMPLES - 1}, with commas between them.")
    return found


def _windows(untrusted: str | None, shown: int) -> tuple[Window, ...]:
    if untrusted is None:
        return ()
    numbers = [int(text) for text in untrusted.split(",")] if _WINDOW.fullmatch(untrusted) else []
    found = tuple(Window(low, high) for low, high in zip(numbers[::2], numbers[1::2], strict=True))
    if len(found) not in (1, shown) or any(not 0 <= w.low < w.high <= 255 for w in found):
        raise Malformed("window is low,high from 0 to 255, once or for each channel that is shown.")
    return found
