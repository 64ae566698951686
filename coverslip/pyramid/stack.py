"""What a pyramid's planes are: how many of each kind, and how a channel's samples are shown.

It stands in the index as JSON of a few hundred bytes, so that one file says all a viewer has to know.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from coverslip.errors import PyramidInvalid

MAX_BYTES: Final = 1 << 20
MAX_COUNT: Final = (1 << 16) - 1
EIGHT_BITS: Final = (0, 255)
WHITE: Final = "FFFFFF"

_COLOUR: Final = re.compile(r"[0-9A-F]{6}", re.ASCII)
NAME: Final = re.compile(r"[ -~]{0,64}", re.ASCII)
"""What a channel may be called."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel and how it is shown."""

    name: str = ""
    """Of the fixed list a policy allows; empty when nothing is said."""
    colour: str = WHITE
    """RRGGBB, in which it is joined with others."""
    emission: float | None = None
    """Nanometres."""
    excitation: float | None = None
    window: tuple[int, int] = EIGHT_BITS
    """Sample values that its tiles show as black and as full brightness; all tiles of the channel share them."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The planes of one slide. Plane numbers count z fastest, then channels, then t."""

    channels: tuple[Channel, ...] = (Channel(),)
    z: int = 1
    t: int = 1
    samples: int = 3
    """Per pixel: 3 for red, green and blue, 1 for grey."""
    bits: int = 8
    """Of a sample: what windows count in."""
    z_step: float | None = None
    """Micrometres between focal planes."""

    @property
    def count(self) -> int:
        """All planes."""
        return self.z * self.t * len(self.channels)

    @property
    def joined(self) -> bool:
        """Whether channels are shown together, each in its colour."""
        return len(self.channels) > 1

    @property
    def of_light(self) -> bool:
        """Whether bright is something and dark is nothing: fluorescence, not stained glass."""
        return self.samples == 1 and (self.joined or self.channels[0].window != (0, (1 << self.bits) - 1))

    @property
    def middle(self) -> int:
        """The focal plane that is shown when nobody asks for one."""
        return self.z // 2

    def number(self, z: int, channel: int, t: int) -> int:
        """Number of a plane."""
        return (t * len(self.channels) + channel) * self.z + z

    def pack(self) -> bytes:
        """As JSON in one spelling."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


def parse(untrusted: bytes) -> Stack:
    """The planes an index tells of. Raises PyramidInvalid for anything but what `pack` writes."""
    try:
        said = json.loads(untrusted)
        channels = tuple(_channel(one) for one in said.pop("channels"))
        found = Stack(channels, **said)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PyramidInvalid("the index does not say what its planes are", where="index/planes") from error
    if not _is_sound(found):
        raise PyramidInvalid("the index says something impossible of its planes", where="index/planes")
    return found


def _channel(said: dict[str, Any]) -> Channel:
    low, high = said.pop("window")
    return Channel(window=(low, high), **said)


def _is_sound(stack: Stack) -> bool:
    counts = (stack.z, stack.t, len(stack.channels))
    if not all(type(count) is int and 1 <= count <= MAX_COUNT for count in counts) or stack.count > MAX_COUNT:
        return False
    if stack.samples not in (1, 3) or stack.bits not in (8, 16) or (stack.samples == 3 and stack.joined):
        return False
    return _is_length(stack.z_step) and all(_is_sound_channel(channel, stack.bits) for channel in stack.channels)


def _is_sound_channel(channel: Channel, bits: int) -> bool:
    low, high = channel.window
    numbers = type(low) is int and type(high) is int and 0 <= low < high < 1 << bits
    words = isinstance(channel.name, str) and isinstance(channel.colour, str)
    return (
        numbers and words and _COLOUR.fullmatch(channel.colour) is not None
        and NAME.fullmatch(channel.name) is not None
        and _is_length(channel.emission) and _is_length(channel.excitation)
    )  # fmt: skip


def _is_length(value: float | None) -> bool:
    return value is None or (isinstance(value, float) and 0 < value < 1e12)
