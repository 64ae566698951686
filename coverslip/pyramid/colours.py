"""In which colour a channel is shown: what the slide says, else what its light looks like, else one after the other.

Wavelengths are those of the visible spectrum; dyes by the peak of what they emit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from coverslip.pyramid.stack import WHITE, Channel

_SPECTRUM: Final = (
    (490, "0000FF"), (505, "00FFFF"), (560, "00FF00"), (585, "FFFF00"), (610, "FF8000"), (680, "FF0000"),
)  # fmt: skip
"""Up to so many nanometres, RRGGBB."""
_INVISIBLE: Final = "FF00FF"
"""What emits beyond red."""
_IN_TURN: Final = ("0000FF", "00FF00", "FF0000", "FF00FF", "00FFFF", "FFFF00", "FF8000", "FFFFFF")
_DYES: Final = (
    (r"DAPI|Hoechst|BFP|Blue|Coumarin", 460), (r"CFP|Cerulean|Cyan|Aqua", 500),
    (r"FITC|E?GFP|Green|BODIPY|Cy ?2", 520), (r"YFP|Venus|Citrine|Yellow", 570),
    (r"TRITC|TAMRA|Cy ?3|Orange|Rhodamine|PE$", 600), (r"Texas|RFP|Cherry|DsRed|PI$|Propidium|^Red", 650),
    (r"Cy ?[57]|DRAQ|APC|Far ?Red", 700),
)  # fmt: skip
"""What a name begins or ends with, and nanometres it stands for."""


def coloured(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Channels with a colour each; one by itself is shown in white.

    Colours that are white throughout are what programs write that do not know any.
    """
    if len(channels) == 1:
        return (replace(channels[0], colour=WHITE),)
    known = any(channel.colour not in ("", WHITE) for channel in channels)
    said = (channel.colour if known else "" for channel in channels)
    guessed = (_by_light(channel) or _IN_TURN[number % len(_IN_TURN)] for number, channel in enumerate(channels))
    return tuple(replace(c, colour=one or other) for c, one, other in zip(channels, said, guessed, strict=True))


def _by_light(channel: Channel) -> str:
    """Empty when nothing is known of it."""
    seen = channel.emission or next((light for words, light in _DYES if re.search(words, channel.name)), None)
    return "" if seen is None else next((colour for limit, colour in _SPECTRUM if seen < limit), _INVISIBLE)
